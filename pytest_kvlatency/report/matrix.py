"""The document as matrices: nodes by nodes of each network, its worst cells, and the nodes that stand out. Pure.

A cell is a pair as it was measured: its row is the source, its column the target. Of each item the last attempt
counts, and of several items with one pair the worst.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_kvlatency.report.escape import printable
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: What became of a pair, the best first.
State = Literal["missing", "ok", "over", "loss", "error", "dead"]
STATES: Final[tuple[State, ...]] = ("missing", "ok", "over", "loss", "error", "dead")
#: One character for each state but ``ok``.
MARKS: Final[Mapping[State, str]] = {"over": "!", "loss": "L", "dead": "x", "error": "E", "missing": "-"}
WORST_MARK: Final = "*"
#: What each mark means, in the order of a legend.
MEANINGS: Final = {
    WORST_MARK: "the worst",
    "!": "over the limit",
    "L": "too much loss",
    "x": "no connectivity",
    "E": "error",
    "-": "not measured",
}
_WORDS: Final[Mapping[State, str]] = {
    "dead": "without connectivity",
    "loss": "with too much loss",
    "over": "over the limit",
    "error": "in error",
}
_BLAMES: Final = {"provision": "could not be provisioned", "guest": "its guest failed"}

FEWEST_PAIRS: Final = 3
FEWEST_NODES: Final = 3
#: A node stands out when so many of its pairs failed, of at least two.
_NEARLY_ALL: Final = 0.8
_FEWEST_FAILED: Final = 2
#: It stands out by scale when the median of its pairs exceeds that of all others so many times.
_FACTOR: Final = 3
_FEWEST_TO_COMPARE: Final = 3
_REASON_CHARACTERS: Final = 200
_STAGE: Final = re.compile(r"(?:config|setup|run|teardown): ")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One pair. ``max_ns`` is its worst round-trip time, ``limit_ns`` the limit of that; None where there is none."""

    source: str
    target: str
    state: State
    max_ns: int | None = None
    limit_ns: int | None = None
    is_limited: bool = False
    kind: str | None = None
    reason: str = ""
    nodeid: str = ""
    attempt: int = 1

    @property
    def is_failed(self) -> bool:
        """Whether the pair has no numbers, or they are beyond a limit."""
        return self.state not in ("ok", "missing")

    @property
    def badness(self) -> tuple[int, int]:
        """Sorts the worst last: by what became of it, then by time."""
        return STATES.index(self.state), self.max_ns or 0

    @property
    def anchor(self) -> str:
        """What the HTML row of the item's attempt is called."""
        return anchor(self.nodeid, self.attempt)

    def touches(self, node: str) -> bool:
        """Whether the node is one of the two."""
        return node in (self.source, self.target)


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
        if not times:
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
        """The cell's value in milliseconds, where it has one, and its mark."""
        value = "" if cell.max_ns is None or cell.state in ("dead", "error") else milliseconds(cell.max_ns)
        return value + self.mark(cell)

    @cached_property
    def counts(self) -> str:
        """How many pairs there are, and what became of them."""
        counter = Counter(cell.state for cell in self.cells.values())
        words: dict[State, str] = {"ok": "ok", **_WORDS, "missing": "not measured"}
        parts = [f"{counter[state]} {text}" for state, text in words.items() if counter[state]]
        return f"{len(self.nodes)} nodes, {len(self.cells)} pairs: {', '.join(parts)}"

    @cached_property
    def stand_outs(self) -> Mapping[str, str]:
        """Nodes that differ from the others, each with a line that says in what; ``all nodes`` when none differs.

        A node's pairs are those in its row and its column. One whose failure is the same in several pairs, and in none
        without it, is named with it. A node stands out when at least 80 % of its pairs failed, of at least two, not
        counting those explained by another node; and, when there is no limit, when the median of its pairs exceeds
        three times that of all others, with three of each at least.
        """
        known = [cell for cell in self.cells.values() if cell.state != "missing"]
        blamed = _blamed(known)
        lines = {node: _blame(node, known, reason) for reason, node in blamed.items()}
        left = [cell for cell in known if not (cell.state == "error" and cell.reason in blamed)]
        of_node = {
            node: [cell for cell in left if cell.touches(node)] for node in self.nodes if node not in lines
        }
        failing = {node: _failed(node, cells) for node, cells in of_node.items()}
        lines |= {node: line for node, line in failing.items() if line}
        if len(lines) == len(self.nodes) and not blamed:
            return {"all nodes": _failed("all nodes", known)}
        if not self.is_limited:
            slow = {node: _slow(node, known) for node in self.nodes if node not in lines}
            lines |= {node: line for node, line in slow.items() if line}
        return {node: lines[node] for node in self.nodes if node in lines}

    @property
    def rule(self) -> str:
        """When a node stands out, in one sentence."""
        failed = "at least 80% of its pairs failed"
        if self.is_limited:
            return f"a node stands out when {failed}"
        return (
            f"a node stands out when {failed}, or when the median of its pairs' worst times "
            f"exceeds {_FACTOR} times that of all other pairs"
        )


def matrices(entries: Sequence[Mapping[str, Any]]) -> tuple[Matrix, ...]:
    """A matrix for each network with at least three pairs between at least three nodes, in the document's order."""
    of_nad: dict[str, dict[tuple[str, str], Cell]] = {}
    for entry in last_attempts(entries):
        nodes = nodes_of(entry)
        if entry["nad"] is None or nodes is None:
            continue
        cells = of_nad.setdefault(entry["nad"], {})
        cell = _cell(entry, *nodes)
        cells[nodes] = max(cells.get(nodes, cell), cell, key=lambda one: one.badness)
    found = []
    for nad, cells in of_nad.items():
        names = tuple(sorted({node for place in cells for node in place}, key=_natural))
        if len(names) >= FEWEST_NODES and len(cells) >= FEWEST_PAIRS:
            found.append(Matrix(nad, names, cells))
    return tuple(found)


def last_attempts(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Only the last attempt at each item, in order."""
    return list({entry["nodeid"]: entry for entry in entries}.values())


def nodes_of(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Source and target: where the guests really ran, else as asked for; None when neither is known."""
    asked: list[str | None] = [None, None]
    if entry["nodes"] is not None and ":" in entry["nodes"]:
        asked = entry["nodes"].split(":", 1)
    source, target = entry["sourceNode"] or asked[0], entry["targetNode"] or asked[1]
    return None if source is None or target is None else (source, target)


def anchor(nodeid: str, attempt: int) -> str:
    """A name for the HTML row of one attempt at an item: of letters and digits, whatever the id holds."""
    digest = sha256(nodeid.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"kv-{digest}-{attempt}"


def milliseconds(nanoseconds: int) -> str:
    """Milliseconds as precise as is of use: about three digits, and never finer than a microsecond."""
    value = nanoseconds / 1e6
    digits = next((n for bound, n in ((0.0995, 3), (9.995, 2), (99.95, 1)) if value < bound), 0)
    return f"{value:.{digits}f}"


def described(cell: Cell) -> str:
    """A pair in words, for those who do not see the table."""
    parts = [] if cell.max_ns is None else [f"worst {format_duration(cell.max_ns)}"]
    if cell.limit_ns is not None:
        parts.append(f"limit {format_duration(cell.limit_ns)}")
    words = {"ok": "ok", "missing": "not measured", **_WORDS}
    parts.append(words[cell.state])
    if cell.is_failed and cell.reason:
        parts.append(_short(cell.reason))
    return f"{cell.source} → {cell.target}: {', '.join(parts)}"


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
    if kind == "latency":
        return "over"
    return "ok" if entry["succeeded"] else "error"


def _blamed(cells: Sequence[Cell]) -> dict[str, str]:
    """Reasons of errors that several pairs share, and that exactly one node is part of wherever they occur."""
    places: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.state == "error" and cell.reason:
            places.setdefault(cell.reason, []).append(cell)
    blamed = {}
    for reason, found in places.items():
        shared = set.intersection(*({cell.source, cell.target} for cell in found))
        if len(found) >= _FEWEST_FAILED and len(shared) == 1:
            blamed[reason] = shared.pop()
    return blamed


def _blame(node: str, cells: Sequence[Cell], reason: str) -> str:
    own = [cell for cell in cells if cell.touches(node)]
    hit = [cell for cell in own if cell.reason == reason]
    what = _BLAMES.get(hit[0].kind or "")
    count = f"{len(hit)} of {len(own)} pairs"
    if what is None:
        return f"{node}: {count} in error ({_short(reason)})"
    where = "" if len(hit) == len(own) else f" in {count}"
    return f"{node}: {what}{where} ({_short(reason)})"


def _failed(node: str, cells: Sequence[Cell]) -> str:
    """How many of a node's pairs failed in which way; empty when it does not stand out by that."""
    failed = Counter(cell.state for cell in cells if cell.is_failed)
    if failed.total() < max(_FEWEST_FAILED, _NEARLY_ALL * len(cells)):
        return ""
    first, *others = sorted(failed, key=STATES.index, reverse=True)
    parts = [f"{failed[first]} of {len(cells)} pairs {_WORDS[first]}"]
    return f"{node}: " + ", ".join(parts + [f"{failed[state]} {_WORDS[state]}" for state in others])


def _slow(node: str, cells: Sequence[Cell]) -> str:
    timed = [(cell.touches(node), cell.max_ns) for cell in cells if cell.max_ns is not None]
    own = [time for is_own, time in timed if is_own]
    rest = [time for is_own, time in timed if not is_own]
    if min(len(own), len(rest)) < _FEWEST_TO_COMPARE or median(own) <= _FACTOR * median(rest):
        return ""
    return (
        f"{node}: median of {len(own)} pairs {milliseconds(int(median(own)))} ms, "
        f"of all others {milliseconds(int(median(rest)))} ms"
    )


def _short(reason: str) -> str:
    """A reason on one line, without its stage."""
    text = printable(_STAGE.sub("", reason, count=1))
    return text if len(text) <= _REASON_CHARACTERS else f"{text[: _REASON_CHARACTERS - 1]}…"


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sorts numbers inside names by their value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"([0-9]+)", name) if part]
