"""What the scheduler's words mean, where they are all that there is."""

import pytest

from pytest_kvlatency.kube.unschedulable import why

LATER = " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
ELSEWHERE = "2 node(s) didn't match Pod's node affinity/selector"
CONTROL_PLANE = "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"


def read(reasons, node="worker6", total=3):
    return why(f"0/{total} nodes are available: {reasons}.{LATER}", node)


@pytest.mark.parametrize(
    ("reasons", "sentence", "way"),
    [
        (
            "1 node(s) were unschedulable",
            "worker6 is cordoned, or does not exist",
            "kubectl uncordon worker6",
        ),
        (
            "1 node(s) had untolerated taint {dedicated: gpu}",
            "worker6 has the untolerated taint dedicated=gpu, or does not exist",
            "--kv-toleration dedicated=gpu",
        ),
        (
            "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }",
            "worker6 is not ready, or does not exist",
            "kubectl describe node worker6",
        ),
        ("1 Insufficient devices.kubevirt.io/kvm", "worker6 offers no /dev/kvm", "nested virtualization"),
        ("1 Insufficient memory", "worker6 has too little memory left", "free some there"),
        (
            "1 Insufficient cpu, 1 Insufficient memory",
            "worker6 has too little cpu left and has too little memory left",
            "free",
        ),
        (
            "1 Insufficient openshift.io/sriov",
            "worker6 has no openshift.io/sriov left",
            "kubectl describe node worker6",
        ),
        ("1 Too many pods", "worker6 runs as many pods as it may", "remove pods"),
    ],
)
def test_E50_each_reason_of_a_pinned_node_has_its_sentence_and_its_way_out(reasons, sentence, way):
    found = read(f"{reasons}, {ELSEWHERE}")
    assert (found.summary, found.node) == (sentence, "worker6")
    assert way in found.hint
    assert "--kv-node-set" in found.hint


@pytest.mark.parametrize(
    "reasons", ["3 node(s) didn't match Pod's node affinity/selector", f"{CONTROL_PLANE}, {ELSEWHERE}"]
)
def test_E50_a_node_that_does_not_exist_is_not_taken_for_one_of_the_control_plane(reasons):
    found = read(reasons, node="worker9")
    assert found.summary == "there is no node 'worker9' that VMs can start on"
    assert "kubectl get nodes" in found.hint


def test_E50_what_lacks_is_the_pinned_nodes_whatever_is_said_of_others():
    found = read(
        f"1 Insufficient cpu, 1 node(s) were unschedulable, {CONTROL_PLANE}, 1 node(s) didn't match Pod's node affinity/selector",
        total=4,
    )
    assert found.summary == "worker6 has too little cpu left"


def test_E50_without_a_named_node_all_reasons_are_said_with_how_many_nodes_each_concerns():
    found = read(
        "1 node(s) were unschedulable, 1 node(s) didn't match pod anti-affinity rules", node=None, total=2
    )
    assert found.summary == "no node is left for the VM (is cordoned: 1, has the other VM of the pair: 1)"
    assert found.node == ""
    assert "kubectl uncordon NAME" in found.hint
    assert "a pair needs two nodes" in found.hint


def test_E50_no_kvm_anywhere_is_no_nodes_fault():
    found = read("3 Insufficient devices.kubevirt.io/kvm")
    assert (found.summary, found.node) == ("no node offers /dev/kvm", "")


@pytest.mark.parametrize("message", ["", "no nodes available to schedule pods", "0/3 nodes are available"])
def test_E50_words_that_are_not_understood_are_no_reason(message):
    found = why(message, "worker6")
    assert (found.summary, found.is_read) == ("the scheduler finds no node", False)
