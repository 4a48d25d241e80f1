"""The table of migrations: both gaps of each, and the round-trip times before and after. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import ABSENT, is_failed, pair, test_name, verdict
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal.columns import Columns, row
from pytest_kvlatency.report.terminal.failures import colour_of, gap_ms
from pytest_kvlatency.report.terminal.writer import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Colour, Line

    Entry = Mapping[str, Any]

_TIMES: Final = "rtt before/after"
_COLUMNS: Final = Columns(optional=("network", "test", _TIMES), dispensable=(_TIMES, "lost"))
_ALL: Final = 10
_FEWEST: Final = 3
_OWN_CHECK: Final = "kvlatency::check["


def table(entries: Sequence[Entry], width: int, room: int) -> list[Line]:
    """A headline and a row for each migration, the failed ones first, then those with the longest gaps.

    Of many there are as many as fit into ``room`` lines.
    """
    found = sorted(_migrations(last_attempts(entries)), key=_badness)
    if not found:
        return []
    most = max(_FEWEST, _ALL if len(found) <= _ALL else min(_ALL, room - 3))
    shown, left = found[:most], found[most:]
    has_names = any(not entry["nodeid"].startswith(_OWN_CHECK) for entry, _ in found)
    networks = {one["nad"] for _, one in found}
    rows = [(_cells(entry, one, has_names=has_names), _colour(entry, one)) for entry, one in shown]
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


def _left_out(left: Sequence[tuple[Entry, Entry]], shown: Sequence[tuple[Entry, Entry]]) -> str:
    longest, longest_shown = (max(_longest(one) for _, one in some) for some in (left, shown))
    # Those that failed come first, however short their gaps are.
    how = "" if longest > longest_shown else ", none with a longer gap"
    return f"and {len(left)} more migration{'' if len(left) == 1 else 's'}{how}"


def _migrations(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Each migration, in front of it the test that it belongs to."""
    for entry in entries:
        if is_move(entry):
            yield entry, entry
        for extra in entry["extra"]:
            if is_move(extra):
                yield entry, extra


def _badness(found: tuple[Entry, Entry]) -> tuple[bool, int]:
    entry, one = found
    return not is_failed(entry), -_longest(one)


def _longest(one: Entry) -> int:
    found: int = (one.get("longestGap") or {}).get("nanoSec", 0)
    return found


def _cells(entry: Entry, one: Entry, *, has_names: bool) -> dict[str, str]:
    migration = one.get("migration") or {}
    lost = None if one["transmitted"] is None else one["transmitted"] - one["received"]
    own = (
        verdict(entry)
        if one is entry
        else ""
        if one["failureKind"] is None
        else f"FAILED {one['failureKind']}"
    )
    return {
        "network": printable(one["nad"] or ABSENT),
        "nodes": printable(pair(one)),
        "test": printable(test_name(entry)) if has_names else "",
        "preparation": gap_ms(migration.get("preparationGap")),
        "switch-over": gap_ms(migration.get("switchoverGap")),
        "lost": ABSENT if lost is None else str(lost),
        _TIMES: _times(migration),
        "verdict": printable(own),
    }


def _times(migration: Mapping[str, Any]) -> str:
    """The means before and after."""
    both = [migration.get(name) for name in ("rttBefore", "rttAfter")]
    said = ["?" if one is None else f"{one['avgNanoSec'] / 1e6:.3f}" for one in both]
    return "/".join(said) if any(both) else ABSENT


def _colour(entry: Entry, one: Entry) -> Colour:
    return colour_of(entry) if one is entry else ""


def _precision(shown: Sequence[tuple[Entry, Entry]]) -> str:
    """How exactly the gaps are known: to the interval that ping kept; of several the longest."""
    known = [one["gapResolutionNanoSec"] for _, one in shown if one.get("gapResolutionNanoSec")]
    return f" (±{max(known) / 1e6:.0f})" if known else ""
