"""Pairs to rounds: an edge colouring, where nodes are vertices, pairs are edges and rounds are colours. Pure.

A complete set of pairs (a mesh) is a round-robin tournament by the circle method: N-1 rounds for even N, N for odd.
Any other set without a pair twice takes at most one round more than the busiest node has pairs (Misra and Gries
1992, after Vizing), which is at most one more than the optimum.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Edge = tuple[str, str]
_NONE: Final = -1


def colour(edges: Sequence[Edge]) -> list[int]:
    """Give each pair of different nodes a round, counted from 0, so that no node is twice in a round.

    Pairs that come several times (both directions, several networks) are coloured copy by copy, one after the other.
    """
    copies: Counter[Edge] = Counter()
    layers: list[list[int]] = []
    for number, (left, right) in enumerate(edges):
        key = (left, right) if left < right else (right, left)
        if copies[key] == len(layers):
            layers.append([])
        layers[copies[key]].append(number)
        copies[key] += 1
    colours = [_NONE] * len(edges)
    first = 0
    for layer in layers:
        found = _colour_simple([edges[number] for number in layer])
        for number, one in zip(layer, found, strict=True):
            colours[number] = first + one
        first += 1 + max(found)
    return colours


def _colour_simple(edges: Sequence[Edge]) -> list[int]:
    """Colour edges among which no pair comes twice."""
    nodes = {
        node: number for number, node in enumerate(dict.fromkeys(node for edge in edges for node in edge))
    }
    numbered = [(nodes[left], nodes[right]) for left, right in edges]
    if len(edges) == len(nodes) * (len(nodes) - 1) // 2:
        return [_tournament(left, right, len(nodes)) for left, right in numbered]
    return _Vizing(numbered, len(nodes)).colours()


def _tournament(left: int, right: int, nodes: int) -> int:
    """Give the round of a pair in a round-robin tournament; an odd number of nodes gets one that sits out."""
    others = nodes - 1 + nodes % 2
    if others in (left, right):
        return 2 * min(left, right) % others
    return (left + right) % others


class _Vizing:
    """Colours the edges of a simple graph with one colour more than its highest degree, one edge after the other.

    ``_free`` has a bit for each colour that a vertex does not have yet; ``_at`` the neighbour by vertex and colour.
    """

    def __init__(self, edges: Sequence[tuple[int, int]], vertices: int) -> None:
        degrees = Counter(vertex for edge in edges for vertex in edge)
        everything = (1 << (1 + max(degrees.values(), default=0))) - 1
        self._edges = edges
        self._free = [everything] * vertices
        self._at: list[dict[int, int]] = [{} for _ in range(vertices)]
        self._colour: list[dict[int, int]] = [{} for _ in range(vertices)]

    def colours(self) -> list[int]:
        for left, right in self._edges:
            common = self._free[left] & self._free[right]
            if common:
                self._set(left, right, _lowest(common))
            else:
                self._insert(left, right)
        return [self._colour[left][right] for left, right in self._edges]

    def _insert(self, centre: int, leaf: int) -> None:
        """Colour an edge whose ends have no free colour in common: turn a fan around ``centre``, after a swap."""
        fan = self._fan(centre, leaf)
        mine, last = _lowest(self._free[centre]), _lowest(self._free[fan[-1]])
        self._swap(centre, last, mine)
        end = next(
            place
            for place, vertex in enumerate(fan)
            if self._free[vertex] >> last & 1 and self._is_fan(centre, fan[: place + 1])
        )
        for vertex, following in pairwise(fan[: end + 1]):
            moved = self._colour[centre][following]
            self._unset(centre, following)
            self._set(centre, vertex, moved)
        self._set(centre, fan[end], last)

    def _fan(self, centre: int, leaf: int) -> list[int]:
        """Neighbours of ``centre``, each joined to it by a colour that is free at the one before; as many as can be."""
        fan, seen = [leaf], {leaf}
        while True:
            candidates = self._free[fan[-1]] & ~self._free[centre]
            following = _NONE
            while candidates and following == _NONE:
                lowest = _lowest(candidates)
                candidates &= candidates - 1
                if self._at[centre][lowest] not in seen:
                    following = self._at[centre][lowest]
            if following == _NONE:
                return fan
            fan.append(following)
            seen.add(following)

    def _is_fan(self, centre: int, fan: Sequence[int]) -> bool:
        return all(self._free[before] >> self._colour[centre][vertex] & 1 for before, vertex in pairwise(fan))

    def _swap(self, start: int, first: int, second: int) -> None:
        """Exchange two colours along the path of both that begins at ``start`` with ``first``."""
        path, wanted, vertex = [], first, start
        while wanted in self._at[vertex]:
            following = self._at[vertex][wanted]
            path.append((vertex, following, wanted))
            vertex, wanted = following, first + second - wanted
        for left, right, _ in path:
            self._unset(left, right)
        for left, right, was in path:
            self._set(left, right, first + second - was)

    def _set(self, left: int, right: int, number: int) -> None:
        for one, other in ((left, right), (right, left)):
            self._free[one] &= ~(1 << number)
            self._at[one][number] = other
            self._colour[one][other] = number

    def _unset(self, left: int, right: int) -> None:
        for one, other in ((left, right), (right, left)):
            number = self._colour[one].pop(other)
            del self._at[one][number]
            self._free[one] |= 1 << number


def _lowest(bits: int) -> int:
    """The number of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1
