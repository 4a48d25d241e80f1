"""The table of migrations: both gaps of each, and the round-trip times before and after. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import ABSENT, is_own_check, pair, test_name
from pytest_kvlatency.report.gapnumbers import whole_milliseconds
from pytest_kvlatency.report.migrationrows import migration_rows, resolution
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal.columns import Columns, row
from pytest_kvlatency.report.terminal.resulttable import colour_of, gap_ms
from pytest_kvlatency.report.terminal.writer import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.migrationrows import MigrationRow
    from pytest_kvlatency.report.terminal.writer import Colour, Line

    Entry = Mapping[str, Any]

_TIMES: Final = "rtt before/after"
_COLUMNS: Final = Columns(optional=("network", "test", _TIMES), dispensable=(_TIMES, "lost"))
_ALL: Final = 10
_FEWEST: Final = 3


def table(entries: Sequence[Entry], width: int, room: int) -> list[Line]:
    """A headline and a row for each migration, the failed ones first, then those with the longest gaps.

    Of many there are as many as fit into ``room`` lines.
    """
    found = migration_rows(last_attempts(entries))
    if not found:
        return []
    most = max(_FEWEST, _ALL if len(found) <= _ALL else min(_ALL, room - 3))
    shown, left = found[:most], found[most:]
    has_names = any(not is_own_check(one.test) for one in found)
    networks = {one.measured["nad"] for one in found}
    rows = [(_cells(one, has_names=has_names), _colour(one)) for one in shown]
    where = ""
    if len(networks) == 1:
        # A column that says the same in each row has no room beside those that do not.
        where = f" on {rows[0][0]['network']}"
        for cells, _ in rows:
            cells["network"] = ""
    widths = _COLUMNS.widths([cells for cells, _ in rows], width)
    lines = [
        *wrapped(f"live migrations{where}: gaps in ms{_precision(shown)}", width),
        plain(row({name: name for name in widths}, widths), "bold"),
        *(plain(row(cells, widths), colour) for cells, colour in rows),
    ]
    return [*lines, plain(_left_out(left, shown))] if left else lines


def _left_out(left: Sequence[MigrationRow], shown: Sequence[MigrationRow]) -> str:
    longest, longest_shown = (max(one.longest for one in some) for some in (left, shown))
    # Those that failed come first, however short their gaps are.
    how = "" if longest > longest_shown else ", none with a longer gap"
    return f"and {len(left)} more migration{'' if len(left) == 1 else 's'}{how}"


def _cells(one: MigrationRow, *, has_names: bool) -> dict[str, str]:
    return {
        "network": printable(one.measured["nad"] or ABSENT),
        "nodes": printable(pair(one.measured)),
        "test": printable(test_name(one.test)) if has_names else "",
        "preparation": gap_ms(one.gaps["preparationGap"]),
        "switch-over": gap_ms(one.gaps["switchoverGap"]),
        "lost": ABSENT if one.lost is None else str(one.lost),
        _TIMES: _times(one.means),
        "verdict": printable(one.verdict),
    }


def _times(means: tuple[int | None, int | None]) -> str:
    said = ["?" if mean is None else f"{mean / 1e6:.3f}" for mean in means]
    return ABSENT if means == (None, None) else "/".join(said)


def _colour(one: MigrationRow) -> Colour:
    return colour_of(one.test) if one.is_own else ""


def _precision(shown: Sequence[MigrationRow]) -> str:
    known = resolution(shown)
    return "" if known is None else f" (±{whole_milliseconds(known)})"
