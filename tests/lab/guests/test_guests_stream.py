"""kv_stream, from end to end: what a test does to its pair shows as a gap, and is reported."""

from __future__ import annotations

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 5
boot: 100ms
networks:
  default/blue: {latency: 100us}
  default/late: {latency: 100us}
faults:
  - {fault: queue, network: default/late, after: 500ms, delay: 1200ms}
"""
TESTS = """
import time
import pytest
from pytest_kvlatency import ConfigError, NoValue

DOWN = "ip link set eth0 down; sleep 0.6; ip link set eth0 up"

def until(reached):
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end

def test_gap(kv_pair, kv_stream, kv_latency):
    with kv_stream() as stream:
        with pytest.raises(NoValue, match="before its with block has ended"):
            stream.longest_gap_ms
        assert stream.get("lost") is None
        kv_pair.target.run(DOWN, check=True)
        before = stream.replies()
        until(lambda: stream.replies() > before + 20)
        # The console is the test's meanwhile.
        assert kv_pair.source.run("echo free").output == "free"
    assert 600 < stream.longest_gap_ms < 20_000
    assert stream.lost == stream.transmitted - stream.received > 10
    assert len(stream.samples_ns) == stream.received == stream.replies()
    assert stream.gaps[0].begins_ns > 0
    assert kv_pair.source.run("grep -l BEGIN /tmp/.kv-*/out").output == ""
    assert max(one.length_ns for one in stream.gaps) == stream.longest_gap_ns
    assert kv_latency.longest_gap_ms < 600

def test_body_that_fails(kv_stream):
    with kv_stream(interval="50ms", packet_size=500) as stream:
        until(lambda: stream.replies() > 3)
        raise ValueError("the test's own")

@pytest.mark.kvlatency(nad="default/late")
def test_queue(kv_stream):
    with kv_stream() as stream:
        until(lambda: stream.replies() > 150)
    assert stream.lost == 0
    assert 1_150 < stream.longest_gap_ms < 20_000
    # By the round-trip times, which are simulated, it is to the interval what it was made.
    assert 1_180 < stream.max_ms <= 1_200

@pytest.mark.kvlatency(sample_duration="200ms")
def test_an_interval_that_is_longer_than_a_sample(kv_stream):
    with kv_stream(interval="300ms") as stream:
        pass
    assert stream.received

def test_wrong_calls(kv_stream):
    with pytest.raises(ConfigError, match="^kv_stream has no argument 'size'. Did you mean packet_size[?]"):
        kv_stream(size=3)
    with pytest.raises(ConfigError, match="interval: '3' has no unit.*from the call of kv_stream"):
        kv_stream(interval="3")
    with pytest.raises(ConfigError, match="takes keyword arguments only"):
        kv_stream("10ms")
"""


def test_what_a_test_does_to_its_pair_shows_as_a_gap_and_is_reported(check, pytester, leftovers):
    pytester.makepyfile(TESTS)
    run = check("blue", args=("--kv-nodes", "worker1:worker2"))
    run.result.assert_outcomes(passed=4, failed=1)
    assert "ValueError: the test's own" in run.stdout
    by_test = {one["nodeid"].split("::")[1].split("[")[0]: one for one in run.measurements}
    (stream,) = by_test["test_gap"]["extra"]
    assert stream["lossPercent"] > 0
    assert stream["failureReason"] is None
    assert stream["longestGap"]["nanoSec"] >= 600_000_000
    assert 9_000_000 < stream["gapResolutionNanoSec"] < 200_000_000
    # A test that fails keeps what was measured until then; the pair's own measurement has its longest gap, too.
    (kept,) = by_test["test_body_that_fails"]["extra"]
    assert kept["received"] > 3
    assert all(one["longestGap"]["nanoSec"] > 0 for one in by_test.values() if one["longestGap"])
    assert by_test["test_gap"]["longestGap"]["nanoSec"] < 600_000_000
    assert leftovers() == []
