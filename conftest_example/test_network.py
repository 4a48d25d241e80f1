"""An acceptance suite for a secondary network: copy it, and put the names of your networks and nodes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kvlatency.items import Ping
    from pytest_kvlatency.latency import Latency
    from pytest_kvlatency.pair import Pair


# A marker of the module holds for all its tests. Markers that stand closer to a test add to it, argument by argument.
pytestmark = pytest.mark.kvlatency(nad="default/blue-network")


def test_any_two_nodes() -> None:
    """Two nodes of the scheduler's choice reach each other; the limits alone decide."""


@pytest.mark.kvlatency(
    nodes=["worker1:worker2", "worker1:worker3"],
    max_latency="200ms",
    max_loss=0,
)
def test_named_pairs(kv_latency: Latency) -> None:
    """Pairs that matter, with limits in the marker and one more in the test's own words."""
    assert kv_latency.avg_ms < 100


@pytest.mark.kvlatency(nodes="worker1:worker2")
class TestBetweenTwoNodes:
    """A class marker holds for every method; a method's own marker adds to it."""

    def test_baseline(self, kv_latency: Latency) -> None:
        """The spread between the fastest and the slowest reply is not absurd."""
        assert kv_latency.max_ms < 100 * max(kv_latency.min_ms, 1.0)

    @pytest.mark.kvlatency(sample_duration="1s", interval="20ms")
    def test_large_packets_take_the_same_way(self, kv_latency: Latency, kv_ping: Ping) -> None:
        """Measure the same pair again with other ping parameters."""
        large = kv_ping(packet_size=1400, sample_duration="1s")
        assert large.loss_percent <= kv_latency.loss_percent

    def test_a_command_in_the_guest(self, kv_pair: Pair) -> None:
        """Run whatever you like in the guests."""
        assert kv_pair.source.run("ip -o link", check=True).output
        neighbours = kv_pair.source.run(f"ip neigh show {kv_pair.target.address}")
        assert neighbours.exit_status == 0
