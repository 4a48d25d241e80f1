"""The document on a terminal: the table at the end, and the line of progress. Pure text; the writer colours it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_kvlatency.report.escape import printable
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TITLE: Final = "kvlatency"
#: What a narrow terminal does without, in this order.
_DISPENSABLE: Final = ("p50 ms", "p99 ms", "min ms", "sent/recv", "avg ms")
_LEFT: Final = ("network", "nodes", "verdict")
_NARROWEST_NAME: Final = 12
_ABSENT: Final = "-"


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
    """Write the table: a row per pair, then causes and notes. Nothing when nothing was to be measured."""
    entries = document["measurements"]
    if not entries:
        return
    writer.sep("=", TITLE)
    head, *rows = table(entries, writer.fullwidth)
    writer.line(head, bold=True)
    for entry, row in zip(entries, rows, strict=True):
        writer.line(row, **_markup(entry))
    for line in remarks(entries):
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


def remarks(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Causes of what failed, and what to know of the numbers; what several pairs share is said once."""
    said: dict[str, list[str]] = {}
    for entry in entries:
        if entry["failureReason"]:
            said.setdefault(printable(entry["failureReason"]), []).append(_place(entry))
        for note in entry["notes"]:
            said.setdefault("note: " + printable(note), []).append(_place(entry))
    lines = []
    for text, places in said.items():
        rest = f" and {len(places) - 1} more" if len(places) > 1 else ""
        lines.append(text if len(entries) == 1 else f"{places[0]}{rest}: {text}")
    return lines


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
