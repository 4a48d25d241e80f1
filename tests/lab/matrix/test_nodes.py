"""Which nodes a matrix is over, and what is said when nobody may tell."""

from __future__ import annotations

from itertools import combinations

import pytest

BLUE = ("--kv-nad", "default/blue-network", "--kv-sample-duration", "1s")
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MIXED = """
  - worker1
  - {name: worker2, labels: {zone: b}}
  - {name: worker3, labels: {zone: b}}
  - {name: cordoned, unschedulable: true, labels: {zone: b}}
  - {name: tainted, taints: ["dedicated=tests:NoSchedule"]}
  - {name: evicting, taints: ["broken:NoExecute"]}
  - {name: disliked, taints: ["slow:PreferNoSchedule"]}
  - {name: without, labels: {"kubevirt.io/schedulable": "false"}}
"""


def mesh(*nodes):
    return {f"{source}:{target}" for source, target in combinations(sorted(nodes), 2)}


@pytest.mark.parametrize(
    ("arguments", "nodes"),
    [
        ([], {"worker1", "worker2", "worker3", "disliked"}),
        (
            ["--kv-toleration", "dedicated=tests:NoSchedule"],
            {"worker1", "worker2", "worker3", "disliked", "tainted"},
        ),
        (["--kv-toleration", "dedicated=others"], {"worker1", "worker2", "worker3", "disliked"}),
        (["--kv-toleration", "broken"], {"worker1", "worker2", "worker3", "disliked", "evicting"}),
        (["--kv-node-set", "zone=b"], {"worker2", "worker3"}),
        (["--kv-node-set", "worker1,worker3"], {"worker1", "worker3"}),
    ],
    ids=["all", "tolerated", "tolerated-otherwise", "tolerated-by-key", "selector", "names"],
)
def test_the_node_set(grid, arguments, nodes):
    done = grid(MIXED).run(*BLUE, "--kv-nodes", "mesh", *arguments)
    assert done.status == 0, done.output
    assert set(done.pairs) == mesh(*nodes)
    lists = done.requests(verb="list", resource="nodes")
    assert len(lists) == (0 if "worker1,worker3" in arguments else 1)


def test_too_few_nodes_are_a_usage_error(grid):
    done = grid(MIXED).run(*BLUE, "--kv-nodes", "mesh", "--kv-node-set", "zone=nowhere")
    assert done.status == 4, done.output
    assert "--kv-nodes mesh needs at least two nodes; the node set has 0: none" in done.output
    assert "Traceback" not in done.output


def test_E54_whoever_may_not_list_nodes_is_told_the_way_out(grid, role):
    lab = grid(3)
    account = lab.account(role)
    done = lab.run(*BLUE, "--kv-nodes", "mesh", kubeconfig=account)
    assert done.status == 4, done.output
    assert "may not list nodes" in done.output
    assert "--kv-node-set" in done.output
    for words in ("kind: ClusterRole", 'resources: ["nodes"]', 'verbs: ["list"]'):
        assert words in done.output
    assert "Traceback" not in done.output
    assert not done.requests(verb="create", resource="virtualmachineinstances")
    named = lab.run(
        *BLUE, "--kv-nodes", "mesh", "--kv-node-set", "worker1,worker2,worker3", kubeconfig=account
    )
    assert named.status == 0, named.output
    assert set(named.pairs) == mesh("worker1", "worker2", "worker3")


def mesh_by_configmap(lab, name):
    data = {
        "spec.timeout": "2m",
        "spec.param.networkAttachmentDefinitionNamespace": "default",
        "spec.param.networkAttachmentDefinitionName": "blue-network",
        "spec.param.sampleDurationSeconds": "1",
        "spec.param.nodes": "mesh",
    }
    lab.request(
        "POST",
        CONFIGMAPS,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data},
    )


def test_E54_the_configmap_is_told_too(grid, role):
    lab = grid(3)
    mesh_by_configmap(lab, "checkup")
    done = lab.run("--kv-configmap", "default/checkup", kubeconfig=lab.account(role))
    assert done.status == 4, done.output
    told = lab.request("GET", f"{CONFIGMAPS}/checkup")["data"]
    assert told["status.succeeded"] == "false"
    assert "may not list nodes" in told["status.failureReason"]
    assert "--kv-node-set" in told["status.failureReason"]


def test_what_is_listed_without_asking_the_cluster_can_be_pasted_back(grid):
    lab = grid(3)
    listed = lab.run(*BLUE, "--kv-nodes", "mesh", "--collect-only", "-q")
    assert listed.audit == []
    assert "kvlatency::check[default/blue-network-mesh]" in listed.output.splitlines()
    done = lab.run(
        *BLUE, "--kv-nodes", "mesh", "kvlatency::check[default/blue-network-mesh]", "-v", module="pytest"
    )
    assert done.status == 0, done.output
    assert set(done.pairs) == mesh("worker1", "worker2", "worker3")
    assert "kvlatency::check[default/blue-network-worker1:worker2] PASSED" in done.output
    one = "kvlatency::check[default/blue-network-worker2:worker3]"
    again = lab.run(*BLUE, "--kv-nodes", "mesh", one, module="pytest")
    assert again.status == 0, again.output
    assert set(again.pairs) == {"worker2:worker3"}
    assert len(again.requests(verb="create", resource="virtualmachineinstances")) == 2


OF_A_CONFIGMAP = """
import pytest

@pytest.mark.kvlatency(max_latency="1s")
def test_them(kv_latency): ...

@pytest.mark.kvlatency(max_latency="1s")
def test_others(kv_latency): ...
"""


@pytest.mark.parametrize(
    ("tests", "module", "test"),
    [("", "pytest_kvlatency", "kvlatency::check"), (OF_A_CONFIGMAP, "pytest", "test_own.py::test_them")],
    ids=["own-check", "users-test"],
)
def test_what_stands_for_a_configmap_stands_for_all_its_pairs(grid, tests, module, test):
    lab = grid(3)
    mesh_by_configmap(lab, "checkup")
    given = ("--kv-configmap", "default/checkup", "--rootdir", ".")
    # The ConfigMap names networks of its own, so what an ini file says of them is not what would run.
    listed = lab.run(*given, "-o", "kv_nad=default/red", "--collect-only", "-q", tests=tests, module=module)
    assert listed.audit == []
    one = f"{test}[configmap-default/checkup]"
    assert one in listed.output.splitlines()
    done = lab.run(*given, one, tests=tests, module=module)
    assert done.status == 0, done.output
    assert set(done.pairs) == mesh("worker1", "worker2", "worker3")
    assert all(entry["nodeid"].startswith(f"{test}[") for entry in done.document["measurements"])
