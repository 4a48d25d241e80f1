"""What a document looks like: its JSON Schema (2020-12), which lies beside this module. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Final

SCHEMA: Final = "kvlatency/v1"
#: How it gives moments, which are in UTC.
TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


def text() -> str:
    """The schema's text."""
    return Path(__file__).with_name("schema.json").read_text(encoding="ascii")


def moment(text: str) -> datetime:
    """A moment of a document. Raises ``ValueError`` for what is none."""
    return datetime.strptime(text, TIMESTAMP).replace(tzinfo=timezone.utc)
