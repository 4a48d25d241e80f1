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
  default/lossy: {loss: 10%}
  default/doubling: {duplicate: 50%}
  default/small-path: {mtu: 1400}
  default/small-guests: {guest_mtu: 1400}
  default/migrating: {config: {type: bridge, bridge: br1, disableContainerInterface: true}}
  default/ping-missing: {}
  default/ping-refused: {}
  default/crash: {}
links:
  - {between: [worker1, worker3], network: default/plain, latency: 12ms}
faults:
  - {fault: migration, network: default/migrating, node: worker2, after: 700ms, to: worker3}
  - {fault: ping-missing, network: default/ping-missing}
  - {fault: ping-not-permitted, network: default/ping-refused}
  - {fault: guest-crash, network: default/crash, node: worker2, after: 1s}
"""
AT_ONCE = ("--kv-warmup", "0")


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
    assert [run.only[name] for name in ("minLatencyNanoSec", "avgLatencyNanoSec", "maxLatencyNanoSec")] == [
        None
    ] * 3
    assert run.only["lossPercent"] == 100
    assert len(run.requested("create", code=201)) == 2
    assert len(set(run.requested("delete", code=200))) == 2
    assert leftovers() == []


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
    ("network", "args", "reason"),
    [
        pytest.param("cut", (), "not even ARP is answered", id="E28-not-even-arp"),
        pytest.param("no-icmp", (), "ARP is answered, but ICMP is not", id="E28-arp-but-no-icmp"),
        pytest.param(
            "cut",
            ("--kv-subnet", "fd00:18::/64"),
            "not even neighbour discovery is answered",
            id="E28-not-even-neighbour-discovery",
        ),
        pytest.param(
            "no-icmp",
            ("--kv-subnet", "fd00:18::/64"),
            "neighbour discovery is answered, but ICMP is not",
            id="E28-neighbour-discovery-but-no-icmp",
        ),
        pytest.param(
            "cut", ("--kv-guest", "fedora"), "not even ARP is answered", id="E28-E30-iputils-counts-errors"
        ),
    ],
)
def test_silence_is_told_apart(check, network, args, reason):
    run = check(network, args=(*AT_ONCE, *args))
    run.result.assert_outcomes(failed=1)
    assert run.only["failureKind"] == "connectivity"
    assert reason in run.only["failureReason"]
    assert run.only["received"] == 0


@pytest.mark.edge_case(
    "E31",
    happens="Some packets are lost.",
    does="Fails with the kind `loss`. The loss is computed from ping's counters, not read from its rounded percentage.",
)
@pytest.mark.parametrize("guest", ["alpine", "fedora"])
def test_E31_loss_comes_from_the_counters(check, guest):
    args = ("--kv-sample-duration", "40s", "--kv-guest", guest)
    run = check("lossy", args=args)
    run.result.assert_outcomes(failed=1)
    assert run.only["failureKind"] == "loss"
    assert run.only["transmitted"] == 400
    assert run.only["lossPercent"] == pytest.approx(100 * (1 - run.only["received"] / 400))
    assert 10 < run.only["lossPercent"] < 28


def test_E31_loss_within_the_limit_passes(check):
    run = check("lossy", args=("--kv-sample-duration", "10s", "--kv-max-loss", "60"))
    run.result.assert_outcomes(passed=1)
    assert run.only["lossPercent"] > 0


@pytest.mark.edge_case(
    "E32", happens="Replies arrive twice.", does="Counts them as `duplicates`; they are no samples."
)
@pytest.mark.parametrize("guest", ["alpine", "fedora"])
def test_E32_duplicates_are_counted_apart(check, guest):
    run = check("doubling", args=("--kv-sample-duration", "5s", "--kv-guest", guest))
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == len(run.only["samplesNanoSec"]) == 50
    assert run.only["duplicates"] > 10


@pytest.mark.edge_case(
    "E27",
    happens="Small packets pass, and large ones vanish on the path.",
    does="Fails with the kind `connectivity`, and names the size:",
    says="1373 bytes",
)
@pytest.mark.parametrize(
    ("guest", "size", "kind", "reason"),
    [
        pytest.param("alpine", "1372", None, "", id="E27-fits-the-path"),
        pytest.param("alpine", "1373", "connectivity", "1373 bytes", id="E27-vanishes-on-the-path"),
        pytest.param("alpine", "1473", "config", "1473", id="E27-exceeds-the-guests"),
        pytest.param("fedora", "1472", "connectivity", "1472 bytes", id="E27-iputils-vanishes-on-the-path"),
        pytest.param("fedora", "1473", "config", "1473", id="E27-iputils-exceeds-the-guests"),
    ],
)
def test_a_size_that_must_not_be_fragmented(check, guest, size, kind, reason):
    args = ("--kv-packet-size", size, "--kv-dont-fragment", "--kv-guest", guest)
    run = check("small-path", args=args)
    assert run.only["failureKind"] == kind
    assert reason in (run.only["failureReason"] or "")
    run.result.assert_outcomes(**{None: {"passed": 1}, "config": {"errors": 1}}.get(kind, {"failed": 1}))


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


@pytest.mark.edge_case(
    "E38",
    happens="The guest has no ping, or its user may not use it.",
    does="Fails with the kind `guest`, and not as a fault of the network:",
    says="not found",
)
@pytest.mark.parametrize(
    ("network", "reason"),
    [
        pytest.param("ping-missing", "not found", id="E38-no-ping"),
        pytest.param("ping-refused", "ermi", id="E38-not-permitted"),
    ],
)
def test_a_guest_that_cannot_ping_is_no_fault_of_the_network(check, network, reason):
    run = check(network)
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert reason in run.only["failureReason"]


def test_E37_the_result_says_under_what_the_guests_ran(check):
    run = check("plain")
    assert run.document["cluster"]["lab"]["guests"].startswith("simulated guests")
    assert run.only["softwareEmulation"] is False


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


def test_E65_source_and_target_on_one_node(check):
    run = check("plain", args=("--kv-nodes", "worker1:worker1"))
    run.result.assert_outcomes(passed=1)
    assert (run.only["sourceNode"], run.only["targetNode"]) == ("worker1", "worker1")
    assert len(run.requested("create")) == 2


def test_a_link_between_two_nodes_moves_the_round_trip_by_twice_its_latency(check):
    run = check("plain", args=("--kv-nodes", "worker1:worker2", "--kv-nodes", "worker1:worker3"))
    run.result.assert_outcomes(passed=2)
    near, far = run.measurements
    assert 23e6 < far["minLatencyNanoSec"] - near["minLatencyNanoSec"] < 25e6
