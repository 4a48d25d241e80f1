"""How long the rounds still take, by those that were measured."""

from __future__ import annotations

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.pace import Pace
from pytest_kvlatency.engine.ticket import Ticket
from pytest_kvlatency.model import AUTO, Check, NadRef, NodePair, PingParameters

NAD = NadRef(namespace="default", name="blue-network")


class Rounds:
    """A pace whose time the test tells."""

    def __init__(self, *rounds, parallel=None, sample=5):
        self.now = 0.0
        self.pace = Pace(parallel, clock=lambda: self.now)
        ping = PingParameters(sample_duration_ns=sample * 1_000_000_000)
        self.tickets = {}
        for one in rounds:
            for name in one:
                pair = AUTO if name == "auto" else NodePair(source=name[0], target=name[1])
                self.tickets[name] = Ticket.of(Check(nad=NAD, pair=pair, ping=ping), Deadline(60))
        self.pace.plan([[self.tickets[name] for name in one] for one in rounds])

    def measure(self, *names, seconds=6.0, has_numbers=True):
        for name in names:
            self.pace.began(self.tickets[name])
        self.now += seconds
        for name in names:
            assert self.pace.ended(self.tickets[name], has_numbers=has_numbers)


MESH = (("ab", "cd"), ("ac", "bd"), ("ad", "bc"))


def test_nothing_is_said_before_a_round_is_measured():
    rounds = Rounds(*MESH)
    assert rounds.pace.seconds_left is None
    rounds.measure("ab")
    assert rounds.pace.seconds_left is None
    rounds.measure("cd")
    assert rounds.pace.seconds_left == pytest.approx(12.0)


def test_the_node_with_most_left_to_do_decides():
    rounds = Rounds(*MESH)
    rounds.measure("ab", "cd")
    rounds.measure("ac", "bd")
    assert rounds.pace.seconds_left == pytest.approx(6.0)
    star = Rounds(("ab",), ("ac",), ("ad",))
    star.measure("ab")
    assert star.pace.seconds_left == pytest.approx(12.0)


def test_what_is_under_way_has_less_left_as_time_goes_by_and_never_less_than_nothing():
    rounds = Rounds(*MESH)
    rounds.measure("ab", "cd")
    rounds.pace.began(rounds.tickets["ac"])
    rounds.pace.began(rounds.tickets["bd"])
    rounds.now += 2
    assert rounds.pace.seconds_left == pytest.approx(10.0)
    rounds.now += 60
    assert rounds.pace.seconds_left == pytest.approx(6.0)


def test_nothing_is_said_while_nothing_is_measured_since_a_guest_is_not_up():
    rounds = Rounds(*MESH)
    rounds.measure("ab", "cd")
    rounds.now += 30
    assert rounds.pace.seconds_left is None
    rounds.pace.began(rounds.tickets["ac"])
    assert rounds.pace.seconds_left == pytest.approx(12.0)
    assert rounds.pace.ended(rounds.tickets["ac"])
    assert rounds.pace.seconds_left == pytest.approx(12.0)
    rounds.now += 2
    assert rounds.pace.seconds_left is None


def test_fewer_at_once_take_longer():
    rounds = Rounds(("ab",), ("cd",), ("ac",), ("bd",), parallel=1)
    rounds.measure("ab")
    assert rounds.pace.seconds_left == pytest.approx(18.0)


def test_what_ended_without_numbers_says_nothing_of_how_long_the_others_take():
    rounds = Rounds(*MESH)
    rounds.measure("ab", "cd", seconds=0.0, has_numbers=False)
    assert rounds.pace.seconds_left is None
    rounds.measure("ac", "bd")
    assert rounds.pace.seconds_left == pytest.approx(6.0)


def test_nothing_is_left_when_all_are_measured_or_dropped():
    rounds = Rounds(("ab",), ("auto",))
    rounds.measure("ab")
    assert rounds.pace.seconds_left == pytest.approx(6.0)
    assert rounds.pace.ended(rounds.tickets["auto"])
    assert not rounds.pace.ended(rounds.tickets["auto"])
    assert rounds.pace.seconds_left == 0.0


def test_the_round_is_the_first_that_is_not_over():
    rounds = Rounds(*MESH)
    assert rounds.pace.round is None
    rounds.measure("ab", "bd")
    assert rounds.pace.round == (1, 3)
    rounds.measure("cd", "ac")
    assert rounds.pace.round == (3, 3)
    rounds.measure("ad", "bc")
    assert rounds.pace.round == (3, 3)
    one = Rounds(("ab",))
    one.measure("ab")
    assert one.pace.round is None


def test_a_migration_takes_its_own_time_on_each_of_its_nodes():
    rounds = Rounds(("ab",), ("cd",), ("ef",))
    moving = Ticket.of(Check(nad=NAD, pair=NodePair(source="a", target="b", destination="c")), Deadline(60))
    rounds.pace.plan([[rounds.tickets["ab"]], [rounds.tickets["cd"]], [moving]])
    rounds.measure("ab", seconds=5.0)
    # On c one sample of 5 s, and the migration.
    assert rounds.pace.seconds_left == pytest.approx(20.0)
