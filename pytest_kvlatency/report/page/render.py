"""The document as one self-contained page. Pure, but for ``write``.

The page's own text is made here, and everything in it is escaped; what is drawn on demand the script draws from
the data (``payload``). The Content-Security-Policy lets nothing else run, and nothing be fetched.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html
from pytest_kvlatency.report import files
from pytest_kvlatency.report.page import facts, heat, inlined, migrationsection, overview, payload

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

_SLOT: Final = re.compile(r"<!-- (\w+) -->")


def write(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the page to ``path``, whole or not at all. Raises ``ReportError``."""
    text = render(document, folder=Path(path).absolute().parent)
    files.write(text, path, name="HTML", option="--kv-html")


def render(document: Mapping[str, Any], *, folder: Path | None = None) -> str:
    """Give the page of a document; ``folder`` is where it will lie, from which artifacts are linked."""
    heats = heat.heats(document)
    data = payload.payload(document, heats, folder=folder)
    style, script = inlined.style(), inlined.script()
    slots = {
        "title": for_html(overview.title(document)),
        "policy": inlined.policy(style, script),
        "style": style,
        "script": script,
        "verdict": overview.verdict(document),
        "causes": overview.causes(document),
        "facts": facts.facts(document),
        "heat": heat.section(heats),
        "moves": migrationsection.section(document),
        "tool": for_html(facts.tool(document)),
        "data": payload.as_json(data),
        "transcripts": payload.as_json(payload.transcripts(document)),
    }
    # In one go: what stands in a slot is never looked at again.
    return _SLOT.sub(lambda slot: slots[slot[1]], inlined.template())
