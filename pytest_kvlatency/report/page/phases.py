"""The phases of a migration as bands on an axis of time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The phases in their order, as the style sheet colours them; those before Running are shades of one colour.
_LOOKS: Final = {
    "Pending": "p0",
    "Scheduling": "p1",
    "Scheduled": "p2",
    "PreparingTarget": "p3",
    "TargetReady": "p4",
    "Running": "p5",
    "Succeeded": "p6",
    "Failed": "p7",
}
_UNKNOWN: Final = "p2"


@dataclass(frozen=True, kw_only=True)
class Band:
    """A phase: its name, its class, and from when to when it was seen, in nanoseconds since the creation."""

    name: str
    look: str
    start: int
    end: int


def look_of(name: str) -> str:
    """The class of a phase; of one that only newer clusters have, that of a preparation."""
    return _LOOKS.get(name, _UNKNOWN)


def bands(migration: Mapping[str, Any]) -> list[Band]:
    """The phases that were seen, each until the next; the first begins with the migration, the last ends with it."""
    seen = [(printable(one["phase"]), one["seenNanoSec"]) for one in migration.get("phases") or ()]
    if not seen:
        return []
    starts = [0, *(at for _, at in seen[1:])]
    last = max(starts[-1], (migration["endedNanoSec"] or 0) - (migration["createdNanoSec"] or 0))
    return [
        Band(name=name, look=look_of(name), start=start, end=end)
        for (name, _), start, end in zip(seen, starts, [*starts[1:], last], strict=True)
    ]
