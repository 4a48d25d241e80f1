from __future__ import annotations

import re

import pytest

from pytest_kvlatency.kube.diagnosis import is_mac_refusal, refusal_hint, stuck, trouble, warnings_of
from pytest_kvlatency.kube.pulling import pull_after
from pytest_kvlatency.kube.state import VmiHandle, vmi_state
from pytest_kvlatency.model import NadRef

HANDLE = VmiHandle(namespace="checks", name="vmi-a", uid="1", nad=NadRef(namespace="nets", name="blue"))


def state(phase="Scheduling", *, uid="1", deleting=False, node=None, **conditions):
    metadata = {"uid": uid}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    listed = [
        {"type": name, "status": "False", "reason": reason, "message": message}
        for name, (reason, message) in conditions.items()
    ]
    return vmi_state(
        {"metadata": metadata, "status": {"phase": phase, "nodeName": node, "conditions": listed}}
    )


def test_nothing_wrong():
    assert trouble(HANDLE, state()) is None
    assert trouble(HANDLE, state(Ready=("GuestNotRunning", "Guest VM is not reported as running"))) is None


def test_E50_unschedulable_must_last_and_has_the_schedulers_words():
    found = trouble(HANDLE, state(PodScheduled=("Unschedulable", "0/3 nodes are available")))
    assert found.lasts == 10
    assert "0/3 nodes are available" in found.reason


NO_KVM = "Insufficient devices.kubevirt.io/kvm"
LATER = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


@pytest.mark.parametrize("others", ["", "3 Insufficient cpu, ", "1 node(s) were unschedulable, "])
def test_E50_where_no_node_offers_kvm_the_reason_says_what_to_enable(others):
    message = f"0/3 nodes are available: {others}3 {NO_KVM}. {LATER}"
    found = trouble(HANDLE, state(PodScheduled=("Unschedulable", message)))
    assert found.reason == (
        "VMI checks/vmi-a cannot be scheduled: no node offers /dev/kvm: enable nested virtualization, or "
        f"useEmulation in the KubeVirt object ({message})"
    )


def test_E50_where_some_nodes_offer_no_kvm_the_hint_says_so_beside_the_others():
    message = f"0/13 nodes are available: 10 node(s) were unschedulable, 3 {NO_KVM}. {LATER}"
    found = trouble(HANDLE, state(PodScheduled=("Unschedulable", message)))
    assert found.summary == "no node is left for the VM (is cordoned: 10, offers no /dev/kvm: 3)"
    assert "kubectl uncordon NAME" in found.hint
    assert "enable nested virtualization" in found.hint


def test_E51_a_pull_that_fails_names_the_image_and_the_node_that_the_vmi_asks_for():
    wanted = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["worker2"]}]}]
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": wanted}}
    }
    disk = {"name": "containerdisk", "containerDisk": {"image": "quay.io/x:1"}}
    condition = {"type": "Synchronized", "status": "False", "reason": "ErrImagePull", "message": "not found"}
    vmi = {
        "metadata": {"uid": "1"},
        "spec": {"affinity": affinity, "volumes": [{"name": "cloudinit"}, disk]},
        "status": {"phase": "Scheduling", "conditions": [condition]},
    }
    reason = "worker2 cannot pull the guest image quay.io/x:1: not found (ErrImagePull)"
    assert trouble(HANDLE, vmi_state(vmi)).reason == reason


BACK_OFF = 'Back-off pulling image "quay.io/x"'
#: What Kubernetes 1.31 and later say in between.
REPEATED = f"{BACK_OFF}: ErrImagePull: "


@pytest.mark.parametrize(
    ("reason", "message", "lasts"),
    [
        ("ErrImagePull", "manifest for x not found", 0),
        ("ErrImagePull", "401 Unauthorized", 0),
        ("ErrImagePull", "dial tcp: i/o timeout", 60),
        ("ImagePullBackOff", BACK_OFF, 60),
        ("ImagePullBackOff", f"{REPEATED}dial tcp: i/o timeout", 60),
        ("ImagePullBackOff", f"{REPEATED}quay.io/x: not found", 0),
    ],
)
def test_E85_a_single_pull_that_fails_is_the_cause_only_where_another_try_is_hopeless(reason, message, lasts):
    found = trouble(HANDLE, state(Synchronized=(reason, message)))
    assert found.lasts == lasts
    words = message.removeprefix(REPEATED)
    assert ("the registry's answer is unknown" if words == BACK_OFF else words) in found.reason
    assert "--kv-image" in found.hint


def pulled(*seen):
    """What is known of a pull after these conditions."""
    pull = None
    for reason, message in seen:
        pull = pull_after(pull, state(Synchronized=(reason, message)))
    return pull


def test_E85_the_words_of_the_last_failure_are_kept_through_the_back_off():
    pull = pulled(("ErrImagePull", "dial tcp: i/o timeout"), ("ImagePullBackOff", BACK_OFF))
    assert str(pull) == "dial tcp: i/o timeout (ImagePullBackOff)"
    assert (pull.tries, pull.lasts) == (1, 60)


def test_E85_three_failures_are_the_cause():
    failed, backed_off = ("ErrImagePull", "EOF"), ("ImagePullBackOff", BACK_OFF)
    assert pulled(failed, failed, backed_off, failed, backed_off).lasts == 60
    pull = pulled(failed, backed_off, failed, backed_off, failed, failed)
    assert pull.lasts == 0
    assert str(pull) == "EOF (ErrImagePull, tried 3 times)"


def test_E85_a_pull_that_healed_starts_anew():
    failed, backed_off = ("ErrImagePull", "EOF"), ("ImagePullBackOff", BACK_OFF)
    assert pulled(failed, backed_off, failed, backed_off, ("", "")) is None


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "Synchronizing with the Domain failed.",
            'server error. command SyncVMI failed: "failed to create SR-IOV hostdevices"',
            'Synchronizing with the Domain failed: server error. command SyncVMI failed: "failed to create SR-IOV hostdevices"',
        ),
        (
            "SomethingNew",
            "",
            "SomethingNew",
        ),
    ],
)
def test_E86_a_vmi_that_is_not_synchronized_is_a_cause_once_that_has_lasted(reason, message, words):
    found = trouble(HANDLE, state("Scheduled", node="w1", Synchronized=(reason, message)))
    assert (found.reason, found.lasts) == (f"VMI checks/vmi-a does not start on node w1: {words}", 30)


def test_E86_a_vmi_that_runs_is_not_in_trouble_whatever_a_condition_still_says():
    late = state("Running", node="w1", Synchronized=("Synchronizing with the Domain failed.", "server error"))
    assert trouble(HANDLE, late) is None


def test_E52_the_pod_is_refused():
    message = 'pods "virt-launcher-x" is forbidden: exceeded quota: small'
    found = trouble(HANDLE, state("Pending", Synchronized=("FailedCreate", message)))
    assert found.lasts == 5
    assert "exceeded quota: small" in found.reason
    assert "resourcequota" in found.hint
    assert "enforce=privileged" in refusal_hint("violates PodSecurity", "checks")


INVALID = (
    'Pod "virt-launcher-x" is invalid: spec.containers[0].resources.requests: Invalid value: "285374536": '
)
RENDER = "failed to render launch manifest: "
WEBHOOK = 'admission webhook "%s" denied the request: %s'


@pytest.mark.parametrize("reason", ["FailedCreate", "FailedCreateValidation"])
@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (f"{INVALID}must be less than or equal to memory limit of 256Mi", "describe limitrange -n checks"),
        ("maximum memory usage per Container is 256Mi, but limit is 1Gi", "describe limitrange -n checks"),
        (
            "memory max limit to request ratio per Container is 1, but provided ratio is 2",
            "describe limitrange",
        ),
        ("failed quota: small: must specify limits.cpu", "describe resourcequota -n checks"),
        (f"{RENDER}couldn't find configuration for network binding: l2bridge", "--kv-binding"),
        (f"{RENDER}failed to locate network attachment definition nets/blue", "--kv-nad"),
        (WEBHOOK % ("virtualmachineinstances-create-validator.kubevirt.io", "spec.x"), "KubeVirt itself"),
        (WEBHOOK % ("policy.example.com", "no VMs here"), "A policy of the cluster rejects it"),
        ("pods is forbidden: unable to validate against any security context constraint", "A policy of"),
        ("etcdserver: request is too large", "See `kubectl get events -n checks`."),
    ],
)
def test_E52_E86_what_refuses_the_pod_is_named_in_the_hint(reason, message, hint):
    found = trouble(HANDLE, state("Pending", Synchronized=(reason, message)))
    assert message in found.reason
    assert hint in found.hint
    assert ("policy" in found.hint) is ("policy" in hint)
    assert found.lasts == 5


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "gone"),
        (state(uid="2"), "gone"),
        (state("Running", deleting=True), "being deleted"),
        (
            state("Failed", node="w1", Ready=("PodTerminating", "virt-launcher died")),
            "failed on node w1.*died",
        ),
        (state("Succeeded"), "powered off"),
    ],
)
def test_E55_ended_or_gone_is_certain(seen, words):
    found = trouble(HANDLE, seen)
    assert found.lasts == 0
    assert re.search(words, found.reason)


def test_E55_a_vmi_that_is_gone_names_the_owner_that_may_not_exist():
    assert "in namespace checks. If POD_UID is set, it may be Kubernetes" in trouble(HANDLE, None).hint


def test_E24_a_vmi_that_stays_scheduling_names_the_candidates():
    text = stuck(HANDLE, state(), 30, None)
    assert "Scheduling for 30 s" in text
    assert "NAD nets/blue" in text
    assert "namespace isolation" in text


def test_E24_events_name_the_cause_where_they_may_be_read():
    def event(name, reason, message, time, kind="Warning"):
        return {
            "involvedObject": {"name": name},
            "reason": reason,
            "message": message,
            "lastTimestamp": time,
            "type": kind,
        }

    events = [
        event("virt-launcher-vmi-a-xyz12", "FailedCreatePodSandBox", 'no  bridge "br9"', "2"),
        event("virt-launcher-vmi-ab-xyz12", "Foreign", "x", "3"),
        event("vmi-a", "SuccessfulCreate", "x", "1", "Normal"),
        event("vmi-a", "Early", "y", "1"),
    ]
    warnings = warnings_of(events, HANDLE)
    assert warnings == ["Early: y", 'FailedCreatePodSandBox: no bridge "br9"']
    assert 'no bridge "br9"' in stuck(HANDLE, state(), 30, warnings)


def test_E71_mac_refusals():
    assert is_mac_refusal(
        'admission webhook "mutatevirtualmachineinstances.kubemacpool.io" denied the request: failed to allocate requested mac address'
    )
    assert not is_mac_refusal(
        'admission webhook "virtualmachineinstances-create-validator.kubevirt.io" denied the request: spec.x'
    )


def test_node_and_mac_are_read():
    vmi = {
        "metadata": {"uid": "1"},
        "status": {
            "phase": "Running",
            "nodeName": "w1",
            "interfaces": [{"name": "other", "mac": "1"}, {"name": "kvlatency", "mac": "2"}],
        },
    }
    seen = vmi_state(vmi)
    assert seen.running
    assert seen.mac == "2"
