"""The document as matrices: nodes by nodes of each network, its worst cells, and the nodes that stand out. Pure.

A cell is a pair as it was measured: its row is the source, its column the target. Of each item the last attempt
counts, and of several items with one pair the worst. A pair whose target migrated is none of two nodes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.matrix.cell import MARKS, WORDS, WORST_MARK, Cell, milliseconds
from pytest_kvlatency.report.matrix.standouts import rule, slow_nodes, stand_outs
from pytest_kvlatency.report.places import is_move, nodes_of
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.cell import State

FEWEST_PAIRS: Final = 3
FEWEST_NODES: Final = 3
#: Among those within their limits the worst exceed the median so many times.
_FACTOR: Final = 3


@dataclass(frozen=True)
class Matrix:
    """One network's pairs between its nodes; both in natural order (worker2 before worker10)."""

    nad: str
    nodes: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    def cell(self, source: str, target: str) -> Cell | None:
        """The pair in this direction; None when it was no item."""
        return self.cells.get((source, target))

    def mirrored(self, source: str, target: str) -> Cell | None:
        """The pair in the other direction, when it is an item only there."""
        return None if (source, target) in self.cells else self.cells.get((target, source))

    @cached_property
    def is_limited(self) -> bool:
        """Whether any pair has a limit of its time."""
        return any(cell.is_limited for cell in self.cells.values())

    @cached_property
    def has_time_limit(self) -> bool:
        """Whether any pair has a limit of its worst time, which is what is shown."""
        return any(cell.limit_ns is not None for cell in self.cells.values())

    @cached_property
    def span_ns(self) -> tuple[int, int]:
        """The fastest and the slowest pair's time; zeros when no pair has one."""
        times = [one.max_ns for one in self.cells.values() if one.max_ns is not None]
        return (min(times), max(times)) if times else (0, 0)

    @property
    def worst_cell(self) -> Cell | None:
        """The worst pair of all; None when nothing was measured."""
        return self.worst[0] if self.worst else None

    @cached_property
    def worst(self) -> tuple[Cell, ...]:
        """All pairs that were measured or failed, the worst first."""
        known = [cell for cell in self.cells.values() if cell.state != "missing"]
        return tuple(sorted(known, key=lambda one: one.badness, reverse=True))

    @cached_property
    def worst_elsewhere(self) -> tuple[Cell, ...]:
        """As ``worst``, without the pairs of nodes that stand out: one broken node would fill any list."""
        return tuple(one for one in self.worst if not {one.source, one.target} & self.stand_outs.keys())

    @cached_property
    def starred(self) -> frozenset[tuple[str, str]]:
        """The worst of those within their limits.

        That is the slowest when nothing failed, and whatever exceeds three times the median and half of the slowest.
        """
        times = [one.max_ns for one in self.cells.values() if one.max_ns is not None]
        if not times or min(times) == max(times):
            return frozenset()
        bound = max(_FACTOR * median(times), max(times) / 2)
        slowest = max(times) if not any(one.is_failed for one in self.cells.values()) else None
        return frozenset(
            place
            for place, one in self.cells.items()
            if one.state == "ok" and one.max_ns is not None and (one.max_ns > bound or one.max_ns == slowest)
        )

    def mark(self, cell: Cell) -> str:
        """The cell's mark; empty for a pair that is neither failed nor among the worst."""
        if cell.state == "ok":
            return WORST_MARK if (cell.source, cell.target) in self.starred else ""
        return MARKS[cell.state]

    def text(self, cell: Cell) -> str:
        """The cell's value and its mark: milliseconds, and what was lost; of too much loss that alone."""
        if cell.state in ("dead", "error", "missing"):
            return self.mark(cell)
        lost = f"{cell.loss_percent:.2g}%" if cell.loss_percent else ""
        if cell.state == "loss":
            return lost + self.mark(cell)
        value = "" if cell.max_ns is None else milliseconds(cell.max_ns)
        return value + self.mark(cell) + (f"/{lost}" if lost else "")

    @cached_property
    def counts(self) -> str:
        """How many pairs there are, and what became of them."""
        counter = Counter(cell.state for cell in self.cells.values())
        words: dict[State, str] = {"ok": "ok", **WORDS, "missing": "not measured"}
        parts = [f"{counter[state]} {text}" for state, text in words.items() if counter[state]]
        return f"{len(self.nodes)} nodes, {len(self.cells)} pairs: {', '.join(parts)}"

    @cached_property
    def stand_outs(self) -> Mapping[str, str]:
        """Nodes that differ from the others, each with a line that says in what; ``all nodes`` when none differs."""
        return stand_outs(self.nodes, tuple(self.cells.values()), by_scale=not self.is_limited)

    @cached_property
    def slow_nodes(self) -> Mapping[str, str]:
        """Of those that stand out the nodes that are only slow, where no limit says how slow is too slow."""
        if self.is_limited:
            return {}
        slow = slow_nodes(self.nodes, tuple(self.cells.values()))
        return {node: line for node, line in slow.items() if self.stand_outs.get(node) == line}

    @property
    def rule(self) -> str:
        """When a node stands out, in one sentence."""
        return rule(by_scale=not self.is_limited)


def matrices(entries: Sequence[Mapping[str, Any]]) -> tuple[Matrix, ...]:
    """A matrix for each network with at least three pairs between at least three nodes, in the document's order."""
    of_nad: dict[str, dict[tuple[str, str], Cell]] = {}
    for entry in last_attempts(entries):
        nodes = nodes_of(entry)
        if entry["nad"] is None or nodes is None or is_move(entry):
            continue
        cells = of_nad.setdefault(entry["nad"], {})
        cell = _cell(entry, *nodes)
        cells[nodes] = max(cells.get(nodes, cell), cell, key=lambda one: one.badness)
    found = []
    for nad, cells in of_nad.items():
        names = tuple(sorted({node for place in cells for node in place}, key=natural_key))
        if len(names) >= FEWEST_NODES and len(cells) >= FEWEST_PAIRS:
            found.append(Matrix(nad, names, cells))
    return tuple(found)


def _cell(entry: Mapping[str, Any], source: str, target: str) -> Cell:
    limits = entry["limits"] or {}
    return Cell(
        source=source,
        target=target,
        state=_state(entry),
        max_ns=entry["maxLatencyNanoSec"],
        limit_ns=limits.get("maxLatencyNanoSec"),
        is_limited=any(
            limits.get(name) is not None
            for name in ("maxLatencyNanoSec", "maxAvgLatencyNanoSec", "maxP99LatencyNanoSec")
        ),
        kind=entry["failureKind"],
        reason=entry["failureReason"] or "",
        nodeid=entry["nodeid"],
        attempt=entry["attempt"],
        loss_percent=entry["lossPercent"],
    )


def _state(entry: Mapping[str, Any]) -> State:
    """The network's verdict: what the test itself found wrong is not the pair's."""
    kind = entry["failureKind"]
    if entry["transmitted"] is None:
        return "missing" if kind is None or entry["outcome"] in ("notrun", "skipped") else "error"
    if kind == "connectivity" or not entry["received"]:
        return "dead"
    if kind == "loss":
        return "loss"
    if kind in ("latency", "gap"):
        return "over"
    return "ok" if entry["succeeded"] else "error"
