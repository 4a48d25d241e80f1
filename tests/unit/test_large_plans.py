"""The arithmetic of docs/large-meshes.md, by the planner itself: plans of half a million pairs."""

from __future__ import annotations

import random
import re
import tracemalloc
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from pytest_kvlatency.config.timeouts import ROUND_NS
from pytest_kvlatency.engine.consoles import MAX_OPEN
from pytest_kvlatency.model import Check, NadRef, NodePair
from pytest_kvlatency.plan.checks import guest_count, rounds
from pytest_kvlatency.plan.shards import cut

pytestmark = pytest.mark.once

DOCUMENT = Path(__file__).parents[2] / "docs" / "large-meshes.md"
NAD = NadRef(namespace="default", name="blue")
NODES = [f"worker{number}" for number in range(1000)]
SHARDS = 50
ROUND_SECONDS = 5 + ROUND_NS // 10**9


def checks_of(pairs: list[tuple[str, str]]) -> list[Check]:
    return [Check(nad=NAD, pair=NodePair(source=source, target=target)) for source, target in pairs]


@pytest.fixture(scope="module")
def mesh() -> list[Check]:
    return checks_of(list(combinations(NODES, 2)))


def rows() -> dict[str, tuple[str, str]]:
    """The table of the page: what, in one process, in 50 shards."""
    found = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name.strip(): (one.strip(), many.strip()) for name, one, many in found}


def held(found: tuple[tuple[Check, ...], ...]) -> None:
    for each in found:
        taken = [node for check in each for node in (check.pair.source, check.pair.target)]
        assert len(taken) == len(set(taken))


def test_a_thousand_nodes_in_one_process(mesh: list[Check]) -> None:
    found = rounds(mesh, parallel=None)
    held(found)
    assert sum(map(len, found)) == len(mesh) == 499_500
    assert len(found) == 999
    assert {len(each) for each in found} == {500}
    table = rows()
    assert table["pairs"][0] == f"{len(mesh):,}"
    assert table["VMIs"][0] == f"{guest_count(mesh):,}"
    assert table["rounds"][0] == f"{len(found):,}"
    assert table["measuring, were every round measured at once"][0] == f"{len(found) * ROUND_SECONDS:,} s"
    small = sum(-(-len(each) // MAX_OPEN) for each in found)
    assert table["rounds of at most 100 pairs"][0] == f"{small:,}"
    assert table["measuring, with at most 100 consoles open"][0] == f"{small * ROUND_SECONDS:,} s"


def test_a_thousand_nodes_in_fifty_shards(mesh: list[Check]) -> None:
    # The shard that takes longest.
    found = cut(mesh, 27, SHARDS)
    assert len(found.checks) == len(mesh) // SHARDS == 9_990
    table = rows()
    assert table["pairs"][1] == f"{len(found.checks):,} a shard"
    assert table["VMIs"][1] == f"at most {found.most_guests} a shard"
    assert found.guests <= found.most_guests < 1000 / 4
    for parallel, name, time in (
        (None, "rounds", "measuring, were every round measured at once"),
        (MAX_OPEN, "rounds of at most 100 pairs", "measuring, with at most 100 consoles open"),
    ):
        planned = rounds(found.checks, parallel=parallel)
        held(planned)
        assert table[name][1] == f"at most {len(planned)}"
        assert table[time][1] == f"{len(planned) * ROUND_SECONDS:,} s"


def test_random_pairs_over_five_hundred_nodes() -> None:
    pairs = random.Random(7).sample(list(combinations(NODES[:500], 2)), 20_000)
    checks = checks_of(pairs)
    found = rounds(checks, parallel=None)
    held(found)
    assert Counter(check for each in found for check in each) == Counter(checks)
    assert len(found) <= 1 + max(Counter(node for pair in pairs for node in pair).values())


def test_planning_needs_bounded_memory() -> None:
    """Less than 2 KB for each pair, beside the pair itself."""
    checks = checks_of(list(combinations(NODES[:150], 2)))
    for plan in (lambda: rounds(checks, parallel=None), lambda: cut(checks, 0, SHARDS)):
        tracemalloc.start()
        try:
            plan()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2_000 * len(checks)
