"""Which nodes differ from the others, and in what. Pure.

A node's pairs are those in its row and its column. It stands out

* when a failure is the same in several of its pairs, and in none without it;
* when at least 80 % of its pairs failed, of at least two, not counting those explained by another node;
* when there is no limit, and the median of its pairs exceeds three times that of all others, with at least three of
  each.
"""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.report.matrix.cell import STATES, WORDS, milliseconds, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.cell import Cell

#: Stands for a node's name when no node differs.
ALL_NODES: Final = "all nodes"
_BLAMES: Final = {"provision": "could not be provisioned", "guest": "its guest failed"}

#: A node stands out when so many of its pairs failed, of at least two.
_NEARLY_ALL: Final = 0.8
_FEWEST_FAILED: Final = 2
#: It stands out by scale when the median of its pairs exceeds that of all others so many times.
_FACTOR: Final = 3
_FEWEST_TO_COMPARE: Final = 3


def stand_outs(nodes: Sequence[str], cells: Sequence[Cell], *, by_scale: bool) -> Mapping[str, str]:
    """Give the nodes that stand out, each with a line that says in what; ``ALL_NODES`` when all fail alike."""
    known = [cell for cell in cells if cell.state != "missing"]
    of_node: dict[str, list[Cell]] = {node: [] for node in nodes}
    for cell in known:
        for node in {cell.source, cell.target}:
            of_node[node].append(cell)
    blamed = _blamed(known)
    lines = {node: _blame(node, of_node[node], reason) for reason, node in blamed.items()}
    for node in nodes:
        left = [one for one in of_node[node] if not (one.state == "error" and one.reason in blamed)]
        line = "" if node in lines else _failed(node, left)
        if line:
            lines[node] = line
    if len(lines) == len(nodes) and not blamed:
        return {ALL_NODES: _failed(ALL_NODES, known)}
    if by_scale:
        lines = slow_nodes(nodes, cells) | lines
    return {node: lines[node] for node in nodes if node in lines}


def slow_nodes(nodes: Sequence[str], cells: Sequence[Cell]) -> dict[str, str]:
    """Give the nodes that stand out by scale, each with a line that compares it with all others."""
    known = [cell for cell in cells if cell.state != "missing"]
    times = sorted(one.max_ns for one in known if one.max_ns is not None)
    slow = {node: _slow(node, [one for one in known if one.touches(node)], known, times) for node in nodes}
    return {node: line for node, line in slow.items() if line}


def rule(*, by_scale: bool) -> str:
    """When a node stands out, in one sentence."""
    text = f"a node stands out when at least {_NEARLY_ALL:.0%} of its pairs failed"
    if not by_scale:
        return text
    return f"{text}, or when the median of its pairs' worst times exceeds {_FACTOR} times that of all other pairs"


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


def _blame(node: str, own: Sequence[Cell], reason: str) -> str:
    hit = [cell for cell in own if cell.reason == reason]
    what = _BLAMES.get(hit[0].kind or "")
    count = f"{len(hit)} of {len(own)} pairs"
    if what is None:
        return f"{node}: {count} in error ({short(reason)})"
    where = "" if len(hit) == len(own) else f" in {count}"
    return f"{node}: {what}{where} ({short(reason)})"


def _failed(node: str, cells: Sequence[Cell]) -> str:
    """How many of a node's pairs failed in which way; empty when it does not stand out by that."""
    failed = Counter(cell.state for cell in cells if cell.is_failed)
    if failed.total() < max(_FEWEST_FAILED, _NEARLY_ALL * len(cells)):
        return ""
    first, *others = sorted(failed, key=STATES.index, reverse=True)
    parts = [f"{failed[first]} of {len(cells)} pairs {WORDS[first]}"]
    return f"{node}: " + ", ".join(parts + [f"{failed[state]} {WORDS[state]}" for state in others])


def _slow(node: str, cells: Sequence[Cell], known: Sequence[Cell], times: Sequence[int]) -> str:
    """Compare a node's pairs with all others; ``times`` are all there are, in order. Empty when it is not slow."""
    own = [cell.max_ns for cell in cells if cell.max_ns is not None]
    # The others' median cannot be less than this, whichever of the times are the node's: most nodes are done here.
    if not own or median(own) <= _FACTOR * times[max(0, (len(times) - len(own) - 1) // 2)]:
        return ""
    rest = [cell.max_ns for cell in known if cell.max_ns is not None and not cell.touches(node)]
    if min(len(own), len(rest)) < _FEWEST_TO_COMPARE or median(own) <= _FACTOR * median(rest):
        return ""
    return (
        f"{node}: median of {len(own)} pairs {milliseconds(int(median(own)))} ms, "
        f"of all others {milliseconds(int(median(rest)))} ms"
    )
