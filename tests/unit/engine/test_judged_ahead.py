"""What was measured ahead is judged by the limits of each check that asks for it, and nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from pytest_kvlatency.engine.runner import Attempt, _for_limits
from pytest_kvlatency.model import Check, Limits, Measurement, NadRef, NodePair, PingResult


def check(limits):
    return Check(nad=NadRef(namespace="ns", name="blue"), pair=NodePair(), limits=limits)


def measured():
    result = PingResult(transmitted=2, received=2, samples_ns=(5_000_000, 7_000_000))
    return Attempt(measurement=Measurement(check=check(Limits()), result=result))


def test_each_check_has_its_own_verdict():
    ahead = Future()
    strict = _for_limits(ahead, check(Limits(max_latency_ns=6_000_000)))
    lenient = _for_limits(ahead, check(Limits(max_latency_ns=8_000_000)))
    assert not strict.done()
    ahead.set_result(measured())
    assert [failure.kind for failure in strict.result(60).measurement.failures] == ["latency"]
    assert lenient.result(60).measurement.failures == ()


def test_what_goes_wrong_while_it_is_judged_reaches_the_one_who_waits():
    ahead = Future()
    broken = _for_limits(ahead, check("no limits at all"))
    ahead.set_result(measured())
    with pytest.raises(AttributeError):
        broken.result(0)
