"""Several networks and pairs in one run: which VMIs are made, shared, placed and let go."""

from __future__ import annotations

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
seed: 4
time_scale: 20
boot: 100ms
networks:
  default/blue: {}
  default/red: {}
  default/slow: {latency: 400ms}
  default/macs-refused: {}
faults:
  - {fault: mac-collision, network: default/macs-refused}
"""
TWO_NODES = """
guests: sim
nodes: [worker1, worker2]
time_scale: 20
boot: 100ms
networks:
  default/blue: {}
  default/red: {}
faults:
  - {fault: mac-collision, times: 1}
"""


def pairs(*names):
    return tuple(word for name in names for word in ("--kv-nodes", name))


def test_vmis_are_shared_by_every_pair_that_needs_them(check, leftovers):
    """A pair on one node shares its first guest (E65)."""
    nodes = ("worker1:worker2", "worker1:worker3", "worker3:worker2", "worker2:worker1", "worker1:worker1")
    run = check("blue", args=pairs(*nodes))
    run.result.assert_outcomes(passed=5)
    assert len(run.requested("create")) == 4
    assert leftovers() == []


def test_vmis_of_two_networks_are_not_shared_and_are_deleted_while_others_are_measured(check, pytester):
    # A fixture of the test's own: one network after the other, each when its turn comes.
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def load():
            pass

        def test_network(load, kv_latency):
            pass
        """
    )
    run = check("blue", "red", args=(*pairs("worker1:worker2"), "--kv-sample-duration", "20s"))
    run.result.assert_outcomes(passed=2)
    assert len(run.requested("create")) == 4
    vmis = [one for one in run.requests if one["resource"] == "virtualmachineinstances"]
    steps = [one["subresource"] or one["verb"] for one in vmis]
    last_console = len(steps) - 1 - steps[::-1].index("console")
    assert steps[:last_console].count("delete") == 2


@pytest.mark.edge_case(
    "E69",
    happens="An `auto` check covers two networks, and the cluster has two nodes.",
    does="Two nodes suffice: anti-affinity is a matter of each pair.",
)
def test_E69_auto_on_two_networks_needs_no_more_than_two_nodes(check_in):
    run = check_in(TWO_NODES, "--kv-nad", "default/blue", "--kv-nad", "default/red")
    run.result.assert_outcomes(passed=2)
    for one in run.measurements:
        assert {one["sourceNode"], one["targetNode"]} == {"worker1", "worker2"}
    # E71: the first MAC was refused, and another one taken.
    assert len(run.requested("create", code=201)) == 4
    assert len(run.requested("create")) == 5


@pytest.mark.edge_case(
    "E71",
    happens="KubeMacPool refuses each MAC address that is tried.",
    does="Fails with the kind `provision`:",
    says="random MACs were refused",
)
def test_E71_macs_that_are_always_refused_are_a_cause(check):
    run = check("macs-refused")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "provision"
    assert "random MACs were refused" in run.only["failureReason"]


MIXED = """
guests: sim
nodes: [worker1, {name: worker2, arch: arm64}, worker3]
time_scale: 20
boot: 100ms
"""


@pytest.mark.edge_case(
    "E70",
    happens="A node has another architecture than the guest's image.",
    does="Fails with the kind `config`, and names `--kv-image`:",
    says="worker2 is arm64",
)
def test_E70_a_node_of_another_architecture_than_the_profiles_image_needs_an_image_of_ones_own(
    check_in, pytester
):
    pytester.makepyfile(
        """
        import pytest

        def test_profiles_image(kv_latency): ...

        @pytest.mark.kvlatency(image="example/own")
        def test_own_image(kv_latency): ...
        """
    )
    run = check_in(MIXED, "--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")
    run.result.assert_outcomes(passed=1, errors=1)
    profiles, own = run.measurements
    assert profiles["failureKind"] == "config"
    assert "worker2 is arm64" in profiles["failureReason"]
    assert "--kv-image" in run.stdout
    assert (own["outcome"], own["targetNode"]) == ("passed", "worker2")


@pytest.mark.edge_case("E33", happens="BusyBox and iputils print different lines.", does="Reads both alike.")
@pytest.mark.parametrize(
    "guest",
    [
        pytest.param("alpine", id="E33-busybox"),
        pytest.param("fedora", id="E33-iputils-with-password-and-sudo"),
    ],
)
def test_each_ping_is_read_alike(check, guest):
    run = check("blue", args=("--kv-guest", guest))
    run.result.assert_outcomes(passed=1)
    assert run.only["transmitted"] == run.only["received"] == len(run.only["samplesNanoSec"]) == 10
    assert "once a second" not in " ".join(run.only["notes"])


OLD_BUSYBOX = "{guests: sim, time_scale: 20, dialect: busybox-old}"


@pytest.mark.edge_case(
    "E34",
    happens="The ping of an old BusyBox has no `-i`.",
    does="Measures once a second, and adds a note:",
    says="once a second",
)
@pytest.mark.edge_case(
    "E90",
    happens="A percentile limit needs more samples than an old BusyBox can take, which pings once a second.",
    does="Fails with the kind `config` before the first ping:",
    says="setup: --kv-max-p99 … needs 100 samples, but this guest's ping (BusyBox without -i) sends one every 1s",
)
def test_E34_E90_a_ping_once_a_second_is_noted_and_a_percentile_that_it_cannot_serve_is_a_config_error(
    check_in, pytester
):
    pytester.makepyfile(
        """
        import pytest

        # Of this pair, nothing else is measured.
        @pytest.mark.kvlatency(nodes="worker2:worker1", max_p99="1s")
        def test_alone(kv_latency):
            pass

        @pytest.mark.kvlatency(max_p99="1s")
        def test_demanding(kv_latency):
            pass

        @pytest.mark.kvlatency
        def test_modest(kv_latency):
            assert kv_latency.loss_percent == 0
            with pytest.raises(Exception, match="p99 needs 100 samples, got 10: --kv-sample-duration 1m40s"):
                kv_latency.p99_ms
        """
    )
    nad, nodes = ("--kv-nad", "default/blue-network"), ("--kv-nodes", "worker1:worker2")
    run = check_in(OLD_BUSYBOX, *nad, *nodes, "--kv-sample-duration", "10s")
    run.result.assert_outcomes(passed=1, errors=2)
    *demanding, modest = run.measurements
    for one in demanding:
        assert (one["failureKind"], one["transmitted"]) == ("config", None)
        assert one["failureReason"] == (
            "setup: --kv-max-p99 1s needs 100 samples, but this guest's ping (BusyBox without -i) sends one every 1s, "
            "10 in all: use --kv-sample-duration 1m40s"
        )
    assert modest["transmitted"] == modest["received"] == len(modest["samplesNanoSec"]) == 10
    assert "once a second" in " ".join(modest["notes"])


@pytest.mark.edge_case(
    "E68",
    happens="Replies are still on their way when ping has sent its last request.",
    does="Waits for them. They are no loss.",
)
def test_E68_replies_in_flight_at_the_end_are_no_loss(check):
    run = check("slow")
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == run.only["transmitted"] == 10


@pytest.mark.edge_case(
    "E35",
    happens="The first replies take long: ARP, flow set-up, spanning tree.",
    does="Starts the sample after them, and reports the wait as `warmupSeconds`.",
)
def test_E35_the_warm_up_is_reported_and_no_part_of_the_sample(check):
    run = check("blue", args=("--kv-warmup", "3"))
    run.result.assert_outcomes(passed=1)
    assert run.only["warmupSeconds"] > 0
    assert run.only["transmitted"] == 10
