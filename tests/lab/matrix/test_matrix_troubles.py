"""What one broken node, guest or link costs: its own pairs, and nothing else."""

from __future__ import annotations

from itertools import combinations

import pytest

BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "mesh")
NODES = [f"worker{number}" for number in range(1, 7)]
BROKEN = """
networks: {default/blue-network: {latency: 200us}}
links:
  - {between: [worker1, worker2], partition: true}
"""
# The guest on worker3 ends while its second pair is measured, or a later one.
ENDING = """
from pytest_kvlatency.engine.measuring import Measurer

measure, pairs = Measurer.measure, []


def ending(self, check, source, target, *arguments, **more):
    for guest in (source, target):
        if guest.node == "worker3":
            pairs.append(check)
            if len(pairs) == 2:
                guest.shell.run("(sleep 3; poweroff -f) >/dev/null 2>&1 &", may_leave_jobs=True)
    return measure(self, check, source, target, *arguments, **more)


Measurer.measure = ending
"""


@pytest.mark.edge_case(
    "E64",
    happens="One of many pairs fails.",
    does="Measures all others, names the cause of each, and ends with exit status 1.",
)
def test_E64_each_trouble_costs_its_own_pairs_and_is_named(grid):
    entries = [f"{{name: {one}, unschedulable: true}}" if one == "worker5" else one for one in NODES]
    lab = grid(f"[{', '.join(entries)}]", BROKEN, time_scale=5)
    (lab.directory / "ending.py").write_text(ENDING)
    # worker3's four pairs take 1.6 s each at least: one is over when its guest ends, and the last is not.
    done = lab.run(
        *("-p", "ending", *BLUE, "--kv-node-set", ",".join(NODES), "--kv-sample-duration", "8s"),
        path=lab.directory,
    )
    assert done.status == 1, done.output[-3000:]
    pairs = done.pairs
    assert set(pairs) == {f"{source}:{target}" for source, target in combinations(NODES, 2)}
    for name, one in pairs.items():
        source, target = name.split(":")
        reasons = one["failureReason"] or ""
        if "worker5" in (source, target):
            assert not one["received"]
            assert "worker5 is cordoned, so no VM can start there: kubectl uncordon worker5" in reasons
        elif "worker3" in (source, target):
            assert one["received"] == 80 or reasons, name
        elif name == "worker1:worker2":
            assert one["transmitted"] == 80
            assert one["received"] == 0
            assert "80 packets transmitted, 0 packets received" in reasons
            assert "not even ARP is answered" in reasons
        else:
            assert (one["received"], reasons) == (80, ""), name
    crashed = [one for name, one in pairs.items() if "worker3" in name and "worker5" not in name]
    broken = [one for one in crashed if one["failureReason"]]
    assert 0 < len(broken) < len(crashed)
    reasons = [one["failureReason"] for one in broken]
    # What was lost after the guest had ended is no loss of the network's.
    assert {one["failureKind"] for one in broken} <= {"provision", "guest"}, reasons
    assert all("powered off" in reason for reason in reasons), reasons
    assert lab.vmis() == []


def test_maxfail_stops_measuring_and_cleans_up(grid):
    lab = grid(6, time_scale=1)
    done = lab.run(
        *BLUE, "--kv-sample-duration", "1s", "--kv-max-latency", "1us", "--maxfail", "2", "--kv-parallel", "1"
    )
    assert done.status == 1, done.output
    assert "stopping after 2 failures" in done.output
    measured = [check for check, start, end in done.spans if end - start > 0.5]
    assert 2 <= len(measured) < 10
    assert done.at_once == 1
    created = done.requests(verb="create", resource="virtualmachineinstances")
    assert len(done.requests(verb="delete", resource="virtualmachineinstances")) >= len(created)
    assert lab.vmis() == []


LOSES_ITS_ADDRESS = """
def test_own(kv_pair, kv_latency_after):
    raise AssertionError("the body must not run")

import pytest

@pytest.fixture
def kv_latency_after(kv_pair, request):
    kv_pair.target.run("ip addr del %s/24 dev eth0" % kv_pair.target.address, check=True)
    return request.getfixturevalue("kv_latency")
"""


def test_E55_a_target_that_lost_its_address_is_the_guests_fault_and_not_the_networks(grid):
    lab = grid("[worker1, worker2]", time_scale=5)
    done = lab.run(
        *BLUE[:2], "--kv-sample-duration", "1s", "test_own.py", tests=LOSES_ITS_ADDRESS, module="pytest"
    )
    (one,) = done.document["measurements"]
    assert one["failureKind"] == "guest", done.output
    assert (
        "were lost, and its guest has changed since it was set up: eth0 has lost the" in one["failureReason"]
    )
    assert lab.vmis() == []


def test_E30_what_iputils_no_longer_waits_for_is_not_lost(grid):
    lab = grid("6", "dialect: iputils\nnetworks: {default/blue-network: {jitter: 40ms}}\n", time_scale=5)
    done = lab.run(*BLUE, "--kv-interval", "10ms", "--kv-sample-duration", "100ms")
    assert done.status == 0, done.output
    assert {(one["transmitted"], one["received"]) for one in done.pairs.values()} == {(10, 10)}


def test_E37_guests_that_are_emulated_say_so(grid):
    done = grid("2", "accelerator: tcg\n").run(*BLUE, "--kv-sample-duration", "1s")
    assert done.status == 0, done.output
    (pair,) = done.pairs.values()
    assert pair["softwareEmulation"] is True
    assert "the guests ran under software emulation, which inflates round-trip times" in pair["notes"]


def test_a_mistyped_network_ends_a_large_mesh_as_soon_as_a_small_one(grid):
    nodes = [f"worker{number}" for number in range(1, 25)]
    wrong = ("--kv-nad", "default/blu-network", "--kv-nodes", "mesh", "--kv-node-set", ",".join(nodes))
    # What grows with the square of the items takes minutes here, and what grows with them takes seconds.
    done = grid(len(nodes)).run(*wrong)
    assert done.status == 1, done.output[-3000:]
    assert len(done.pairs) == 276
    assert {one["outcome"] for one in done.pairs.values()} == {"error"}
    reason = "config: NetworkAttachmentDefinition default/blu-network does not exist"
    assert done.document["failureReason"].startswith(reason)
    # Each once where it failed, and once in the table and the summary together.
    assert done.output.count(reason) < 3 * 276
    assert done.requests(verb="create", resource="virtualmachineinstances") == []
