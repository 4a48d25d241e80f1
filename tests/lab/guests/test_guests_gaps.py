"""The longest gap of ordinary checks: pings that are answered late, and pings that are lost."""

from __future__ import annotations

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 5
time_scale: 10
boot: 100ms
networks:
  default/steady: {latency: 100us}
  default/late: {latency: 100us}
  default/lossy: {latency: 100us, loss: 30%}
faults:
  - {fault: queue, network: default/late, after: 1s, delay: 1200ms}
"""
PAIR = ("--kv-nodes", "worker1:worker2", "--kv-sample-duration", "4s", "--kv-max-loss", "none")
MS = 1_000_000


@pytest.mark.parametrize("guest", ["alpine", "fedora"])
def test_a_queue_of_pings_that_are_answered_late_is_a_gap_without_a_loss(check, guest):
    run = check("late", "steady", args=(*PAIR, "--kv-max-gap", "500ms", "--kv-guest", guest))
    run.result.assert_outcomes(passed=1, failed=1)
    late, steady = (
        next(one for one in run.measurements if name in one["nad"]) for name in ("late", "steady")
    )
    assert (late["lossPercent"], late["longestGap"]["lost"], late["failureKind"]) == (0, 0, "gap")
    assert late["failureReason"].startswith('run: actual longest gap "1.')
    # Right to one interval, which is the time between two requests by ping's own count or this tool's clock.
    # Beside it stand the round trips of both replies, which a busy machine lengthens.
    assert abs(late["longestGap"]["nanoSec"] - 1200 * MS) <= late["gapResolutionNanoSec"] + 20 * MS
    assert late["gapResolutionNanoSec"] < 200 * MS
    assert steady["longestGap"]["nanoSec"] < 300 * MS


def test_what_is_lost_lengthens_the_gap_in_which_it_lies(check):
    run = check("lossy", args=PAIR)
    run.result.assert_outcomes(passed=1)
    longest, interval = run.only["longestGap"], run.only["gapResolutionNanoSec"]
    assert longest["lost"] >= 1
    # The lost ones, and the time to the next.
    assert abs(longest["nanoSec"] - (longest["lost"] + 1) * interval) < interval
