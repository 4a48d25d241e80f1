"""What stands in ping's output beside its replies, and who may ping how often, from end to end."""

from __future__ import annotations

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 11
time_scale: 20
boot: 100ms
networks:
  default/no-answers: {}
  default/twice: {}
  default/torn: {}
  default/cut: {partition: true}
faults:
  - {fault: stray-line, network: default/no-answers, node: worker1}
  - {fault: stray-line, network: default/no-answers, node: worker2,
     line: "64 bytes from ADDRESS: seq=10 ttl=64 time=888.888 ms"}
  - {fault: stray-line, network: default/twice, node: worker1,
     line: "64 bytes from ADDRESS: seq=7 ttl=64 time=888.888 ms"}
  - {fault: stray-line, network: default/twice, node: worker2,
     line: "64 bytes from ADDRESS: seq=7 ttl=64 time=888.888 ms", times: 1}
  - {fault: stray-line, network: default/torn, node: worker1, line: "64 bytes fromsystemd[1]: Started", instead: 1}
  - {fault: stray-line, network: default/torn, node: worker2,
     line: "64 bytes from 198.51.100.9: seq=2 ttl=64 time=TIME ms", instead: 3}
  - {fault: stray-line, network: default/cut, node: worker1}
  - {fault: stray-line, network: default/cut, node: worker2, line: "64 bytes from ADDRESS: seq=0 ttl=64 time=0.200 ms"}
"""
# Each pair has another source, and so another line.
TESTS = """
import pytest

def on(network, source, **settings):
    target = {"worker1": "worker2", "worker2": "worker1"}[source]
    return pytest.mark.kvlatency(nad=f"default/{network}", nodes=f"{source}:{target}", **settings)

@on("no-answers", "worker1", max_latency="100ms")
def test_other_address(kv_latency): ...

@on("no-answers", "worker2", max_latency="100ms")
def test_never_sent(kv_latency): ...

@on("twice", "worker1")
def test_twice(kv_latency): ...

@on("twice", "worker2")
def test_twice_once(kv_latency): ...

@on("torn", "worker1", sample_duration="200ms", max_latency="10ms")
def test_torn(kv_latency): ...

@on("torn", "worker2")
def test_answered_elsewhere(kv_latency): ...

@on("cut", "worker1", warmup=0)
def test_cut(kv_latency): ...

@on("cut", "worker2", warmup=0)
def test_cut_and_answered(kv_latency): ...
"""


@pytest.fixture(scope="module")
def pinged(measured):
    return measured(tests=TESTS)


@pytest.mark.parametrize("test", ["other_address", "never_sent"])
def test_E75_a_line_that_answers_no_request_is_no_sample(pinged, test):
    one = pinged[test]
    assert one["outcome"] == "passed"
    assert (one["transmitted"], one["received"], len(one["samplesNanoSec"])) == (10, 10, 10)
    assert one["maxLatencyNanoSec"] < 100_000_000
    assert "ignored 1 lines that look like replies but answer no request of this ping" in " ".join(
        one["notes"]
    )


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        pytest.param("twice", "ping counted 0 duplicates, but printed 1", id="another-answer"),
        pytest.param("torn", "ping's own m", id="torn-maximum"),
        pytest.param("cut_and_answered", "ping counted 0 replies, but printed 1", id="none-received"),
    ],
)
def test_E75_a_sample_that_contradicts_itself_twice_is_the_guests_fault(pinged, test, reason):
    one = pinged[test]
    assert (one["outcome"], one["failureKind"], one["transmitted"]) == ("error", "guest", None)
    assert one["failureReason"].startswith(f"run: {reason}")


def test_E75_a_sample_that_contradicts_itself_is_taken_again(pinged):
    one = pinged["twice_once"]
    assert one["outcome"] == "passed"
    assert one["received"] == len(one["samplesNanoSec"]) == 10
    assert "discarded the first sample: ping counted 0 duplicates" in " ".join(one["notes"])


def test_E75_a_line_from_elsewhere_makes_no_silent_network_answer(pinged):
    one = pinged["cut"]
    assert (one["outcome"], one["failureKind"], one["received"]) == ("failed", "connectivity", 0)


def test_E75_what_another_address_answers_is_lost_and_named(pinged):
    one = pinged["answered_elsewhere"]
    assert (one["outcome"], one["failureKind"], one["received"]) == ("failed", "loss", 9)
    assert "198.51.100.9" in one["failureReason"]


PLAIN = """
from dataclasses import replace

from pytest_kvlatency.guest.profiles import FEDORA

def pytest_kvlatency_guest_profiles(config):
    return [replace(FEDORA, name="plain", become_root="")]
"""


AS_WHOM = """
import pytest

@pytest.mark.kvlatency(guest="fedora")
def test_root(kv_latency): ...

@pytest.mark.kvlatency(guest="plain")
def test_user(kv_latency): ...

@pytest.mark.kvlatency(guest="plain", interval="200ms")
def test_slower(kv_latency): ...
"""


def test_E38_a_ping_that_allows_users_200_ms_pings_faster_as_root(check_in, pytester):
    pytester.makeconftest(PLAIN)
    pytester.makepyfile(AS_WHOM)
    lab = "{guests: sim, time_scale: 20, dialect: iputils-old}"
    run = check_in(lab, "--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")
    run.result.assert_outcomes(passed=2, errors=1)
    root, user, slower = run.measurements
    assert root["received"] == 10
    assert user["failureKind"] == "config"
    assert "at least 200ms for a user who is not root" in user["failureReason"]
    assert "--kv-interval 200ms" in run.stdout
    assert slower["received"] == 5
