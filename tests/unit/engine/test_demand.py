"""What each guest is still needed for: tests, measurements ahead, tickets."""

from __future__ import annotations

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.demand import Demand
from pytest_kvlatency.engine.ticket import Ticket
from pytest_kvlatency.model import Check, Limits, NadRef, NodePair, PingParameters
from pytest_kvlatency.plan.checks import vmi_keys


def check(source, target):
    nad = NadRef(namespace="ns", name="blue")
    return Check(nad=nad, pair=NodePair(source=source, target=target), limits=Limits(), ping=PingParameters())


def demand_of(*checks):
    demand = Demand()
    demand.plan(checks)
    return demand


def nodes(keys):
    return [key.node for key in keys]


def test_a_guest_is_idle_after_the_last_of_its_tests():
    demand = demand_of(check("a", "b"), check("a", "c"))
    assert nodes(demand.end_test(check("a", "b"))) == ["b"]
    assert nodes(demand.end_test(check("a", "c"))) == ["a", "c"]


def test_a_rerun_needs_its_guests_once_more():
    demand = demand_of(check("a", "b"))
    demand.add_test(check("a", "b"))
    assert demand.end_test(check("a", "b")) == []
    assert nodes(demand.end_test(check("a", "b"))) == ["a", "b"]


def test_a_guest_is_used_last_by_the_last_measurement_ahead_however_many_tests_it_has_left():
    demand = demand_of(check("a", "b"), check("a", "c"))
    for one in (check("a", "b"), check("a", "c")):
        demand.add_measurement(one)
    assert demand.begin_measurement(check("a", "b")) == [False, True]
    assert demand.begin_measurement(check("a", "c")) == [True, True]


def test_the_tickets_for_a_guest_are_those_that_have_not_ended():
    demand = demand_of()
    ended, lasting = (Ticket.of(check("a", "b"), Deadline(60)) for _ in range(2))
    for ticket in (ended, lasting):
        demand.add_ticket(ticket)
    demand.end_ticket(ended)
    assert demand.tickets_for(vmi_keys(check("a", "b"))[:1]) == [lasting]
    assert demand.tickets_for(vmi_keys(check("c", "d"))) == []
