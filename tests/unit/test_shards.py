"""A plan in parts: every pair once, in parts of equal size that need few guests."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.model import Check, GuestSpec, Limits, NadRef, NodePair, PingParameters
from pytest_kvlatency.plan.checks import guest_count
from pytest_kvlatency.plan.shards import cut, plan_digest

NODES = [f"w{number}" for number in range(10)]
NADS = [NadRef(namespace="default", name=name) for name in ("blue", "red")]
PINGS = [PingParameters(), PingParameters(packet_size=1400)]


def mesh(count: int, nad: NadRef = NADS[0]) -> list[Check]:
    names = [f"worker{number}" for number in range(count)]
    return [Check(nad=nad, pair=NodePair(source=one, target=other)) for one, other in combinations(names, 2)]


PAIRS = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)) | st.just((None, None))
CHECKS = st.lists(st.tuples(st.sampled_from(NADS), PAIRS, st.sampled_from(PINGS)), max_size=50).map(
    lambda found: [
        Check(nad=nad, pair=NodePair(source=source, target=target), ping=ping)
        for nad, (source, target), ping in found
    ]
)


def part(checks: list[Check], index: int, count: int) -> tuple[Check, ...]:
    return cut(checks, index, count).checks


@given(checks=CHECKS, count=st.integers(1, 9), seed=st.integers(0, 9))
def test_every_check_is_in_exactly_one_part_whatever_their_order(
    checks: list[Check], count: int, seed: int
) -> None:
    parts = [part(checks, index, count) for index in range(count)]
    assert Counter(one for each in parts for one in each) == Counter(checks)
    shuffled = random.Random(seed).sample(checks, len(checks))
    for index, each in enumerate(parts):
        assert Counter(part(shuffled, index, count)) == Counter(each)
        assert list(each) == [check for check in checks if check in each]


@given(checks=CHECKS, count=st.integers(1, 9))
def test_checks_of_the_same_guests_stay_together(checks: list[Check], count: int) -> None:
    owners: dict[tuple[NadRef, frozenset[str | None]], int] = {}
    for index in range(count):
        for check in part(checks, index, count):
            key = (check.nad, frozenset([check.pair.source, check.pair.target]))
            assert owners.setdefault(key, index) == index


@given(pairs=st.sets(st.sampled_from(list(combinations(NODES, 2)))), count=st.integers(1, 9))
def test_without_such_the_sizes_differ_by_one_at_most(pairs: set[tuple[str, str]], count: int) -> None:
    checks = [Check(nad=NADS[0], pair=NodePair(source=one, target=other)) for one, other in pairs]
    sizes = [len(part(checks, index, count)) for index in range(count)]
    assert max(sizes) - min(sizes) <= 1


@given(checks=CHECKS, count=st.integers(1, 9))
def test_a_cut_counts_the_guests(checks: list[Check], count: int) -> None:
    cuts = [cut(checks, index, count) for index in range(count)]
    assert [one.guests for one in cuts] == [guest_count(one.checks) for one in cuts]
    assert {one.most_guests for one in cuts} == {max(one.guests for one in cuts)}


@pytest.mark.once
def test_a_mesh_of_200_nodes_in_50_parts_needs_no_more_than_45_guests_a_part() -> None:
    # 200 * sqrt(2 / 50) = 40 are needed by parts that are squares; all 200 by parts drawn at random.
    assert cut(mesh(200), 0, 50).most_guests <= 45


def test_networks_share_no_guests_and_so_no_parts() -> None:
    checks = [*mesh(20, NADS[0]), *mesh(20, NADS[1])]
    random.Random(1).shuffle(checks)
    assert [len({check.nad for check in part(checks, index, 2)}) for index in (0, 1)] == [1, 1]


def test_a_ring_is_cut_into_arcs() -> None:
    names = [f"worker{number}" for number in range(100)]
    checks = [
        Check(nad=NADS[0], pair=NodePair(source=one, target=other))
        for one, other in zip(names, [*names[1:], names[0]], strict=True)
    ]
    assert cut(checks, 0, 10).most_guests <= 12


def test_more_parts_than_pairs_leaves_some_empty() -> None:
    assert sorted(len(part(mesh(3), index, 7)) for index in range(7)) == [0, 0, 0, 0, 1, 1, 1]
    assert part([], 3, 7) == ()


@pytest.mark.parametrize(("index", "count"), [(3, 3), (-1, 3), (0, 0)])
def test_a_part_that_does_not_exist(index: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"part {index} of {count} does not exist"):
        part(mesh(3), index, count)


def test_the_digest_is_of_what_is_checked_and_not_of_its_order() -> None:
    checks = mesh(4)
    assert plan_digest(checks) == plan_digest(checks[::-1])
    first = checks[0]
    others = [
        checks[1:],
        [*checks, first],
        [replace(first, nad=NADS[1]), *checks[1:]],
        [replace(first, pair=NodePair(source="worker1", target="worker0")), *checks[1:]],
        [replace(first, limits=Limits(max_latency_ns=1)), *checks[1:]],
        [replace(first, ping=PINGS[1]), *checks[1:]],
        [replace(first, guest=GuestSpec(profile="fedora")), *checks[1:]],
    ]
    assert len({plan_digest(one) for one in [checks, *others]}) == 1 + len(others)
