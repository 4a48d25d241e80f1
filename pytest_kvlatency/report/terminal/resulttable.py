"""The table: what failed with the limit beside what broke it, and what else there is room for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.causes import numbers_by_test
from pytest_kvlatency.report.entries import (
    ABSENT,
    extra_verdict,
    fixture_of,
    is_failed,
    own_parameters,
    pair,
    test_name,
    verdict,
)
from pytest_kvlatency.report.gapnumbers import gap_milliseconds, gaps_of
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.terminal.columns import Columns, row
from pytest_kvlatency.report.terminal.writer import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Colour, Line

_COLUMNS: Final = Columns(
    optional=("test", "try", "min ms", "avg ms", "p50 ms", "p90 ms", "p99 ms", "gap ms"),
    dispensable=("gap ms", "p50 ms", "min ms", "sent/recv", "p90 ms", "p99 ms", "avg ms"),
)
#: Of one cause so many rows say as much as all of them.
MOST_ALIKE: Final = 3


def table(entries: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Headline and rows, aligned, at most ``width`` columns wide as long as names can be shortened to do it.

    What a test measured beyond its own check (``kv_ping``, ``kv_stream``) follows its row.
    """
    # Several tests of one pair are told apart by their names, which say nothing where each has its own.
    has_names = bool(_shared_pairs(entries)) or any(entry["extra"] for entry in entries)
    rows: list[tuple[dict[str, str], Colour]] = []
    for entry in entries:
        cells = _cells(entry, verdict(entry))
        if has_names:
            cells["test"] = printable(test_name(entry))
        rows.append((cells, colour_of(entry)))
        rows += [(_extra_cells(one, entry), "") for one in pings(entry)]
    widths = _COLUMNS.widths([cells for cells, _ in rows], width)
    lines = [plain(row({name: name for name in widths}, widths), "bold")]
    return lines + [plain(row(cells, widths), colour) for cells, colour in rows]


def height(entries: Iterable[Mapping[str, Any]]) -> int:
    """How many rows the entries take."""
    return sum(1 + len(pings(entry)) for entry in entries)


def pings(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a test measured beyond its own check, without the migrations that it made."""
    return [one for one in entry["extra"] if not is_move(one)]


def by_cause(
    document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> list[tuple[int, Mapping[str, Any]]]:
    """The failures: the worst of each cause first, then the next of each; with how many of its cause come before it."""
    of_cause = {nodeid: numbers[-1] for nodeid, numbers in numbers_by_test(document).items()}
    ranked: list[tuple[int, int, Mapping[str, Any]]] = []
    seen: dict[int, int] = {}
    failed = [entry for entry in entries if is_failed(entry)]
    worst = sorted(enumerate(failed), key=lambda one: (-(one[1]["maxLatencyNanoSec"] or 0), one[0]))
    for place, entry in worst:
        cause = of_cause.get(entry["nodeid"], len(of_cause) + place)
        seen[cause] = seen.get(cause, -1) + 1
        ranked.append((seen[cause], cause, entry))
    return [(before, entry) for before, _, entry in sorted(ranked, key=lambda one: one[:2])]


def _cells(entry: Mapping[str, Any], word: str) -> dict[str, str]:
    sent, received = entry["transmitted"], entry["received"]
    loss = entry["lossPercent"]
    attempt = entry.get("attempt", 1)
    return {
        "network": printable(entry["nad"] or ABSENT),
        "nodes": printable(pair(entry)),
        "test": "",
        "try": str(attempt) if attempt > 1 else "",
        "sent/recv": ABSENT if sent is None else f"{sent}/{received}",
        "loss": ABSENT if loss is None else f"{loss:.3g}%",
        **{
            f"{name} ms": _milliseconds(entry[f"{name}LatencyNanoSec"])
            for name in ("min", "avg", "p50", "p90", "p99", "max")
        },
        "gap ms": gap_ms(gaps_of(entry)["longestGap"]) if _asks_for_gaps(entry) else "",
        "verdict": printable(word),
    }


def _extra_cells(extra: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    """A row for what ``kv_ping`` or ``kv_stream`` measured."""
    cells = _cells(extra, extra_verdict(extra))
    own = own_parameters(extra, entry)
    return {**cells, "network": "", "nodes": "", "test": printable(f"  {fixture_of(extra)} {own}".rstrip())}


def _shared_pairs(entries: Sequence[Mapping[str, Any]]) -> set[tuple[str | None, str]]:
    """The networks and nodes that several tests measured."""
    tests: dict[tuple[str | None, str], set[str]] = {}
    for entry in entries:
        tests.setdefault((entry["nad"], pair(entry)), set()).add(entry["nodeid"])
    return {place for place, ids in tests.items() if len(ids) > 1}


def _asks_for_gaps(entry: Mapping[str, Any]) -> bool:
    """Whether the gap was what is measured: of a sample like others it says no more than its interval and loss."""
    limits = entry["limits"] or {}
    return limits.get("maxGapNanoSec") is not None or entry.get("repliesNanoSec") is not None


def gap_ms(nanoseconds: int | None) -> str:
    """A gap in whole milliseconds."""
    return ABSENT if nanoseconds is None else str(gap_milliseconds(nanoseconds))


def colour_of(entry: Mapping[str, Any]) -> Colour:
    """The colour of an entry's row."""
    if is_failed(entry):
        return "red"
    return "green" if entry["outcome"] == "passed" else "yellow"


def _milliseconds(nanoseconds: int | None) -> str:
    return ABSENT if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"
