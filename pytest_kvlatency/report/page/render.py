"""The document as one self-contained page: its frame, style and script, and the policy that runs these alone. Pure.

The page's own text is made here, and everything in it is escaped; what is drawn on demand the script draws from
the data (``payload``).
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html
from pytest_kvlatency.report.page import facts, heat, migrationsection, overview, payload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: A comment of the frame, in the place of what it names.
_SLOT: Final = re.compile(r"<!-- (\w+) -->")
#: The script's parts, in the order in which they build on each other.
_PARTS: Final = ("data", "words", "svg", "rtt", "move", "ecdf", "heatmap", "table", "pair", "start")


def render(document: Mapping[str, Any], *, folder: Path | None = None) -> str:
    """Give the page of a document; ``folder`` is where it will lie, from which artifacts are linked."""
    heats = heat.heats(document)
    data, transcripts = payload.payload(document, heats, folder=folder)
    style, script = _read("page.css"), _script()
    slots = {
        "title": for_html(overview.title(document)),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "verdict": overview.verdict(document),
        "causes": overview.causes(document),
        "facts": facts.facts(document),
        "heat": heat.section(heats),
        "moves": migrationsection.section(document),
        "tool": for_html(facts.tool(document)),
        "data": payload.as_json(data),
        "transcripts": payload.as_json(transcripts),
    }
    # In one go: what stands in a slot is never looked at again.
    return _SLOT.sub(lambda slot: slots[slot[1]], _read("page.html"))


def _script() -> str:
    """The whole script; nothing of it is seen outside of it."""
    parts = "\n".join(_read("script", f"{name}.js") for name in _PARTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: this style, this script, no network."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _read(*names: str) -> str:
    return resources.files(__package__ or __name__).joinpath(*names).read_text(encoding="utf-8")
