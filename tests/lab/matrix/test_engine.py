"""What is measured at the same time, and which guests live how long."""

from __future__ import annotations

import json
from itertools import combinations

BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "mesh")
TWO_NETWORKS = "networks: {default/blue-network: {latency: 200us}, default/red-network: {latency: 3ms}}\n"


def overlapping(spans):
    return [(one, other) for one, other in combinations(spans, 2) if one[1] < other[2] and other[1] < one[2]]


def nodes_of(check):
    return set(check.split("-network-")[1].split(":"))


def test_a_mesh_is_measured_in_parallel_and_two_networks_share_their_nodes(grid):
    lab = grid(4, TWO_NETWORKS, time_scale=2)
    done = lab.run(*BLUE, "--kv-nad", "default/red-network", "--kv-sample-duration", "1s")
    assert done.status == 0, done.output
    assert len(done.spans) == 12
    assert done.at_once == 2
    # No node is part of two measurements at a time.
    assert not [found for found in overlapping(done.spans) if nodes_of(found[0][0]) & nodes_of(found[1][0])]
    assert len(done.requests(verb="create", resource="virtualmachineinstances")) == 8
    assert lab.vmis() == []


def test_parallel_bounds_what_is_measured_at_once(grid):
    # Three pairs of a ring of six share no node.
    ring = ("--kv-nad", "default/blue-network", "--kv-nodes", "ring", "--kv-sample-duration", "1s")
    done = grid(6, time_scale=2).run(*ring, "--kv-parallel", "2")
    assert done.status == 0, done.output
    assert len(done.spans) == 6
    assert done.at_once == 2


def test_guests_that_nobody_needs_any_more_are_deleted_early(grid):
    tests = """
import time

from pytest_kvlatency.deadline import Deadline

def test_pair(kv_latency, kv_cluster, request):
    if "worker1:worker4" not in request.node.nodeid:
        return
    until = time.monotonic() + 30
    while time.monotonic() < until:
        path = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
        items = kv_cluster.client.request("GET", path, deadline=Deadline(20))["items"]
        left = {one["status"]["nodeName"] for one in items if "deletionTimestamp" not in one["metadata"]}
        if left == {"worker1", "worker4"}:
            return
        time.sleep(0.05)
    raise AssertionError(left)
"""
    arguments = (
        "--kv-nad",
        "default/blue-network",
        "--kv-nodes",
        "star:worker1",
        "--kv-sample-duration",
        "1s",
    )
    done = grid(4).run(*arguments, "test_own.py", tests=tests, module="pytest")
    assert done.status == 0, done.output


def test_what_a_users_fixture_prepares_is_measured_then_and_the_others_ahead(grid):
    tests = """
import json
import time

import pytest

BEGAN = {}

@pytest.fixture
def load(request):
    BEGAN[request.node.callspec.id] = time.monotonic()
    yield
    with open("load.json", "w") as file:
        json.dump(BEGAN, file)

def test_loaded(load, kv_latency):
    assert kv_latency.received

def test_idle(kv_latency):
    assert kv_latency.received
"""
    done = grid(4).run(*BLUE, "--kv-sample-duration", "1s", "test_own.py", tests=tests, module="pytest")
    assert done.status == 0, done.output
    loads = json.loads((done.directory / "load.json").read_text())
    assert len(loads) == 6
    assert len(done.spans) == 12
    for check, began in loads.items():
        starts = sorted(start for name, start, _ in done.spans if name == check)
        assert len(starts) == 2
        assert starts[-1] > began
    last_load = max(loads.values())
    ahead = [start for check, start, _ in done.spans if start < last_load]
    assert len(ahead) > 6


READY = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def suite(kv_cluster):
    return kv_cluster.namespace

@pytest.mark.parametrize("of_the_test", [1])
def test_pair(suite, of_the_test, tmp_path, monkeypatch, kv_latency):
    assert suite == "default"
"""


def test_fixtures_of_the_session_that_are_set_up_let_pairs_be_measured_in_parallel(grid):
    done = grid(4, time_scale=1).run(
        *BLUE, "--kv-sample-duration", "1s", "test_own.py", tests=READY, module="pytest"
    )
    assert done.status == 0, done.output
    assert len(done.spans) == 6
    assert done.at_once == 2
