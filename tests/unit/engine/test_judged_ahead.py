"""What was measured ahead is judged by the limits of each check that asks for it, and nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

from pytest_kvlatency.engine import attempts
from pytest_kvlatency.engine.attempts import Attempt
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Check, Limits, Measurement, NadRef, NodePair, PingParameters, PingResult

PING = PingParameters()


def check(limits, *, ping=PING):
    return Check(nad=NadRef(namespace="ns", name="blue"), pair=NodePair(), limits=limits, ping=ping)


def measured():
    result = PingResult(transmitted=2, received=2, samples_ns=(5_000_000, 7_000_000))
    return Attempt(measurement=Measurement(check=check(Limits()), result=result))


def for_limits(ahead, check):
    answer = Future()
    attempts.for_limits(ahead, check, answer)
    return answer


def test_each_check_has_its_own_verdict():
    ahead = Future()
    strict = for_limits(ahead, check(Limits(max_latency_ns=6_000_000)))
    lenient = for_limits(ahead, check(Limits(max_latency_ns=8_000_000)))
    assert not strict.done()
    ahead.set_result(measured())
    assert [failure.kind for failure in strict.result(60).measurement.failures] == ["latency"]
    assert lenient.result(60).measurement.failures == ()


def test_E90_a_sample_too_short_for_the_percentile_of_one_check_is_one_for_another():
    """An old BusyBox pinged once a second: 10 s hold 10 samples there."""
    ping = replace(PING, sample_duration_ns=10_000_000_000)
    result = PingResult(transmitted=10, received=10, samples_ns=(5_000_000,) * 10)
    ahead = Future()
    modest = for_limits(ahead, check(Limits(), ping=ping))
    demanding = for_limits(ahead, check(Limits(max_p99_ns=9_000_000), ping=ping))
    measurement = Measurement(check=check(Limits(), ping=ping), result=result, interval_ns=1_000_000_000)
    ahead.set_result(Attempt(measurement=measurement))
    assert modest.result(60).measurement.succeeded
    attempt = demanding.result(60)
    assert isinstance(attempt.error, ConfigError)
    assert attempt.measurement.result is None
    (failure,) = attempt.measurement.failures
    assert (failure.kind, failure.stage) == ("config", "setup")
    assert failure.reason == (
        "--kv-max-p99 9ms needs 100 samples, but this guest's ping (BusyBox without -i) sends one every 1s, 10 in all: "
        "use --kv-sample-duration 1m40s"
    )


@pytest.mark.parametrize(
    ("interval_ns", "says"),
    [
        (100_000_000, "(100ms, --kv-interval). Use --kv-interval 75ms or shorter"),
        (1_000_000_000, "but this guest's ping sends one every 1s at best"),
    ],
)
def test_a_limit_on_the_gap_that_pings_are_too_far_apart_for_is_a_config_error(interval_ns, says):
    measurement = replace(measured().measurement, interval_ns=interval_ns)
    ahead = Future()
    fine = for_limits(ahead, check(Limits(max_gap_ns=2 * interval_ns)))
    short = for_limits(ahead, check(Limits(max_gap_ns=150_000_000)))
    ahead.set_result(Attempt(measurement=measurement))
    assert fine.result(60).error is None
    assert isinstance(short.result(60).error, ConfigError)
    assert says in short.result(60).error.reason


def test_what_goes_wrong_while_it_is_judged_reaches_the_one_who_waits():
    ahead = Future()
    broken = for_limits(ahead, check("no limits at all"))
    ahead.set_result(measured())
    with pytest.raises(AttributeError):
        broken.result(0)
