"""The document as JSON (``--kv-json``), and read from it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Beyond it no number of a document makes sense: in nanoseconds 292 years.
_MOST: Final = 2**63 - 1
_SHOWN: Final = 20


def dumps(document: Mapping[str, Any]) -> str:
    """JSON text, in pure ASCII: no encoding and no terminal can spoil it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def loads(text: str) -> object:
    """Read JSON. Raises ``ValueError`` where it is none, or has numbers that cannot be computed with."""
    return json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_int)


def _float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _int(text: str) -> int:
    value = int(text)
    return value if abs(value) <= _MOST else _no_number(text)


def _no_number(text: str) -> NoReturn:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    raise ValueError(f"{shown} is out of range")
