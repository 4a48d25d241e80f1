"""The table: what failed with the limit beside what broke it, and what else there is room for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.causes import numbers_by_test
from pytest_kvlatency.report.entries import ABSENT, ARROW, is_failed, own_parameters, pair, test_name, verdict
from pytest_kvlatency.report.terminal.writer import cut, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Colour, Line

_LEFT: Final = ("network", "nodes", "test", "verdict")
#: What a narrow terminal does without, in this order.
_DISPENSABLE: Final = ("p50 ms", "min ms", "sent/recv", "p90 ms", "p99 ms", "avg ms")
#: What is only there when a row fills it.
_OPTIONAL: Final = ("test", "try", "min ms", "avg ms", "p50 ms", "p90 ms", "p99 ms")
_NARROWEST_NAME: Final = 12
#: Of one cause so many rows say as much as all of them.
MOST_ALIKE: Final = 3


def table(entries: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Headline and rows, aligned, at most ``width`` columns wide as long as names can be shortened to do it.

    What a test measured beyond its own check (``kv_ping``) follows its row.
    """
    # Several tests of one pair are told apart by their names, which say nothing where each has its own.
    has_names = bool(_shared_pairs(entries)) or any(entry["extra"] for entry in entries)
    rows: list[tuple[dict[str, str], Colour]] = []
    for entry in entries:
        cells = _cells(entry, verdict(entry))
        if has_names:
            cells["test"] = printable(test_name(entry))
        rows.append((cells, _colour(entry)))
        rows += [(_extra_cells(one, entry), "") for one in entry["extra"]]
    widths = _widths([cells for cells, _ in rows], width)
    lines = [plain(_row({name: name for name in widths}, widths), "bold")]
    return lines + [plain(_row(cells, widths), colour) for cells, colour in rows]


def height(entries: Iterable[Mapping[str, Any]]) -> int:
    """How many rows the entries take."""
    return sum(1 + len(entry["extra"]) for entry in entries)


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


def _widths(rows: Sequence[Mapping[str, str]], width: int) -> dict[str, int]:
    """The columns that are shown, and how wide each is."""
    names = [
        name
        for name in rows[0]
        if name not in _OPTIONAL or any(row[name] not in ("", ABSENT) for row in rows)
    ]
    if "p99 ms" in names:
        # They say the same of a sample, the one more of it; the other is for those that are too small for that.
        names = [name for name in names if name != "p90 ms"]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for name in _DISPENSABLE:
        if _total(widths) <= width:
            break
        widths.pop(name, None)
    for name in _names(widths):
        excess = _total(widths) - width
        if excess > 0:
            widths[name] = max(min(_NARROWEST_NAME, widths[name]), widths[name] - excess)
    return widths


def _names(widths: Mapping[str, int]) -> Iterator[str]:
    """The columns of names, which can be shortened."""
    return (name for name in ("network", "nodes", "test") if name in widths)


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
        "min ms": _milliseconds(entry["minLatencyNanoSec"]),
        "avg ms": _milliseconds(entry["avgLatencyNanoSec"]),
        "p50 ms": _milliseconds(entry["p50LatencyNanoSec"]),
        "p90 ms": _milliseconds(entry["p90LatencyNanoSec"]),
        "p99 ms": _milliseconds(entry["p99LatencyNanoSec"]),
        "max ms": _milliseconds(entry["maxLatencyNanoSec"]),
        "verdict": printable(word),
    }


def _extra_cells(extra: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    """A row for what ``kv_ping`` measured; it has no limits, so there is no verdict but that it failed."""
    cells = _cells(extra, "" if extra["failureKind"] is None else f"FAILED {extra['failureKind']}")
    own = own_parameters(extra, entry)
    return {**cells, "network": "", "nodes": "", "test": printable(f"  kv_ping {own}".rstrip())}


def _shared_pairs(entries: Sequence[Mapping[str, Any]]) -> set[tuple[str | None, str]]:
    """The networks and nodes that several tests measured."""
    tests: dict[tuple[str | None, str], set[str]] = {}
    for entry in entries:
        tests.setdefault((entry["nad"], pair(entry)), set()).add(entry["nodeid"])
    return {place for place, ids in tests.items() if len(ids) > 1}


def _colour(entry: Mapping[str, Any]) -> Colour:
    if is_failed(entry):
        return "red"
    return "green" if entry["outcome"] == "passed" else "yellow"


def _milliseconds(nanoseconds: int | None) -> str:
    return ABSENT if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _cut_ends(text: str, width: int) -> str:
    """As ``cut``; of a pair each node by itself, so that rows of one node's pairs still differ."""
    source, arrow, target = text.partition(ARROW)
    if not arrow or len(text) <= width:
        return cut(text, width)
    room = max(width - len(arrow), 0)
    # The shorter name leaves what it does not need to the longer one.
    first = min(len(source), max(room - room // 2, room - len(target)))
    return f"{cut(source, first)}{arrow}{cut(target, room - first)}"


def _row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    parts = []
    for name, width in widths.items():
        text = cells[name] if name == "verdict" else _cut_ends(cells[name], width)
        parts.append(text.ljust(width) if name in _LEFT else text.rjust(width))
    return "  ".join(parts).rstrip()
