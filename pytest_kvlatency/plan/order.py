"""The order of names in which people look for them: worker2 before worker10. Pure."""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = re.compile(r"([0-9]+)")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts names so that numbers inside them count as numbers, before letters; equal only for equal names."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part
    ]
