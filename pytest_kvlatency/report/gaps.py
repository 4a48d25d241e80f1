"""The gaps of a document's entry, for reports that list numbers flat. Pure. What is absent is None, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What each gap is called where numbers stand in a list, without its unit.
GAPS: Final = ("longestGap", "preparationGap", "switchoverGap")


def gaps_of(entry: Mapping[str, Any]) -> dict[str, int | None]:
    """The length of each gap in nanoseconds."""
    migration = entry.get("migration") or {}
    found = {name: migration.get(name) for name in GAPS} | {"longestGap": entry.get("longestGap")}
    return {name: None if gap is None else gap["nanoSec"] for name, gap in found.items()}


def whole_milliseconds(nanoseconds: int) -> str:
    """Whole milliseconds, which is as exactly as a gap is known."""
    return f"{nanoseconds / 1e6:.0f}"


def milliseconds_up(nanoseconds: int | None) -> int | None:
    """Whole milliseconds, rounded up: a gap is never shown as shorter than it was."""
    return None if nanoseconds is None else -(-nanoseconds // 1_000_000)
