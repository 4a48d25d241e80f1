"""What networks do to a measurement: cuts, loss, delay, duplicates and small MTUs, from end to end."""

from __future__ import annotations

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
seed: 3
time_scale: 20
boot: 100ms
networks:
  default/plain: {latency: 100us}
  default/cut: {partition: true}
  default/no-icmp: {block_icmp: true}
  default/lossy: {loss: 10%, duplicate: 50%}
  default/small-path: {mtu: 1400}
  default/small-guests: {guest_mtu: 1400}
  default/migrating: {config: {type: bridge, bridge: br1, disableContainerInterface: true}}
  default/no-ping: {}
  default/crash: {}
links:
  - {between: [worker1, worker3], network: default/plain, latency: 12ms}
faults:
  - {fault: migration, network: default/migrating, node: worker2, after: 700ms, to: worker3}
  - {fault: ping-missing, network: default/no-ping, node: worker1}
  - {fault: ping-not-permitted, network: default/no-ping, node: worker2}
  - {fault: guest-crash, network: default/crash, node: worker2, after: 1s}
"""
PAIR = ("--kv-nodes", "worker1:worker2")


@pytest.mark.edge_case(
    "E30",
    happens="Every packet is lost.",
    does="Fails with the kind `connectivity`; the numbers are `null`:",
    says="run: failed to run check: failed due to connectivity issue: … packets transmitted, 0 packets received",
)
def test_E30_a_partition_tells_its_counters_and_leaves_no_vmi(check, leftovers):
    run = check("cut", args=("--kv-sample-duration", "5s"))
    run.result.assert_outcomes(failed=1)
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.only["failureKind"] == "connectivity"
    assert run.document["failureReason"].startswith(
        "run: failed to run check: failed due to connectivity issue: "
        "50 packets transmitted, 0 packets received"
    )
    assert "not even ARP is answered" in run.only["failureReason"]
    assert [run.only[name] for name in ("minLatencyNanoSec", "avgLatencyNanoSec", "maxLatencyNanoSec")] == [
        None
    ] * 3
    assert run.only["lossPercent"] == 100
    assert len(run.requested("create", code=201)) == 2
    assert len(set(run.requested("delete", code=200))) == 2
    assert leftovers() == []


SILENT = """
import pytest

@pytest.mark.kvlatency(nad="default/no-icmp")
def test_no_icmp(kv_latency): ...

@pytest.mark.kvlatency(nad="default/no-icmp", subnet="fd00:18::/64")
def test_no_icmp_by_ipv6(kv_latency): ...

@pytest.mark.kvlatency(nad="default/cut", subnet="fd00:18::/64")
def test_cut_by_ipv6(kv_latency): ...

@pytest.mark.kvlatency(nad="default/cut", guest="fedora")
def test_cut_with_iputils(kv_latency): ...
"""


@pytest.fixture(scope="module")
def silent(measured):
    return measured(args=(*PAIR, "--kv-warmup", "0"), tests=SILENT)


@pytest.mark.edge_case(
    "E28",
    happens="Neither ARP nor ping is answered.",
    does="Fails with the kind `connectivity`:",
    says="not even ARP is answered",
)
@pytest.mark.edge_case(
    "E28",
    happens="ARP is answered, and ping is not.",
    does="Fails with the kind `connectivity`:",
    says="ARP is answered, but ICMP is not",
)
@pytest.mark.parametrize(
    ("test", "reason"),
    [
        pytest.param("no_icmp", "ARP is answered, but ICMP is not", id="E28-arp-but-no-icmp"),
        pytest.param(
            "no_icmp_by_ipv6",
            "neighbour discovery is answered, but ICMP is not",
            id="E28-neighbour-discovery-but-no-icmp",
        ),
        pytest.param(
            "cut_by_ipv6",
            "not even neighbour discovery is answered",
            id="E28-not-even-neighbour-discovery",
        ),
        pytest.param("cut_with_iputils", "not even ARP is answered", id="E28-E30-iputils-counts-errors"),
    ],
)
def test_silence_is_told_apart(silent, test, reason):
    one = silent[test]
    assert (one["outcome"], one["failureKind"]) == ("failed", "connectivity")
    assert reason in one["failureReason"]
    assert one["received"] == 0


LOSSY = """
import pytest

pytestmark = pytest.mark.kvlatency(nad="default/lossy", sample_duration="40s")

def test_alpine(kv_latency): ...

@pytest.mark.kvlatency(max_loss="60", sample_duration="10s")
def test_within_the_limit(kv_latency): ...

@pytest.mark.kvlatency(guest="fedora")
def test_fedora(kv_latency): ...
"""


@pytest.fixture(scope="module")
def lossy(measured):
    return measured(args=PAIR, tests=LOSSY)


@pytest.mark.edge_case(
    "E31",
    happens="Some packets are lost.",
    does="Fails with the kind `loss`. The loss is computed from ping's counters, not read from its rounded percentage.",
)
@pytest.mark.parametrize("guest", ["alpine", "fedora"])
def test_E31_loss_comes_from_the_counters(lossy, guest):
    one = lossy[guest]
    assert (one["outcome"], one["failureKind"]) == ("failed", "loss")
    assert one["transmitted"] == 400
    assert one["lossPercent"] == pytest.approx(100 * (1 - one["received"] / 400))
    assert 10 < one["lossPercent"] < 28


def test_E31_loss_within_the_limit_passes(lossy):
    one = lossy["within_the_limit"]
    assert one["outcome"] == "passed"
    assert one["lossPercent"] > 0


@pytest.mark.edge_case(
    "E32", happens="Replies arrive twice.", does="Counts them as `duplicates`; they are no samples."
)
@pytest.mark.parametrize("test", ["alpine", "fedora", "within_the_limit"])
def test_E32_duplicates_are_counted_apart(lossy, test):
    one = lossy[test]
    assert one["received"] == len(one["samplesNanoSec"]) < one["transmitted"]
    assert one["duplicates"] > 10


SIZES = """
import pytest

pytestmark = pytest.mark.kvlatency(nad="default/small-path", dont_fragment=True)

@pytest.mark.kvlatency(packet_size=1372)
def test_fits_the_path(kv_latency): ...

@pytest.mark.kvlatency(packet_size=1373)
def test_vanishes_on_the_path(kv_latency): ...

@pytest.mark.kvlatency(packet_size=1473)
def test_exceeds_the_guests(kv_latency): ...

@pytest.mark.kvlatency(packet_size=1472, guest="fedora")
def test_vanishes_with_iputils(kv_latency): ...

@pytest.mark.kvlatency(packet_size=1473, guest="fedora")
def test_exceeds_the_guests_with_iputils(kv_latency): ...
"""


@pytest.fixture(scope="module")
def sizes(measured):
    return measured(args=PAIR, tests=SIZES)


@pytest.mark.edge_case(
    "E27",
    happens="Small packets pass, and large ones vanish on the path.",
    does="Fails with the kind `connectivity`, and names the size:",
    says="1373 bytes",
)
@pytest.mark.parametrize(
    ("test", "outcome", "kind", "reason"),
    [
        pytest.param("fits_the_path", "passed", None, "", id="E27-fits-the-path"),
        pytest.param(
            "vanishes_on_the_path", "failed", "connectivity", "1373 bytes", id="E27-vanishes-on-the-path"
        ),
        pytest.param("exceeds_the_guests", "error", "config", "1473", id="E27-exceeds-the-guests"),
        pytest.param(
            "vanishes_with_iputils",
            "failed",
            "connectivity",
            "1472 bytes",
            id="E27-iputils-vanishes-on-the-path",
        ),
        pytest.param(
            "exceeds_the_guests_with_iputils", "error", "config", "1473", id="E27-iputils-exceeds-the-guests"
        ),
    ],
)
def test_a_size_that_must_not_be_fragmented(sizes, test, outcome, kind, reason):
    one = sizes[test]
    assert (one["outcome"], one["failureKind"]) == (outcome, kind)
    assert reason in (one["failureReason"] or "")


@pytest.mark.edge_case(
    "E27",
    happens="The packets are larger than the MTU of the guests.",
    does="Fails with the kind `config`, and names the MTU and the largest size that fits.",
)
def test_E27_the_guests_own_mtu_is_never_a_fault_of_the_network(check):
    run = check("small-guests", args=("--kv-packet-size", "1472", "--kv-dont-fragment"))
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "config"
    assert "1400" in run.only["failureReason"]
    assert "1372" in run.stdout


@pytest.fixture(scope="module")
def without_ping(measured):
    return measured("no-ping", args=(*PAIR, "--kv-nodes", "worker2:worker1"))


@pytest.mark.edge_case(
    "E38",
    happens="The guest has no ping, or its user may not use it.",
    does="Fails with the kind `guest`, and not as a fault of the network:",
    says="not found",
)
@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        pytest.param("worker1:worker2", "not found", id="E38-no-ping"),
        pytest.param("worker2:worker1", "ermi", id="E38-not-permitted"),
    ],
)
def test_a_guest_that_cannot_ping_is_no_fault_of_the_network(without_ping, nodes, reason):
    one = without_ping[f"no-ping {nodes}"]
    assert (one["outcome"], one["failureKind"]) == ("error", "guest")
    assert reason in one["failureReason"]


@pytest.mark.edge_case(
    "E39",
    happens="A guest migrates during the sample.",
    does="Reports the node where it is now, and adds a note:",
    says="moved from … to …",
)
def test_E39_a_guest_that_migrates_during_the_sample(check):
    run = check("migrating", args=("--kv-nodes", "worker1:worker2", "--kv-sample-duration", "60s"))
    run.result.assert_outcomes(passed=1)
    assert run.only["targetNode"] == "worker3"
    assert "moved from worker2 to worker3" in " ".join(run.only["notes"])


def test_E55_a_guest_that_dies_during_the_sample(check, leftovers):
    run = check("crash", args=("--kv-nodes", "worker1:worker2", "--kv-sample-duration", "60s"))
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.only["failureKind"] == "provision"
    assert leftovers() == []


@pytest.fixture(scope="module")
def plain(measured):
    return measured("plain", args=(*PAIR, "--kv-nodes", "worker1:worker1", "--kv-nodes", "worker1:worker3"))


def test_E65_source_and_target_on_one_node(plain):
    one = plain["plain worker1:worker1"]
    assert one["outcome"] == "passed"
    assert (one["sourceNode"], one["targetNode"]) == ("worker1", "worker1")
    assert one["sourceVmi"] != one["targetVmi"]


def test_a_link_between_two_nodes_moves_the_round_trip_by_twice_its_latency(plain):
    near, far = plain["plain worker1:worker2"], plain["plain worker1:worker3"]
    assert (near["outcome"], far["outcome"]) == ("passed", "passed")
    assert 23e6 < far["minLatencyNanoSec"] - near["minLatencyNanoSec"] < 25e6
