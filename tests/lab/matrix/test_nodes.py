"""Which nodes a matrix is over, and what is said of nodes on which no VM can start, or that may not be read."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations

import pytest

BLUE = ("--kv-nad", "default/blue-network", "--kv-sample-duration", "1s")
#: Of a network that does not exist: the checks are planned as any, and no guest is made.
UNMEASURED = ("--kv-nad", "default/missing-network")
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
LEFT_OUT = (
    "nodes left out, where no VM can start: cordoned is cordoned, "
    "evicting has the untolerated taint broken:NoExecute, infra has no label kubevirt.io/schedulable, "
    'tainted has the untolerated taint dedicated=tests:NoSchedule, without has the label kubevirt.io/schedulable="false"'
)


def mesh(*nodes):
    return {f"{source}:{target}" for source, target in combinations(sorted(nodes), 2)}


SCHEDULABLE = {"worker1", "worker2", "worker3", "disliked"}
NODE_SETS = """
import pytest

def test_all(kv_latency): ...

@pytest.mark.kvlatency(node_set="zone=b")
def test_selector(kv_latency): ...

@pytest.mark.kvlatency(node_set="worker1,worker3")
def test_names(kv_latency): ...
"""


def test_the_node_set(grid):
    done = grid(MIXED).run(*UNMEASURED, "--kv-nodes", "mesh", tests=NODE_SETS, module="pytest")
    found = defaultdict(set)
    for one in done.document["measurements"]:
        found[re.search(r"::test_(\w+)", one["nodeid"])[1]].add(one["nodes"])
    assert found == {
        "all": mesh(*SCHEDULABLE),
        "selector": mesh("worker2", "worker3"),
        "names": mesh("worker1", "worker3"),
    }
    # All of them, and those of the selector: nodes that are named are not listed.
    assert len(done.requests(verb="list", resource="nodes")) == 2


def test_nodes_whose_taints_are_tolerated_by_key_and_not_by_another_value_are_part_of_the_node_set(grid):
    tolerations = ("--kv-toleration", "dedicated=others", "--kv-toleration", "broken")
    done = grid(MIXED).run(*UNMEASURED, "--kv-nodes", "mesh", *tolerations)
    assert set(done.pairs) == mesh(*SCHEDULABLE, "evicting"), done.output


def test_a_migration_to_any_node_reads_the_nodes_by_one_list(grid):
    lab = grid("\n  - worker1\n  - {name: cordoned, unschedulable: true}\n", time_scale=1)
    done = lab.run(*BLUE, "--kv-nodes", "worker1:worker1>?")
    assert "there is no node that the guest on worker1 could migrate to: cordoned is cordoned" in done.output
    assert len(done.requests(verb="list", resource="nodes")) == 1
    assert not done.requests(verb="get", resource="nodes")


def unlabel(lab, *names):
    """Take KubeVirt away from nodes."""
    for name in names:
        lab.request(
            "PATCH", f"/api/v1/nodes/{name}", {"metadata": {"labels": {"kubevirt.io/schedulable": None}}}
        )


@pytest.mark.parametrize(
    ("network", "workers"), [(BLUE, ()), (UNMEASURED, ("-n", "2"))], ids=["alone", "xdist"]
)
@pytest.mark.edge_case(
    "E50",
    happens="A mesh, ring or star is over all nodes, and VMs cannot start on some.",
    does="Leaves these nodes out, and says which, and why, at collection and in the document's notes.",
)
def test_E50_a_mesh_leaves_out_nodes_where_no_vm_can_start_and_says_why(grid, network, workers):
    lab = grid(f"{MIXED}  - infra\n")
    unlabel(lab, "infra")
    done = lab.run(*network, "--kv-nodes", "mesh", *workers)
    assert done.status == (0 if network == BLUE else 1), done.output
    assert set(done.pairs) == mesh(*SCHEDULABLE)
    assert done.output.count(f"kvlatency: {LEFT_OUT}") == 1
    assert done.output.count(LEFT_OUT) == 1
    assert done.document["notes"] == [LEFT_OUT]
    # What the list said of the nodes is not asked for again.
    assert len(done.requests(verb="list", resource="nodes")) == 1
    assert not done.requests(verb="get", resource="nodes")


def test_E50_where_no_node_is_left_the_reasons_are_the_error(grid):
    lab = grid("[{name: worker1, unschedulable: true}, worker2]")
    unlabel(lab, "worker2")
    done = lab.run(*BLUE, "--kv-nodes", "mesh")
    assert done.status == 4, done.output
    reasons = "no schedulable node: worker1 is cordoned, worker2 has no label kubevirt.io/schedulable"
    assert f"ERROR: {reasons}" in done.output


def pairs_of(*names):
    return [word for name in names for word in ("--kv-nodes", f"worker1:{name}")]


@pytest.mark.edge_case(
    "E50",
    happens="A node that is named does not exist, is cordoned or tainted, or does not run KubeVirt.",
    does="Where nodes may be read, says so before anything is created for its pairs, with the way out:",
    says="so no VM can start there",
)
def test_E50_nodes_where_no_vm_can_start_are_named_before_anything_is_created(grid):
    lab = grid(f"{MIXED}  - infra\n")
    unlabel(lab, "infra")
    done = lab.run(*BLUE, *pairs_of("worker2", "cordoned", "tainted", "infra", "absent", "missing"))
    assert done.status == 1, done.output
    said = {name: (one["failureKind"], one["failureReason"]) for name, one in done.pairs.items()}
    assert said.pop("worker1:worker2") == (None, None)
    others = "(nodes: cordoned, disliked, evicting, infra, tainted and 4 more)"
    assert said == {
        "worker1:cordoned": (
            "provision",
            (
                "setup: cordoned is cordoned, so no VM can start there: "
                "kubectl uncordon cordoned, or leave it out of --kv-node-set"
            ),
        ),
        "worker1:tainted": (
            "provision",
            (
                "setup: tainted has the untolerated taint dedicated=tests:NoSchedule, so no VM can start there: "
                "--kv-toleration dedicated=tests:NoSchedule"
            ),
        ),
        "worker1:infra": (
            "provision",
            (
                "setup: infra has no label kubevirt.io/schedulable, so no VM can start there: "
                "KubeVirt does not run there: see kubectl get pods -A -l kubevirt.io=virt-handler -o wide"
            ),
        ),
        "worker1:absent": ("config", f"config: there is no node 'absent' {others}"),
        "worker1:missing": ("config", f"config: there is no node 'missing' {others}"),
    }
    assert len(done.requests(verb="create", resource="virtualmachineinstances")) == 2
    assert len(done.requests(verb="list", resource="nodes")) == 1
    assert len(done.requests(verb="get", resource="nodes")) == 7
    first = min(number for number, one in enumerate(done.audit) if one["verb"] == "create")
    assert not [one for one in done.audit[first:] if one["resource"] == "nodes"]


def test_E50_nodes_that_may_only_be_listed_are_known_too(grid, role):
    lab = grid("[worker1, {name: worker2, unschedulable: true}]")
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    name = lab.service_account(role)
    meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "lists-nodes"}}
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    lab.request("POST", f"{rbac}/clusterroles", {**meta, "kind": "ClusterRole", "rules": rules})
    binding = {
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lists-nodes"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    lab.request("POST", f"{rbac}/clusterrolebindings", {**meta, **binding})
    kubeconfig = lab.kubeconfig_of({"token": lab.token_of(name)})
    done = lab.run(*BLUE, *pairs_of("worker2", "worker9"), kubeconfig=kubeconfig)
    assert done.status == 1, done.output
    assert done.pairs["worker1:worker2"]["failureReason"].startswith("setup: worker2 is cordoned, so no VM")
    assert done.pairs["worker1:worker9"]["failureReason"] == (
        "config: there is no node 'worker9' (nodes: worker1, worker2)"
    )
    assert not done.requests(verb="create", resource="virtualmachineinstances")


def test_E50_a_node_that_may_come_back_is_the_schedulers_to_judge_and_named_in_the_hint(grid):
    done = grid(MIXED).run(*BLUE, *pairs_of("without"))
    assert done.status == 1, done.output
    (pair,) = done.pairs.values()
    assert pair["failureKind"] == "provision"
    assert "(0/8 nodes are available" in pair["failureReason"]
    (cause,) = done.document["causes"]
    assert cause["sentence"] == 'without has the label kubevirt.io/schedulable="false"'
    assert cause["node"] == "without"
    assert 'without has the label kubevirt.io/schedulable="false": KubeVirt does not run there' in done.output


TOLERATING = """
def pytest_kvlatency_vmi_manifest(manifest):
    manifest["spec"]["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
"""


def test_a_hook_that_tolerates_a_taint_is_not_second_guessed(grid):
    lab = grid(MIXED)
    (lab.directory / "tolerating.py").write_text(TOLERATING)
    done = lab.run("-p", "tolerating", *BLUE, *pairs_of("tainted"), path=lab.directory)
    assert done.status == 0, done.output


def test_a_taint_that_is_tolerated_by_value_keeps_no_guest_away_and_leaves_no_node_out(grid):
    tolerations = ("--kv-toleration", "dedicated=tests:NoSchedule")
    done = grid(MIXED).run(*BLUE, "--kv-nodes", "star:worker1", *tolerations)
    assert done.status == 0, done.output
    others = (SCHEDULABLE | {"tainted"}) - {"worker1"}
    assert set(done.pairs) == {f"worker1:{node}" for node in others}


PREPARING = """
import pytest
from pytest_kvlatency.deadline import Deadline

@pytest.fixture
def uncordoned(kv_cluster):
    body = {"spec": {"unschedulable": None}}
    kv_cluster.client.request("PATCH", "/api/v1/nodes/cordoned", body=body, deadline=Deadline(30))

@pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:cordoned", sample_duration="1s")
def test_own(uncordoned, kv_latency): ...
"""


def test_a_node_that_a_fixture_makes_fit_is_used(grid):
    done = grid(MIXED).run(tests=PREPARING, module="pytest")
    assert done.status == 0, done.output


UNCORDONING = """
import pytest
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.client import KubeClient

@pytest.fixture(autouse=True)
def uncordoned(request, kv_cluster):
    if request.node.execution_count > 1:
        body = {"spec": {"unschedulable": None}}
        kv_cluster.client.request("PATCH", "/api/v1/nodes/cordoned", body=body, deadline=Deadline(30))

@pytest.mark.flaky(reruns=1)
@pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:cordoned", sample_duration="1s")
def test_own(kv_latency): ...
"""


def test_a_rerun_looks_at_the_nodes_again(grid):
    done = grid(MIXED).run(tests=UNCORDONING, module="pytest", kept=["rerunfailures"])
    assert done.status == 0, done.output
    assert "1 passed, 1 rerun" in done.output
    first, second = done.document["measurements"]
    assert first["failureReason"].startswith("setup: cordoned is cordoned, so no VM can start there")
    assert second["failureReason"] is None


def test_too_few_nodes_are_a_usage_error(grid):
    done = grid(MIXED).run(*BLUE, "--kv-nodes", "mesh", "--kv-node-set", "zone=nowhere")
    assert done.status == 4, done.output
    assert "--kv-nodes mesh needs at least two nodes, but the node set has 0: none" in done.output
    assert "Traceback" not in done.output


def mesh_by_configmap(lab, name, network="blue-network"):
    data = {
        "spec.timeout": "2m",
        "spec.param.networkAttachmentDefinitionNamespace": "default",
        "spec.param.networkAttachmentDefinitionName": network,
        "spec.param.sampleDurationSeconds": "1",
        "spec.param.nodes": "mesh",
    }
    lab.request(
        "POST",
        CONFIGMAPS,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data},
    )


def test_E54_an_account_that_may_not_list_nodes_is_told_the_way_out_in_the_configmap_too(grid, role):
    lab = grid(3)
    mesh_by_configmap(lab, "checkup")
    done = lab.run("--kv-configmap", "default/checkup", kubeconfig=lab.account(role))
    assert done.status == 4, done.output
    told = lab.request("GET", f"{CONFIGMAPS}/checkup")["data"]
    assert told["status.succeeded"] == "false"
    for text in (done.output, told["status.failureReason"]):
        assert "may not list nodes" in text
        assert "--kv-node-set" in text
    for words in ("kind: ClusterRole", 'resources: ["nodes"]', 'verbs: ["list"]'):
        assert words in done.output
    assert "Traceback" not in done.output
    assert not done.requests(verb="create", resource="virtualmachineinstances")


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
    mesh_by_configmap(lab, "checkup", network="missing-network")
    given = ("--kv-configmap", "default/checkup", "--rootdir", ".")
    # The ConfigMap names networks of its own, so what an ini file says of them is not what would run.
    listed = lab.run(*given, "-o", "kv_nad=default/red", "--collect-only", "-q", tests=tests, module=module)
    assert listed.audit == []
    one = f"{test}[configmap-default/checkup]"
    assert one in listed.output.splitlines()
    done = lab.run(*given, one, tests=tests, module=module)
    assert done.status == 1, done.output
    assert set(done.pairs) == mesh("worker1", "worker2", "worker3")
    assert all(entry["nodeid"].startswith(f"{test}[") for entry in done.document["measurements"])
