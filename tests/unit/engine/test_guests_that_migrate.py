"""A guest that migrates is brought up for each who asks, and occupies every node that it may get to."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from pytest_kvlatency.config.nodespecs import nodes
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.fleet import Fleet
from pytest_kvlatency.engine.ticket import Ticket
from pytest_kvlatency.errors import ConfigError, ProvisionError
from pytest_kvlatency.model import Check, NadRef
from pytest_kvlatency.plan.checks import vmi_keys

PATIENCE = 30


def check(text, among=()):
    return Check(nad=NadRef(namespace="ns", name="blue"), pair=nodes(text), among=among)


@pytest.fixture
def lost():
    """The keys of guests that do not come up from now on."""
    return set()


@pytest.fixture
def fleet(lost):
    def bring_up(key, _check):
        if key in lost:
            raise ProvisionError("no node is left")
        return SimpleNamespace(key=key, node=key.node)

    found = Fleet(bring_up, on_end=lambda _up: None)
    yield found
    found.shut_down(PATIENCE)


def up(futures):
    return [one.result(PATIENCE) for one in futures]


def test_each_who_asks_for_a_migration_gets_a_guest_of_its_own_and_shares_the_one_that_stays(fleet):
    first, second = up(fleet.both(check("a:b>c"))), up(fleet.both(check("a:b>c")))
    assert first[0] is second[0]
    assert first[1] is not second[1]
    assert up(fleet.both(check("a:b")))[1] not in (first[1], second[1])
    assert fleet.of(check("a:b>c")) == second
    assert len(fleet.up()) == 4


def test_a_guest_that_has_migrated_is_taken_once_nothing_holds_it(fleet):
    wanted = check("a:b>c")
    (_, first), (_, second) = fleet.both(wanted), fleet.both(wanted)
    up([first, second])
    keys = vmi_keys(wanted)
    assert fleet.take_former(keys, {first}) == []
    assert fleet.take_former(keys, set()) == [first]
    assert fleet.take_former(keys, set()) == []
    assert fleet.take(keys[1:]) == [second]


def test_no_guest_that_has_migrated_is_forgotten_when_all_are_taken(fleet):
    wanted = check("a:b>c")
    every = {*fleet.both(wanted), *fleet.both(wanted)}
    up(every)
    assert set(fleet.take_all()) == every
    assert fleet.up() == []
    assert fleet.take_all() == []


def test_a_guest_that_has_migrated_is_not_forgotten_when_the_one_after_it_is_lost(fleet, lost):
    wanted = check("a:b>c")
    _, former = fleet.both(wanted)
    up([former])
    lost.add(vmi_keys(wanted)[1])
    _, later = fleet.both(wanted)
    with pytest.raises(ProvisionError):
        later.result(PATIENCE)
    fleet.forget_lost(wanted)
    assert former in fleet.take_all()


@pytest.mark.parametrize(
    ("wanted", "occupied"),
    [
        (check("a:b"), {"a", "b"}),
        (check("a:b>c"), {"a", "b", "c"}),
        (check("a:a>c"), {"a", "c"}),
        (check("a:b>?", among=("b", "c", "d")), {"a", "b", "c", "d"}),
    ],
    ids=["stays", "named", "one node", "any of a set"],
)
def test_a_measurement_occupies_all_nodes_that_its_guests_may_get_to(fleet, wanted, occupied):
    ticket = Ticket.of(wanted, Deadline(60))
    ticket.guests = fleet.both(wanted)
    up(ticket.guests)
    assert ticket.needs == occupied | {*vmi_keys(wanted)}


def owned(wanted, *nodes, has_migrated=False):
    ticket = Ticket.of(wanted, Deadline(60), owns=True)
    for node in nodes:
        future = Future()
        future.set_result(SimpleNamespace(node=node, has_migrated=has_migrated))
        ticket.guests += (future,)
    return ticket


def test_an_owned_pair_is_pinged_where_its_guests_are_now():
    wanted = check("a:b>?", among=("b", "c"))
    for target in ("b", "c"):
        found = owned(wanted, "a", target).as_it_is(wanted, moves=False)
        assert (str(found.pair), found.among) == (f"a:{target}", ())
    still = check("a:b")
    assert owned(still, "a", "b").as_it_is(still, moves=False) == still


def test_an_owned_pair_migrates_once():
    wanted = check("a:b>c")
    assert owned(wanted, "a", "b").as_it_is(wanted, moves=True) == wanted
    with pytest.raises(ConfigError, match="the target of a:b>c migrates only once, and is on c now"):
        owned(wanted, "a", "c").as_it_is(wanted, moves=True)
    # One whose migration failed, too.
    with pytest.raises(ConfigError, match="the target of a:b>c migrates only once, and is on b now"):
        owned(wanted, "a", "b", has_migrated=True).as_it_is(wanted, moves=True)
