"""A mesh over real guests: the matrix shows exactly the pair whose link is slow."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.qemu, pytest.mark.steady]

LAB = """
guests: qemu
nodes: 4
networks: {default/blue-network: {}}
links:
  - {between: [worker2, worker4], latency: 20ms}
"""


def test_a_mesh_of_four_nodes_shows_exactly_the_slow_link(measured):
    measurements = measured(LAB, "--kv-nodes", "mesh", "--kv-sample-duration", "1s")
    found = {
        one["nodeid"].partition("-network-")[2].rstrip("]"): one["minLatencyNanoSec"] for one in measurements
    }
    assert len(found) == 6
    slow = {pair: lowest for pair, lowest in found.items() if lowest >= 40_000_000}
    assert set(slow) == {"worker2:worker4"}, found
