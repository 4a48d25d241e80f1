"""A plan cut into parts, so that several processes measure it; and its digest, by which they know each other. Pure.

Guests are the vertices of a graph, and pairs its edges. A part needs a guest for each vertex that its edges touch.
So the edges are laid out as points in a plane, neighbours close to each other, and the plane is halved again and
again, each time along the line that leaves fewer guests: the parts become nearly square. For a mesh of n nodes in k
parts that is about n * sqrt(2 / k) guests a part, where n / sqrt(k) is the least that is possible at all.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.plan.checks import vmi_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One part of a plan. ``guests`` is how many it needs; ``most_guests`` how many the part with most of them does."""

    checks: tuple[Check, ...]
    guests: int
    most_guests: int


def cut(checks: Sequence[Check], index: int, count: int) -> Cut:
    """Give the ``index``-th of ``count`` parts (counted from 0), in the order of ``checks``.

    Every check is in exactly one part. Which one depends on what checks there are, and not on their order. Checks of
    the same two guests (both directions, other ping parameters) stay together; without such the parts' sizes differ
    by one at most. Raises ``ValueError`` for a part that does not exist.
    """
    if not 0 <= index < count:
        raise ValueError(f"part {index} of {count} does not exist")
    plane = _Plane(checks)
    parts = list(plane.parts(count))
    mine = set(parts[index])
    guests = [plane.guests(edges) for edges in parts]
    return Cut(
        checks=tuple(check for check, edge in zip(checks, plane.edges, strict=True) if edge in mine),
        guests=guests[index],
        most_guests=max(guests),
    )


def plan_digest(checks: Sequence[Check]) -> str:
    """Give the SHA-256 of a plan: networks, pairs, ping parameters, guests and limits, in whatever order they come."""
    how: dict[object, str] = {}
    lines = []
    for check in checks:
        key = (check.limits, check.ping, check.guest)
        text = how.get(key)
        if text is None:
            text = how[key] = json.dumps([asdict(one) for one in key], sort_keys=True)
        among = f"\t{','.join(check.among)}" if check.among else ""
        lines.append(f"{check.nad}\t{check.pair}\t{text}{among}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


class _Plane:
    """Checks as points. Guests are numbered; ``edges`` has, for each check, ``lower number * width + higher number``.

    Plain integers, because a plan may have half a million of them.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        vertices: dict[VmiKey, int] = {}
        ends = []
        # Guests of equal network, node and make are one; few of the objects that say so are different ones.
        known: dict[tuple[object, ...], tuple[int, int]] = {}
        for check in checks:
            pair = check.pair
            key = (id(check.nad), id(check.guest), pair.source, pair.target, pair.destination, check.among)
            found = known.get(key)
            if found is None:
                source, target = vmi_keys(check)
                found = known[key] = (
                    vertices.setdefault(source, len(vertices)),
                    vertices.setdefault(target, len(vertices)),
                )
            ends.append(found)
        numbers = _near_each_other(list(vertices), ends)
        self._width = len(vertices)
        placed = ((numbers[source], numbers[target]) for source, target in ends)
        self.edges = [
            left * self._width + right if left < right else right * self._width + left
            for left, right in placed
        ]
        self._weights = Counter(self.edges)

    def parts(self, count: int) -> Iterator[list[int]]:
        """Cut the plane into so many parts: the edges of each."""
        return self._halved(sorted(self._weights), count)

    def guests(self, edges: Sequence[int]) -> int:
        """Count the guests that these edges need."""
        width = self._width
        return len({edge // width for edge in edges}.union(edge % width for edge in edges))

    def _halved(self, edges: list[int], count: int) -> Iterator[list[int]]:
        if count == 1:
            yield edges
            return
        before = count // 2
        cuts = []
        for axis in (edges, self._turned(sorted(self._turned(edges)))):
            where = self._share(axis, before, count)
            cuts.append((axis[:where], axis[where:]))
        left, right = min(cuts, key=lambda one: self.guests(one[0]) + self.guests(one[1]))
        yield from self._halved(sorted(left), before)
        yield from self._halved(sorted(right), count - before)

    def _turned(self, edges: Sequence[int]) -> list[int]:
        width = self._width
        return [edge % width * width + edge // width for edge in edges]

    def _share(self, edges: Sequence[int], before: int, count: int) -> int:
        """After how many of the edges the share of all checks is reached that ``before`` of ``count`` parts have."""
        if len(self._weights) == len(self.edges):
            return len(edges) * before // count
        wanted = sum(self._weights[edge] for edge in edges) * before // count
        reached = 0
        for number, edge in enumerate(edges):
            if reached >= wanted:
                return number
            reached += self._weights[edge]
        return len(edges)


def _near_each_other(vertices: Sequence[VmiKey], ends: Sequence[tuple[int, int]]) -> list[int]:
    """Number the guests as they come breadth first from the first by name: those of a pair get close numbers."""
    ranks = [0] * len(vertices)
    for rank, vertex in enumerate(sorted(range(len(vertices)), key=lambda one: _name(vertices[one]))):
        ranks[vertex] = rank
    neighbours: list[set[int]] = [set() for _ in vertices]
    for source, target in ends:
        neighbours[ranks[source]].add(ranks[target])
        neighbours[ranks[target]].add(ranks[source])
    numbers: dict[int, int] = {}
    for first in range(len(vertices)):
        waiting = deque([first] if first not in numbers else [])
        numbers.setdefault(first, len(numbers))
        while waiting:
            for rank in sorted(neighbours[waiting.popleft()].difference(numbers)):
                numbers[rank] = len(numbers)
                waiting.append(rank)
    return [numbers[rank] for rank in ranks]


def _name(key: VmiKey) -> tuple[str, ...]:
    guest = key.guest
    make = (guest.profile, guest.image or "", guest.binding, guest.subnet or "")
    return (str(key.nad), *make, key.node or "", key.slot, key.journey)
