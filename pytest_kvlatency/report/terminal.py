"""The document on a terminal: the table at the end, and the line of progress. Pure text; the writer colours it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.matrix import grid
from pytest_kvlatency.report.matrix.matrix import matrices, nodes_of
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix

TITLE: Final = "kvlatency"
#: What a narrow terminal does without, in this order.
_DISPENSABLE: Final = ("p50 ms", "p99 ms", "min ms", "sent/recv", "avg ms")
_LEFT: Final = ("network", "nodes", "verdict")
_NARROWEST_NAME: Final = 12
_ABSENT: Final = "-"
#: Beside a matrix, a table of more rows shows only so many of the failed, and so many of the slowest others.
_MOST_ROWS: Final = 20
_MOST_OTHERS: Final = 10
_ELSEWHERE: Final = "see --kv-json, --junitxml or --html"
_FAILED: Final = ("failed", "error")


class Writer(Protocol):
    """What is needed of pytest's terminal writer."""

    fullwidth: int

    def line(self, s: str = "", **markup: bool) -> None:
        """Write a line."""

    def sep(
        self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **markup: bool
    ) -> None:
        """Write a title in the middle of a rule."""


@dataclass(frozen=True, kw_only=True)
class ProgressState:
    """Where a run stands. ``worst`` is the pair with the highest round-trip time so far, and that time."""

    done: int
    total: int
    failed: int = 0
    waiting_for: str = ""
    worst: tuple[str, int] | None = None


def progress_line(state: ProgressState) -> str:
    """One line: how many pairs are done, the worst so far, and what is waited for."""
    parts = [f"kvlatency: {state.done}/{state.total} {'pair' if state.total == 1 else 'pairs'} done"]
    if state.failed:
        parts.append(f"{state.failed} failed")
    if state.worst is not None:
        parts.append(f"worst {state.worst[0]} {format_duration(state.worst[1])}")
    if state.waiting_for:
        parts.append(f"waiting for {state.waiting_for}")
    return printable(", ".join(parts))


def write_summary(writer: Writer, document: Mapping[str, Any]) -> None:
    """Write a table with a row per pair, causes and notes, and the matrices; nothing when nothing was to be measured.

    Networks that are shown as a matrix leave out rows where there are many.
    """
    entries = document["measurements"]
    if not entries:
        return
    writer.sep("=", TITLE)
    found = matrices(entries)
    shown, left_out = _selected(entries, found)
    head, *rows = table(shown, writer.fullwidth)
    writer.line(head, bold=True)
    for entry, row in zip(shown, rows, strict=True):
        writer.line(row, **_markup(entry))
    for line in (*left_out, *remarks(entries, shown)):
        writer.line(line)
    for matrix in found:
        writer.line()
        for line in grid.lines(matrix, writer.fullwidth):
            writer.line(line)


def table(entries: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Headline and rows, aligned, at most ``width`` columns wide as long as names can be shortened to do it."""
    rows = [_cells(entry) for entry in entries]
    columns = [name for name in rows[0] if name != "try" or any(row["try"] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    for name in _DISPENSABLE:
        if _total(widths) <= width:
            break
        del widths[name]
    for name in ("network", "nodes"):
        excess = _total(widths) - width
        if excess > 0:
            widths[name] = max(_NARROWEST_NAME, widths[name] - excess)
    lines = [{name: name for name in widths}, *rows]
    return ["  ".join(_align(name, line[name], widths[name]) for name in widths).rstrip() for line in lines]


def remarks(entries: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Causes of what failed, and what to know of the numbers; what several pairs share is said once.

    What concerns only pairs that are not shown is counted.
    """
    said: dict[str, list[str]] = {}
    visible: set[str] = set()
    seen = {id(entry) for entry in shown}
    for entry in entries:
        texts = ["note: " + printable(note) for note in entry["notes"]]
        if entry["failureReason"]:
            texts.insert(0, printable(entry["failureReason"]))
        for text in texts:
            said.setdefault(text, []).append(_place(entry))
        if id(entry) in seen:
            visible.update(texts)
    lines = []
    for text, places in said.items():
        rest = f" and {len(places) - 1} more" if len(places) > 1 else ""
        if text in visible:
            lines.append(text if len(entries) == 1 else f"{places[0]}{rest}: {text}")
    if len(visible) < len(said):
        lines.append(f"{len(said) - len(visible)} more causes and notes: {_ELSEWHERE}")
    return lines


def _selected(
    entries: Sequence[Mapping[str, Any]], found: Sequence[Matrix]
) -> tuple[Sequence[Mapping[str, Any]], list[str]]:
    """The rows to show, and what to say of the others. Only rows of networks with a matrix are left out."""
    nads = {matrix.nad: matrix for matrix in found}
    optional = [entry for entry in entries if entry["nad"] in nads]
    if len(optional) <= _MOST_ROWS:
        return entries, []
    failed = [entry for entry in optional if entry["outcome"] in _FAILED]
    # Those of a node that stands out last: below the matrix they are told in one line.
    failed.sort(key=lambda entry: not nads[entry["nad"]].stand_outs.keys().isdisjoint(nodes_of(entry) or ()))
    others = [entry for entry in optional if entry["outcome"] not in _FAILED]
    others.sort(key=lambda entry: entry["maxLatencyNanoSec"] or 0, reverse=True)
    kept = {id(entry) for entry in (*failed[:_MOST_ROWS], *others[:_MOST_OTHERS])}
    shown = [entry for entry in entries if entry["nad"] not in nads or id(entry) in kept]
    more = [
        (len(failed[_MOST_ROWS:]), "failed"),
        (len(others[_MOST_OTHERS:]), "others, none slower than these"),
    ]
    counts = [f"{count} {words}" for count, words in more if count]
    return shown, [f"and {', '.join(counts)}: {_ELSEWHERE}"] if counts else []


def _cells(entry: Mapping[str, Any]) -> dict[str, str]:
    sent, received = entry["transmitted"], entry["received"]
    loss = entry["lossPercent"]
    return {
        "network": printable(entry["nad"] or _ABSENT),
        "nodes": _nodes(entry),
        "try": str(entry["attempt"]) if entry["attempt"] > 1 else "",
        "sent/recv": _ABSENT if sent is None else f"{sent}/{received}",
        "loss": _ABSENT if loss is None else f"{loss:.3g}%",
        "min ms": _milliseconds(entry["minLatencyNanoSec"]),
        "avg ms": _milliseconds(entry["avgLatencyNanoSec"]),
        "p50 ms": _milliseconds(entry["p50LatencyNanoSec"]),
        "p99 ms": _milliseconds(entry["p99LatencyNanoSec"]),
        "max ms": _milliseconds(entry["maxLatencyNanoSec"]),
        "verdict": _verdict(entry),
    }


def _nodes(entry: Mapping[str, Any]) -> str:
    """The nodes as they really were, else as they were asked for."""
    if entry["sourceNode"] is None or entry["targetNode"] is None:
        return printable(entry["nodes"] or _ABSENT)
    return printable(f"{entry['sourceNode']} → {entry['targetNode']}")


def _place(entry: Mapping[str, Any]) -> str:
    return f"{printable(entry['nad'] or entry['nodeid'])} {_nodes(entry)}"


def _verdict(entry: Mapping[str, Any]) -> str:
    """The cause of what failed; else how the item ended, where that says more than the network's verdict."""
    outcome: str = entry["outcome"]
    if outcome in {"xfailed", "xpassed", "skipped", "notrun"}:
        return outcome if entry["failureKind"] is None else f"{outcome} ({entry['failureKind']})"
    if entry["failureKind"] is not None:
        return f"{outcome.upper()} {entry['failureKind']}"
    return "ok" if outcome == "passed" else outcome.upper()


def _markup(entry: Mapping[str, Any]) -> dict[str, bool]:
    if entry["outcome"] in {"failed", "error"}:
        return {"red": True}
    return {"green": True} if entry["outcome"] == "passed" else {"yellow": True}


def _milliseconds(nanoseconds: int | None) -> str:
    return _ABSENT if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _align(name: str, text: str, width: int) -> str:
    if len(text) > width:
        # Names differ at their ends as often as at their beginnings: the middle goes.
        keep = width - 1
        text = f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"
    return text.ljust(width) if name in _LEFT else text.rjust(width)
