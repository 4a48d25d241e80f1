"""The gaps of a document's entry, for reports that list numbers flat. Pure. What is absent is None, never 0.

Where reports do not give nanoseconds, all of them show a gap in whole milliseconds, which is as exactly as it is known,
and round up: a gap never looks shorter than it was, nor one over its limit as if it were within it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What each gap is called where numbers stand in a list, without its unit.
GAPS: Final = ("longestGap", "preparationGap", "switchoverGap")
_MILLISECOND: Final = 1_000_000


def gaps_of(entry: Mapping[str, Any]) -> dict[str, int | None]:
    """The length of each gap in nanoseconds."""
    migration = entry.get("migration") or {}
    found = {name: migration.get(name) for name in GAPS} | {"longestGap": entry.get("longestGap")}
    return {name: None if gap is None else gap["nanoSec"] for name, gap in found.items()}


def gap_milliseconds(nanoseconds: int) -> int:
    """A gap as reports show it."""
    return -(-nanoseconds // _MILLISECOND)


def gap_duration(nanoseconds: int) -> str:
    """A gap as reports show it, with its unit: ``1.37s``."""
    return format_duration(gap_milliseconds(nanoseconds) * _MILLISECOND)


def whole_milliseconds(nanoseconds: int) -> str:
    """How exactly gaps are known, which is the interval that ping kept."""
    return f"{nanoseconds / 1e6:.0f}"
