"""An acceptance suite for a secondary network. Copy it, and replace the names of networks and nodes by yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.pair import Pair, Ping
    from pytest_kvlatency.ping.latency import Latency


# The module's marker applies to all tests. Markers closer to a test override it, argument by argument.
pytestmark = pytest.mark.kvlatency(nad="default/blue-network")


def test_any_two_nodes() -> None:
    """Two nodes that the scheduler chooses reach each other. The limits alone decide."""


@pytest.mark.kvlatency(
    nodes=["worker1:worker2", "worker1:worker3"],
    max_latency="200ms",
    max_loss=0,
)
def test_named_pairs(kv_latency: Latency) -> None:
    """Important pairs, with limits in the marker and one more as an assertion."""
    assert kv_latency.avg_ms < 100


@pytest.mark.kvlatency(nodes="worker1:worker2")
class TestBetweenTwoNodes:
    """A class marker applies to every method. A method can add its own."""

    def test_baseline(self, kv_latency: Latency) -> None:
        """The slowest reply is not out of all proportion to the fastest one."""
        assert kv_latency.max_ms < 100 * max(kv_latency.min_ms, 1.0)

    @pytest.mark.kvlatency(sample_duration="1s", interval="20ms")
    def test_large_packets_take_the_same_way(self, kv_latency: Latency, kv_ping: Ping) -> None:
        """Measure the same pair again with other ping parameters."""
        large = kv_ping(packet_size=1400, sample_duration="1s")
        assert large.loss_percent <= kv_latency.loss_percent

    def test_a_command_in_the_guest(self, kv_pair: Pair) -> None:
        """Run any command in the guests."""
        assert kv_pair.source.run("ip -o link", check=True).output
        neighbours = kv_pair.source.run(f"ip neigh show {kv_pair.target.address}")
        assert neighbours.exit_status == 0
