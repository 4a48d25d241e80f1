"""Items count as soon as they are measured, whoever measures them, and before pytest reports them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kvlatency.checkup.tally import Tally
from pytest_kvlatency.engine.attempts import Attempt, failed
from pytest_kvlatency.errors import ProvisionError
from pytest_kvlatency.model import Check, GuestFacts, Limits, Measurement, NadRef, NodePair, PingResult
from pytest_kvlatency.ping.verdict import judge
from pytest_kvlatency.report.run import ItemResult

MS = 1_000_000


def check_of(target, limit_ms=None):
    limits = Limits(max_latency_ns=None if limit_ms is None else limit_ms * MS)
    nad = NadRef(namespace="default", name="blue-network")
    return Check(nad=nad, pair=NodePair(source="worker1", target=target), limits=limits)


def measured(check, latency_ms=1):
    result = PingResult(transmitted=1, received=1, samples_ns=(latency_ms * MS,))
    source, target = (
        GuestFacts(vmi_name=f"vmi-{node}", namespace="default", node=node, address="198.18.0.1")
        for node in check.pair.nodes
    )
    return Measurement(
        check=check, source=source, target=target, result=result, failures=judge(result, check.limits)
    )


def ahead(check, latency_ms=1):
    return Attempt(measurement=measured(check, latency_ms))


def tally_of(*ahead_checks, others=(), forgiven=(), clock=None):
    tally = Tally() if clock is None else Tally(clock=clock)
    checks = {f"test[{number}]": check for number, check in enumerate(ahead_checks)}
    tally.expect([*checks, *others])
    tally.plan_ahead(checks, forgiven=forgiven)
    return tally


def counts(tally):
    found = tally.progress()
    return found.measured, found.total, found.failed


def test_a_round_that_pytest_has_not_reported_counts_with_its_failures():
    fast, slow = check_of("worker2", 10), check_of("worker3", 10)
    tally = tally_of(fast, slow, others=["other"])
    assert counts(tally) == (0, 3, 0)
    tally.has_measured(ahead(fast))
    tally.has_measured(ahead(slow, 24))
    assert counts(tally) == (2, 3, 1)
    assert tally.progress().worst == (24 * MS, "worker1→worker3")


def test_replies_that_waited_for_a_migrating_guest_are_not_the_worst():
    slow, moved = (
        check_of("worker2"),
        replace(
            check_of("worker3"), pair=NodePair(source="worker1", target="worker3", destination="worker2")
        ),
    )
    tally = tally_of(slow, moved)
    tally.has_measured(ahead(slow, 24))
    measurement = replace(measured(check_of("worker3"), 400), check=moved)
    tally.has_measured(Attempt(measurement=measurement))
    assert tally.progress().worst == (24 * MS, "worker1→worker2")


def test_a_measurement_of_several_items_counts_for_each_by_its_own_limits():
    tally = tally_of(check_of("worker2", 10), check_of("worker2", 30), check_of("worker2"))
    tally.has_measured(ahead(check_of("worker2"), 24))
    assert counts(tally) == (3, 3, 1)


def test_a_pair_whose_guest_did_not_come_up_counts_as_failed():
    check = check_of("worker2")
    tally = tally_of(check)
    tally.has_measured(failed(check, ProvisionError("worker2 is cordoned")))
    assert counts(tally) == (1, 1, 1)


def test_a_test_that_may_fail_does_not_count_as_failed():
    check = check_of("worker2", 10)
    tally = tally_of(check, forgiven=["test[0]"])
    tally.has_measured(ahead(check, 24))
    assert counts(tally) == (1, 1, 0)


def test_how_the_item_ended_stands_over_what_was_measured():
    check = check_of("worker2", 10)
    tally = tally_of(check)
    tally.has_measured(ahead(check))
    result = ItemResult(nodeid="test[0]", outcome="notrun", check=check, measurement=measured(check))
    tally.take(result, is_over=False)
    assert counts(tally) == (1, 1, 0)
    tally.take(replace(result, outcome="failed"), is_over=True)
    assert counts(tally) == (1, 1, 1)
    # A rerun that passes.
    tally.take(replace(result, attempt=2, measurement=None), is_over=False)
    assert counts(tally) == (1, 1, 1)
    tally.take(replace(result, attempt=2, outcome="passed"), is_over=True)
    assert counts(tally) == (1, 1, 0)
    # A worker of pytest-xdist says it all again when it ends.
    tally.take(replace(result, outcome="failed"), is_over=True)
    assert counts(tally) == (1, 1, 0)


def test_tests_that_are_measured_in_their_turn_take_as_long_as_those_before_them():
    now = 0.0
    tally = tally_of(others=["a", "b", "c"], clock=lambda: now)
    check = check_of("worker2")
    whole = ItemResult(nodeid="a", outcome="passed", check=check, measurement=measured(check))
    tally.take(replace(whole, measurement=None, outcome="notrun"), is_over=False)
    assert tally.progress().seconds_left is None
    now = 8.0
    tally.take(whole, is_over=True)
    assert tally.progress().seconds_left == pytest.approx(16.0)
    tally.take(replace(whole, nodeid="b", measurement=None, outcome="notrun"), is_over=False)
    now = 10.0
    assert tally.progress().seconds_left == pytest.approx(14.0)
    # Two workers measure at the same time.
    tally.take(replace(whole, nodeid="c", measurement=None, outcome="notrun"), is_over=False)
    assert tally.progress().seconds_left == pytest.approx(7.0)
    assert tally.progress(ahead_seconds=None).seconds_left is None
    assert tally.progress(ahead_seconds=5.0).seconds_left == pytest.approx(12.0)
