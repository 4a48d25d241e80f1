from __future__ import annotations

import pytest

from pytest_kvlatency.lab.kubevirt.scheduler import Placed, matches, schedule


def node(name, *, unschedulable=False, taints=(), **labels):
    spec = {"unschedulable": unschedulable, "taints": list(taints)}
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}, "spec": spec}


THREE = [node("worker1"), node("worker2"), node("worker3")]
HOST = "kubernetes.io/hostname"


def pod(*, namespace="default", on="", labels=None, **spec):
    return Placed(node=on, namespace=namespace, labels=labels or {}, spec=spec)


def node_affinity(*terms):
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": required}


def expression(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


def anti(**labels):
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def together(**labels):
    return {"podAffinity": anti(**labels)["podAntiAffinity"]}


def test_vmis_are_spread_fewest_first_then_by_name():
    nodes = [node(f"worker{number}") for number in (10, 2, 1)]
    assert schedule(pod(), nodes, []).node == "worker1"
    assert schedule(pod(), nodes, [pod(on="worker1")]).node == "worker2"
    assert schedule(pod(), nodes, [pod(on="worker1"), pod(on="worker2")]).node == "worker10"


def test_a_seed_changes_the_order_of_equals_reproducibly():
    nodes = [node(f"worker{number}") for number in range(20)]
    chosen = {seed: schedule(pod(), nodes, [], seed).node for seed in range(10)}
    assert len(set(chosen.values())) > 1
    assert chosen == {seed: schedule(pod(), nodes, [], seed).node for seed in range(10)}


def test_a_pinned_pod_goes_where_either_term_says():
    by_label = {"matchExpressions": [expression(HOST, "In", "worker2")]}
    by_field = {"matchFields": [expression("metadata.name", "In", "worker3")]}
    nowhere = {"matchExpressions": [expression(HOST, "In", "nope")]}
    assert schedule(pod(affinity=node_affinity(by_label)), THREE, []).node == "worker2"
    assert schedule(pod(affinity=node_affinity(nowhere, by_field)), THREE, []).node == "worker3"
    assert schedule(pod(affinity=node_affinity({})), THREE, []).node is None


def test_a_preferred_node_wins_over_an_emptier_one_and_not_over_what_is_required():
    preferred = {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "preference": {"matchExpressions": [expression(HOST, "In", "worker3")]}},
            {"weight": 100, "preference": {"matchFields": [expression("metadata.name", "In", "worker3")]}},
        ]
    }
    assert schedule(pod(affinity={"nodeAffinity": preferred}), THREE, [pod(on="worker3")]).node == "worker3"
    required = node_affinity({"matchExpressions": [expression(HOST, "In", "worker1", "worker2")]})
    both = {"nodeAffinity": {**preferred, **required["nodeAffinity"]}}
    assert schedule(pod(affinity=both), THREE, []).node == "worker1"


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        (expression("n", "In", "4", "5"), True),
        (expression("n", "In", "4"), False),
        (expression("n", "NotIn", "4"), True),
        (expression("x", "NotIn", "4"), True),
        (expression("n", "Exists"), True),
        (expression("x", "Exists"), False),
        (expression("x", "DoesNotExist"), True),
        (expression("n", "DoesNotExist"), False),
        (expression("n", "Gt", "4"), True),
        (expression("n", "Lt", "4"), False),
        (expression("x", "Gt", "4"), False),
        (expression("n", "Gt", "many"), False),
        (expression("n", "Near", "4"), False),
    ],
)
def test_selector_operators(requirement, holds):
    assert matches(requirement, {"n": "5"}) is holds


def test_a_node_selector():
    nodes = [node("worker1"), node("worker2", disk="ssd")]
    assert schedule(pod(nodeSelector={"disk": "ssd"}), nodes, []).node == "worker2"


def test_E50_the_schedulers_own_words():
    nodes = [node("worker1", unschedulable=True), node("worker2"), node("worker3")]
    affinity = node_affinity({"matchExpressions": [expression(HOST, "In", "worker9")]})
    decision = schedule(pod(affinity=affinity), nodes, [])
    assert decision.node is None
    assert decision.message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_E50_no_node_at_all():
    assert schedule(pod(), [], []).message == "no nodes available to schedule pods"


def test_E50_a_taint_and_its_tolerations():
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    nodes = [node("worker1", taints=[taint])]
    assert schedule(pod(), nodes, []).message.startswith(
        "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}."
    )
    for toleration in (
        {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
        {"key": "gpu", "operator": "Exists"},
        {"operator": "Exists"},
    ):
        assert schedule(pod(tolerations=[toleration]), nodes, []).node == "worker1"
    for toleration in (
        {"key": "gpu", "value": "no"},
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute"},
        {"operator": "Equal"},
        {"key": "cpu", "operator": "Exists"},
    ):
        assert schedule(pod(tolerations=[toleration]), nodes, []).node is None


def test_a_soft_taint_keeps_nobody_off():
    soft = {"key": "x", "value": "", "effect": "PreferNoSchedule"}
    assert schedule(pod(), [node("worker1", taints=[soft])], []).node == "worker1"


def test_a_cordon_can_be_tolerated():
    tolerations = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]
    assert schedule(pod(tolerations=tolerations), [node("worker1", unschedulable=True)], []).node == "worker1"


def test_anti_affinity_needs_as_many_nodes_as_pods():
    wanted = pod(labels={"pair": "x"}, affinity=anti(pair="x"))
    first = pod(on="worker1", labels={"pair": "x"}, affinity=anti(pair="x"))
    assert schedule(wanted, THREE[:2], [first]).node == "worker2"
    alone = schedule(wanted, THREE[:1], [first])
    assert "1 node(s) didn't match pod anti-affinity rules" in alone.message
    assert schedule(wanted, THREE[:1], [pod(on="worker1", labels={"pair": "y"})]).node == "worker1"


def test_E69_anti_affinity_counts_in_its_own_namespace_only():
    wanted = pod(labels={"pair": "x"}, affinity=anti(pair="x"))
    other = pod(namespace="other", on="worker1", labels={"pair": "x"})
    assert schedule(wanted, THREE[:1], [other]).node == "worker1"


def test_the_anti_affinity_of_those_who_are_there_counts_too():
    there = pod(on="worker1", affinity=anti(pair="x"))
    decision = schedule(pod(labels={"pair": "x"}), THREE[:1], [there])
    assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in decision.message


def test_affinity_to_pods():
    wanted = pod(affinity=together(app="db"))
    assert schedule(wanted, THREE, [pod(on="worker3", labels={"app": "db"})]).node == "worker3"
    assert "3 node(s) didn't match pod affinity rules" in schedule(wanted, THREE, []).message
    first = pod(labels={"app": "db"}, affinity=together(app="db"))
    assert schedule(first, THREE, []).node == "worker1"
