from __future__ import annotations

import re

import pytest

from pytest_kvlatency.kube.diagnosis import is_mac_refusal, refusal_hint, stuck, trouble, warnings_of
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


@pytest.mark.parametrize(
    ("reason", "message", "lasts"),
    [
        ("ImagePullBackOff", "Back-off pulling image", 0),
        ("ErrImagePull", "manifest for x not found", 0),
        ("ErrImagePull", "401 Unauthorized", 0),
        ("ErrImagePull", "dial tcp: i/o timeout", None),
    ],
)
def test_E51_image(reason, message, lasts):
    found = trouble(HANDLE, state(Synchronized=(reason, message)))
    assert found.lasts == lasts
    assert message in found.reason
    assert "--kv-image" in found.hint


def test_E52_the_pod_is_refused():
    message = 'pods "virt-launcher-x" is forbidden: exceeded quota: small'
    found = trouble(HANDLE, state("Pending", Synchronized=("FailedCreate", message)))
    assert found.lasts == 5
    assert "exceeded quota: small" in found.reason
    assert "resourcequota" in found.hint
    assert "enforce=privileged" in refusal_hint("violates PodSecurity", "checks")


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
    assert "in namespace checks. Where POD_UID is set, Kubernetes does" in trouble(HANDLE, None).hint


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


def test_E37_software_emulation_and_mac_are_read():
    vmi = {
        "metadata": {"uid": "1"},
        "status": {
            "phase": "Running",
            "nodeName": "w1",
            "conditions": [{"type": "SoftwareEmulation", "status": "True"}],
            "interfaces": [{"name": "other", "mac": "1"}, {"name": "kvlatency", "mac": "2"}],
        },
    }
    seen = vmi_state(vmi, interface="kvlatency")
    assert seen.running
    assert seen.software_emulation
    assert seen.mac == "2"
