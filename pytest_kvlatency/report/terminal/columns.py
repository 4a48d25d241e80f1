"""Rows in aligned columns, as many of them and as wide as a terminal has room for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.report.entries import ABSENT, ARROW, MOVE
from pytest_kvlatency.report.terminal.writer import cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEFT: Final = ("network", "nodes", "test", "verdict")
_NARROWEST_NAME: Final = 12


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What a table does without: columns that no row fills, and, in this order, those for which there is no room."""

    optional: Sequence[str]
    dispensable: Sequence[str]

    def widths(self, rows: Sequence[Mapping[str, str]], width: int) -> dict[str, int]:
        """The columns that are shown, and how wide each is; names are shortened where they must be."""
        names = [
            name
            for name in rows[0]
            if name not in self.optional or any(row[name] not in ("", ABSENT) for row in rows)
        ]
        if "p99 ms" in names:
            # They say the same of a sample, the one more of it; the other is for those that are too small for that.
            names = [name for name in names if name != "p90 ms"]
        widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
        for name in self.dispensable:
            if _total(widths) <= width:
                break
            widths.pop(name, None)
        for name in ("network", "nodes", "test"):
            excess = _total(widths) - width
            if name in widths and excess > 0:
                widths[name] = max(min(_NARROWEST_NAME, widths[name]), widths[name] - excess)
        return widths


def row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """One row, or the heads, in columns of these widths."""
    parts = []
    for name, width in widths.items():
        text = cells[name] if name == "verdict" else _cut_ends(cells[name], width)
        parts.append(text.ljust(width) if name in _LEFT else text.rjust(width))
    return "  ".join(parts).rstrip()


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _cut_ends(text: str, width: int) -> str:
    """As ``cut``; of a pair each node by itself, so that rows of one node's pairs still differ."""
    arrow = ARROW if ARROW in text else MOVE
    first, found, rest = text.partition(arrow)
    if not found or len(text) <= width:
        return cut(text, width)
    room = max(width - len(arrow), 0)
    # The shorter name leaves what it does not need to the longer ones.
    others = 1 + rest.count(MOVE)
    share = min(len(first), max(room - room * others // (others + 1), room - len(rest)))
    return f"{cut(first, share)}{arrow}{_cut_ends(rest, room - share)}"
