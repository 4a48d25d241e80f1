from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.model import Check, NadRef, NodePair
from pytest_kvlatency.plan.checks import rounds
from pytest_kvlatency.plan.colouring import colour

NODES = [f"w{number}" for number in range(12)]
NADS = [NadRef(namespace="default", name=name) for name in ("blue", "red", "green")]


def check(nad: NadRef, source: str | None, target: str | None) -> Check:
    return Check(nad=nad, pair=NodePair(source=source, target=target))


def nodes_of(check: Check) -> set[str]:
    return {node for node in (check.pair.source, check.pair.target) if node is not None}


PAIRS = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)) | st.just((None, None))
CHECKS = st.lists(st.tuples(st.sampled_from(NADS), PAIRS), max_size=60, unique=True)
SIMPLE = st.sets(st.sampled_from(list(combinations(NODES, 2))), min_size=1)


@given(given_checks=CHECKS, parallel=st.none() | st.integers(1, 8))
def test_every_check_is_in_one_round_and_no_node_twice_in_any(
    given_checks: list[tuple[NadRef, tuple[str | None, str | None]]], parallel: int | None
) -> None:
    wanted = [check(nad, *pair) for nad, pair in given_checks]
    found = rounds(wanted, parallel=parallel)
    assert Counter(one for each in found for one in each) == Counter(wanted)
    for each in found:
        assert 1 <= len(each) <= (parallel or len(wanted))
        assert len(each) == 1 or not any(one.pair.is_auto for one in each)
        taken = [node for one in each for node in nodes_of(one)]
        assert len(taken) == len(set(taken))
    assert found == rounds(wanted, parallel=parallel)


@given(SIMPLE)
def test_pairs_that_come_once_take_at_most_one_round_more_than_the_busiest_node_has(
    pairs: set[tuple[str, str]],
) -> None:
    edges = sorted(pairs)
    busiest = max(Counter(node for edge in edges for node in edge).values())
    assert len(set(colour(edges))) <= busiest + 1


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 11, 12])
@pytest.mark.parametrize("nads", [1, 2, 3])
def test_a_mesh_is_a_tournament(count: int, nads: int) -> None:
    wanted = [check(nad, *pair) for nad in NADS[:nads] for pair in combinations(NODES[:count], 2)]
    assert len(rounds(wanted, parallel=None)) == nads * (count - 1 + count % 2)


def test_both_directions_of_a_mesh_are_two_tournaments() -> None:
    wanted = [check(NADS[0], *pair) for pair in permutations(NODES[:6], 2)]
    assert len(rounds(wanted, parallel=None)) == 10


def test_parallel_bounds_a_round() -> None:
    wanted = [check(NADS[0], *pair) for pair in combinations(NODES, 2)]
    assert len(rounds(wanted, parallel=3)) == 22


def test_twenty_thousand_random_pairs_over_five_hundred_nodes_stay_within_the_bound() -> None:
    every = list(combinations([f"n{number}" for number in range(500)], 2))
    edges = random.Random(7).sample(every, 20_000)
    found = colour(edges)
    assert len({(node, one) for edge, one in zip(edges, found, strict=True) for node in edge}) == 2 * len(
        edges
    )
    assert len(set(found)) <= 1 + max(Counter(node for edge in edges for node in edge).values())
