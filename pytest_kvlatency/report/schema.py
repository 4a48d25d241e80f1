"""The JSON Schema (2020-12) of the document, which lies beside this module. It is printed as it is. Pure."""

from __future__ import annotations

from pathlib import Path


def text() -> str:
    """The schema's text."""
    return Path(__file__).with_name("schema.json").read_text(encoding="ascii")
