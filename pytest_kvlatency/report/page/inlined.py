"""The page's own files, and the policy that lets a browser run these alone."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Final

#: The script's parts, in the order in which they build on each other.
_PARTS: Final = ("data", "words", "svg", "rtt", "move", "ecdf", "heatmap", "table", "pair", "start")


def template() -> str:
    """Give the page's frame, with a comment for each slot."""
    return _read("page.html")


def style() -> str:
    """Give the style sheet."""
    return _read("page.css")


def script() -> str:
    """Give the whole script; nothing of it is seen outside of it."""
    parts = "\n".join(_read("script", f"{name}.js") for name in _PARTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def policy(style_text: str, script_text: str) -> str:
    """Give the Content-Security-Policy: this style, this script, no network."""
    return (
        f"default-src 'none'; script-src '{_digest(script_text)}'; style-src '{_digest(style_text)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _read(*names: str) -> str:
    return resources.files(__package__ or __name__).joinpath(*names).read_text(encoding="utf-8")
