"""The document as a JSON file (``--kv-json``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.report import files

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


def write(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``document`` to ``path``, whole or not at all. Raises ``ReportError``."""
    files.write(dumps(document), path, name="JSON", option="--kv-json")


def dumps(document: Mapping[str, Any]) -> str:
    """JSON text, in pure ASCII: no encoding and no terminal can spoil it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
