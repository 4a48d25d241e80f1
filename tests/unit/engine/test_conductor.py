"""What starts next, in time that is only counted."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.engine.conductor import Conductor
from pytest_kvlatency.plan.colouring import colour

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40)


def rounds_of(pairs):
    """Tickets in rounds: (number, nodes)."""
    joined = [pair for pair in pairs if pair[0] != pair[1]]
    found = {}
    for number, (pair, place) in enumerate(zip(joined, colour(joined), strict=True)):
        found.setdefault(place, []).append((number, frozenset(pair)))
    return [found[place] for place in sorted(found)]


class Simulation:
    """Runs tickets to the end: each takes ``length`` of it, and its nodes are up ``up_at``."""

    def __init__(
        self,
        rounds,
        *,
        parallel=None,
        length=lambda _: 1.0,
        up_at=None,
        never_up=(),
        stops_early=True,
        late_after=None,
    ):
        self.now = 0.0
        self.up_at = up_at or {}
        self.started = []
        self.most = 0
        self.length = length
        self.never_up = set(never_up)
        self.everyone = {node for one in rounds for _, nodes in one for node in nodes}
        self.stops_early = stops_early
        self.events = [(at, -number, None) for number, at in enumerate(sorted(set(self.up_at.values())))]
        heapq.heapify(self.events)
        self.conductor = Conductor(needs=self.needs, parallel=parallel, is_late=self.is_late)
        self.late_after = late_after
        self.conductor.plan(rounds)

    def is_up(self, node):
        return node not in self.never_up and self.up_at.get(node, 0.0) <= self.now

    def is_late(self, ticket):
        began = next(at for at, one in self.started if one == ticket)
        return self.late_after is not None and self.now - began >= self.late_after

    def needs(self, ticket):
        return ticket[1] if all(map(self.is_up, ticket[1])) else None

    def start(self):
        up = {node for node in self.everyone if self.is_up(node)} if self.stops_early else set()
        for ticket in self.conductor.startable(up):
            running = [other for _, _, other in self.events if other is not None]
            assert not any(ticket[1] & other[1] for other in running)
            self.started.append((self.now, ticket))
            heapq.heappush(self.events, (self.now + self.length(ticket), ticket[0] + 1, ticket))
        self.most = max(self.most, self.conductor.running)

    def run(self):
        self.start()
        while self.events:
            self.now, _, ticket = heapq.heappop(self.events)
            if ticket is not None:
                self.conductor.done(ticket)
            self.start()
        return self


@given(
    pairs=PAIRS,
    parallel=st.none() | st.integers(1, 5),
    seed=st.randoms(use_true_random=False),
    early=st.booleans(),
)
def test_every_ticket_runs_once_and_nothing_is_busy_twice(pairs, parallel, seed, early):
    rounds = rounds_of(pairs)
    lengths = {ticket: seed.uniform(0.5, 3) for one in rounds for ticket in one}
    up_at = {node: seed.choice([0.0, 0.3, 4.0]) for node in range(9)}
    done = Simulation(rounds, parallel=parallel, length=lengths.get, up_at=up_at, stops_early=early).run()
    assert Counter(ticket for _, ticket in done.started) == Counter(
        ticket for one in rounds for ticket in one
    )
    assert done.most <= (parallel or len(pairs))
    assert done.conductor.running == 0
    assert done.conductor.forget() == []


@pytest.mark.parametrize("count", [2, 5, 8, 16, 32])
def test_a_mesh_runs_in_lock_step_when_all_samples_take_equally_long(count):
    done = Simulation(rounds_of(list(combinations(range(count), 2)))).run()
    assert done.now == count - 1 + count % 2
    assert done.most == count // 2


@pytest.mark.parametrize("networks", [2, 3])
def test_networks_that_share_nodes_share_rounds_too(networks):
    done = Simulation(rounds_of(list(combinations(range(8), 2)) * networks)).run()
    assert done.now == networks * 7


def test_guests_that_come_up_one_by_one_cost_little_more_than_the_last_ones_delay():
    up_at = {node: node * 0.1 for node in range(16)}
    done = Simulation(rounds_of(list(combinations(range(16), 2))), up_at=up_at).run()
    assert done.now <= 15 + 1.5 + 2


@given(seed=st.randoms(use_true_random=False))
def test_samples_that_vary_keep_the_rounds_together(seed):
    rounds = rounds_of(list(combinations(range(12), 2)))
    done = Simulation(rounds, length=lambda _: seed.uniform(1.0, 1.2)).run()
    assert done.now <= 11 * 1.2 + 1.2


def test_E64_a_node_that_never_comes_up_holds_up_nobody():
    rounds = rounds_of(list(combinations(range(8), 2)))
    done = Simulation(rounds, never_up={3}).run()
    assert len(done.started) == 21
    assert done.now <= 8
    left = done.conductor.forget()
    assert len(left) == 7
    assert all(3 in nodes for _, nodes in left)


def test_a_slow_pair_holds_up_its_own_nodes_only():
    rounds = rounds_of(list(combinations(range(8), 2)))
    slow = rounds[0][0]
    done = Simulation(rounds, length=lambda ticket: 20.0 if ticket == slow else 1.0, late_after=2).run()
    ended = [at + 1 for at, ticket in done.started if not ticket[1] & slow[1]]
    assert max(ended) <= 10
    assert done.now <= 20 + 7


def test_one_that_waits_for_two_busy_nodes_is_not_overtaken_for_ever():
    wide = (0, frozenset("ab"))
    narrow = [(number, frozenset("ab"[number % 2])) for number in range(1, 21)]
    lengths = {wide: 1.0, **{ticket: 1.0 + ticket[0] % 2 / 2 for ticket in narrow}}
    done = Simulation([narrow[:2], [wide], narrow[2:]], length=lengths.get).run()
    assert [ticket for _, ticket in done.started].index(wide) == 2


def test_what_somebody_waits_for_goes_first():
    needs = {"first": "ab", "second": "ab", "urgent": "ab"}
    conductor = Conductor(needs=lambda ticket: frozenset(needs[ticket]))
    conductor.plan([["first"], ["second"]])
    assert conductor.startable({"a", "b"}) == ["first"]
    conductor.ask("urgent")
    assert conductor.startable({"a", "b"}) == []
    conductor.done("first")
    assert conductor.startable({"a", "b"}) == ["urgent"]
    conductor.done("urgent")
    assert conductor.startable(set()) == ["second"]


def test_what_has_not_started_can_be_dropped():
    conductor = Conductor(needs=lambda _: frozenset("a"))
    conductor.plan([["first"], ["second"]])
    conductor.ask("urgent")
    assert conductor.startable(set()) == ["urgent"]
    assert conductor.forget() == ["first", "second"]
    conductor.done("urgent")
    assert conductor.startable(set()) == []
