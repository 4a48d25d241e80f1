"""Which nodes a VMI can run on."""

from __future__ import annotations

import pytest

from pytest_kvlatency.kube.nodes import node_facts, obstacles, tolerates

DEDICATED = {"key": "dedicated", "value": "tests", "effect": "NoSchedule"}
BROKEN = {"key": "broken", "effect": "NoExecute"}
DISLIKED = {"key": "slow", "effect": "PreferNoSchedule"}


@pytest.mark.parametrize(
    ("taints", "tolerations", "is_covered"),
    [
        ([], [], True),
        ([DISLIKED], [], True),
        ([DEDICATED], [], False),
        ([DEDICATED], [{"key": "dedicated", "operator": "Exists"}], True),
        ([DEDICATED], [{"key": "dedicated", "operator": "Equal", "value": "tests"}], True),
        ([DEDICATED], [{"key": "dedicated", "operator": "Equal", "value": "others"}], False),
        ([DEDICATED], [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}], True),
        ([DEDICATED], [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}], False),
        ([DEDICATED], [{"key": "other", "operator": "Exists"}], False),
        ([BROKEN], [{"key": "broken", "operator": "Equal", "value": ""}], True),
        ([DEDICATED, BROKEN], [{"key": "broken", "operator": "Exists"}], False),
        (
            [DEDICATED, BROKEN, DISLIKED],
            [{"key": "broken", "operator": "Exists"}, {"key": "dedicated", "operator": "Exists"}],
            True,
        ),
    ],
)
def test_every_taint_that_keeps_pods_off_must_be_tolerated(taints, tolerations, is_covered):
    assert tolerates(taints, tolerations) is is_covered


def node(*, labels=None, ready="True", allocatable=None, **spec):
    status = {"conditions": [{"type": "Ready", "status": ready}], "allocatable": allocatable or {}}
    metadata = {"name": "w1", "labels": {"kubevirt.io/schedulable": "true"} if labels is None else labels}
    return node_facts({"metadata": metadata, "spec": spec, "status": status})


@pytest.mark.parametrize(
    ("found", "what", "may_pass"),
    [
        (node(), [], []),
        (node(unschedulable=True), ["is cordoned"], [False]),
        (node(ready="False"), ["is not ready"], [True]),
        (node(ready="Unknown"), ["is not ready"], [True]),
        (
            node_facts({"metadata": {"name": "w1", "labels": {"kubevirt.io/schedulable": "true"}}}),
            ["is not ready"],
            [True],
        ),
        (node(labels={}), ["has no label kubevirt.io/schedulable"], [False]),
        (
            node(labels={"kubevirt.io/schedulable": "false"}),
            ['has the label kubevirt.io/schedulable="false"'],
            [True],
        ),
        (node(taints=[DISLIKED]), [], []),
        (node(taints=[DEDICATED]), ["has the untolerated taint dedicated=tests:NoSchedule"], [False]),
        (
            node(taints=[{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]),
            ["has the untolerated taint node.kubernetes.io/disk-pressure:NoSchedule"],
            [True],
        ),
        (
            node(
                unschedulable=True,
                ready="Unknown",
                taints=[
                    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
                    {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
                    BROKEN,
                ],
            ),
            ["is cordoned", "is not ready", "has the untolerated taint broken:NoExecute"],
            [False, True, False],
        ),
    ],
    ids=lambda value: None,
)
def test_why_no_vm_can_start_on_a_node(found, what, may_pass):
    hindrances = obstacles(found, tolerations=[])
    assert [one.what for one in hindrances] == what
    assert [one.may_pass for one in hindrances] == may_pass


def test_what_is_tolerated_is_no_obstacle():
    cordoned = node(unschedulable=True, taints=[DEDICATED])
    tolerations = [
        {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
        {"key": "dedicated", "operator": "Exists"},
    ]
    assert obstacles(cordoned, tolerations=tolerations) == []


def test_a_node_without_kvm_is_an_obstacle_only_where_vms_need_it():
    assert obstacles(node(), tolerations=[]) == []
    (one,) = obstacles(node(), tolerations=[], needs_kvm=True)
    assert one.what == "offers no /dev/kvm (devices.kubevirt.io/kvm)"
    has = node(allocatable={"devices.kubevirt.io/kvm": "1k"})
    assert obstacles(has, tolerations=[], needs_kvm=True) == []
