"""Which nodes a VMI can run on."""

from __future__ import annotations

import pytest

from pytest_kvlatency.kube.nodes import node_facts, tolerates

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


@pytest.mark.parametrize(
    ("spec", "labels", "conditions", "is_schedulable"),
    [
        ({}, {"kubevirt.io/schedulable": "true"}, [{"type": "Ready", "status": "True"}], True),
        ({}, {}, [], True),
        ({"unschedulable": True}, {"kubevirt.io/schedulable": "true"}, [], False),
        ({}, {"kubevirt.io/schedulable": "false"}, [], False),
        ({}, {}, [{"type": "Ready", "status": "Unknown"}], False),
    ],
    ids=["ready", "bare", "cordoned", "without KubeVirt", "not ready"],
)
def test_a_node_that_is_cordoned_not_ready_or_without_kubevirt_is_none(
    spec, labels, conditions, is_schedulable
):
    node = {"metadata": {"name": "w1", "labels": labels}, "spec": spec, "status": {"conditions": conditions}}
    assert node_facts(node).schedulable is is_schedulable
