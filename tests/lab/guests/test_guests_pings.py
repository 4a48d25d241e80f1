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
  default/other-address: {}
  default/never-sent: {}
  default/in-place-of-one: {}
  default/twice: {}
  default/twice-once: {}
  default/torn: {}
  default/answered-elsewhere: {}
  default/cut: {partition: true}
  default/cut-answer: {partition: true}
faults:
  - {fault: stray-line, network: default/other-address}
  - {fault: stray-line, network: default/never-sent, line: "64 bytes from ADDRESS: seq=10 ttl=64 time=888.888 ms"}
  - {fault: stray-line, network: default/in-place-of-one, instead: 2}
  - {fault: stray-line, network: default/twice, line: "64 bytes from ADDRESS: seq=7 ttl=64 time=888.888 ms"}
  - {fault: stray-line, network: default/twice-once, line: "64 bytes from ADDRESS: seq=7 ttl=64 time=888.888 ms",
     vmi: "latency-check-source-*", times: 1}
  - {fault: stray-line, network: default/torn, line: "64 bytes fromsystemd[1]: Started", instead: 1}
  - {fault: stray-line, network: default/answered-elsewhere,
     line: "64 bytes from 198.51.100.9: seq=2 ttl=64 time=TIME ms", instead: 3}
  - {fault: stray-line, network: default/cut}
  - {fault: stray-line, network: default/cut-answer, line: "64 bytes from ADDRESS: seq=0 ttl=64 time=0.200 ms"}
"""
AT_ONCE = ("--kv-warmup", "0")


@pytest.mark.parametrize("network", ["other-address", "never-sent"])
def test_E75_a_line_that_answers_no_request_is_no_sample(check, network):
    run = check(network, args=("--kv-max-latency", "100ms"))
    run.result.assert_outcomes(passed=1)
    assert (run.only["transmitted"], run.only["received"], len(run.only["samplesNanoSec"])) == (10, 10, 10)
    assert run.only["maxLatencyNanoSec"] < 100_000_000
    assert "ignored 1 lines that look like replies but answer no request of this ping" in " ".join(
        run.only["notes"]
    )


@pytest.mark.parametrize(
    ("network", "args", "reason"),
    [
        pytest.param("twice", (), "ping counted 0 duplicates, but printed 1", id="another-answer"),
        pytest.param(
            "torn",
            ("--kv-sample-duration", "200ms", "--kv-max-latency", "10ms"),
            "ping's own m",
            id="torn-maximum",
        ),
        pytest.param("cut-answer", AT_ONCE, "ping counted 0 replies, but printed 1", id="none-received"),
    ],
)
def test_E75_a_sample_that_contradicts_itself_twice_is_the_guests_fault(check, network, args, reason):
    run = check(network, args=args)
    run.result.assert_outcomes(errors=1)
    assert (run.only["failureKind"], run.only["transmitted"]) == ("guest", None)
    assert run.only["failureReason"].startswith(f"run: {reason}")


def test_E75_a_sample_that_contradicts_itself_is_taken_again(check):
    run = check("twice-once")
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == len(run.only["samplesNanoSec"]) == 10
    assert "discarded the first sample: ping counted 0 duplicates" in " ".join(run.only["notes"])


def test_E75_a_line_from_elsewhere_makes_no_silent_network_answer(check):
    run = check("cut", args=AT_ONCE)
    run.result.assert_outcomes(failed=1)
    assert (run.only["failureKind"], run.only["received"]) == ("connectivity", 0)


def test_E75_what_another_address_answers_is_lost_and_named(check):
    run = check("answered-elsewhere")
    run.result.assert_outcomes(failed=1)
    assert (run.only["failureKind"], run.only["received"]) == ("loss", 9)
    assert "198.51.100.9" in run.only["failureReason"]


PLAIN = """
from dataclasses import replace

from pytest_kvlatency.guest.profiles import FEDORA

def pytest_kvlatency_guest_profiles(config):
    return [replace(FEDORA, name="plain", become_root="")]
"""


def test_E38_a_ping_that_allows_users_200_ms_pings_faster_as_root(check_in, pytester):
    pytester.makeconftest(PLAIN)
    lab = "{guests: sim, time_scale: 20, dialect: iputils-old}"
    nad = ("--kv-nad", "default/blue-network")
    root = check_in(lab, *nad, "--kv-guest", "fedora")
    root.result.assert_outcomes(passed=1)
    assert root.only["received"] == 10
    user = check_in(lab, *nad, "--kv-guest", "plain")
    user.result.assert_outcomes(errors=1)
    assert user.only["failureKind"] == "config"
    assert "at least 200ms for a user who is not root" in user.only["failureReason"]
    assert "--kv-interval 200ms" in user.stdout
    slower = check_in(lab, *nad, "--kv-guest", "plain", "--kv-interval", "200ms")
    slower.result.assert_outcomes(passed=1)
    assert slower.only["received"] == 5
