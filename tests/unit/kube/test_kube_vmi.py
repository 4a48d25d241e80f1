from __future__ import annotations

import json
import math
import socket
from dataclasses import replace
from functools import partial

import pytest
from kubescript import LAST_ANSWER, REQUEST, status_object

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    PermissionDeniedError,
    ProvisionError,
    TeardownError,
)
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, MacRefused
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.kube.evidence import collect
from pytest_kvlatency.kube.ledger import ON_ITS_WAY_SECONDS
from pytest_kvlatency.kube.manifest import ANNOTATION_REQUEST
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.kube.vmi import Vmis

VMIS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances"
LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
FORBIDDEN = status_object(403, "Forbidden", 'x is forbidden: User "sa" cannot do resource "x"')


class Clock:
    """Stands still until the server has been asked so often for the VMI; then all that was on its way has come."""

    def __init__(self, server):
        self.server = server
        self.looks = 0

    def __call__(self):
        asked = sum(one.startswith(f"GET {VMIS}/") for one in self.server.asked("GET"))
        return 0.0 if asked < self.looks else ON_ITS_WAY_SECONDS


@pytest.fixture
def clock(server):
    return Clock(server)


@pytest.fixture
def vmis(client, clock):
    return Vmis(client, clock=clock)


def vmi(name="vmi-a", uid="1", phase="Running", node="w1", token=None, **more):
    metadata = {"name": name, "uid": uid, **more.pop("metadata", {})}
    if token:
        metadata["annotations"] = {ANNOTATION_REQUEST: token}
    return {"metadata": metadata, "status": {"phase": phase, "nodeName": node, **more}}


def handle(name="vmi-a", uid="1"):
    return VmiHandle(namespace="checks", name=name, uid=uid)


def test_create_puts_it_on_record(server, vmis, deadline):
    server.answer(f"POST {VMIS}", (201, vmi(REQUEST.name, "7")))
    made = vmis.create(REQUEST, deadline)
    assert (made.name, made.uid) == (REQUEST.name, "7")
    assert vmis.outstanding() == [made]
    vmis.forget(made)
    assert vmis.outstanding() == []


def test_E62_a_create_whose_answer_was_lost_is_adopted(server, vmis, deadline):
    server.answer("GET /version", {})
    server.answer(f"POST {VMIS}", (503, {}), status_object(409, "AlreadyExists", "exists"))
    server.answer(f"GET {VMIS}/{REQUEST.name}", vmi(REQUEST.name, "7", token=REQUEST.token))
    assert vmis.create(REQUEST, deadline).uid == "7"


@pytest.mark.parametrize(
    "refusal",
    [
        status_object(403, "Forbidden", 'vmi "x" is forbidden: exceeded quota: small'),
        status_object(
            400, "BadRequest", 'webhook "kubemacpool.io" denied the request: mac address is in use'
        ),
    ],
    ids=["quota", "mac"],
)
def test_E62_a_vmi_that_stands_in_the_way_of_its_own_repetition_is_adopted(server, vmis, deadline, refusal):
    server.answer("GET /version", {})
    server.answer(f"POST {VMIS}", (504, {}), refusal)
    server.answer(f"GET {VMIS}/{REQUEST.name}", vmi(REQUEST.name, "7", token=REQUEST.token))
    assert vmis.create(REQUEST, deadline).uid == "7"
    assert [one.uid for one in vmis.outstanding()] == ["7"]


def test_E61_a_name_that_a_stranger_has_is_left_to_him(server, vmis, deadline):
    server.answer(f"POST {VMIS}", status_object(409, "AlreadyExists", "exists"), (201, vmi("x", "8")))
    server.answer(f"GET {VMIS}/{REQUEST.name}", vmi(REQUEST.name, "7", token="other"))
    made = vmis.create(REQUEST, deadline)
    assert made.uid == "8"
    assert made.name != REQUEST.name
    assert made.name.startswith("latency-check-source-")
    assert vmis.outstanding() == [made]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status_object(403, "Forbidden", 'vmi "x" is forbidden: exceeded quota: small'), "exceeded quota"),
        (
            status_object(403, "Forbidden", 'admission webhook "gatekeeper" denied the request: no'),
            "gatekeeper",
        ),
        (status_object(422, "Invalid", "spec.domain is wrong"), "spec.domain is wrong"),
        ((404, b"404 page not found\n"), "Is KubeVirt installed"),
    ],
    ids=["quota", "webhook", "invalid", "E53"],
)
def test_E52_refusals_are_provision_with_the_servers_words(server, vmis, deadline, answer, words):
    server.answer(f"POST {VMIS}", answer)
    with pytest.raises(ProvisionError, match=words) as caught:
        vmis.create(REQUEST, deadline)
    assert caught.value.kind == "provision"
    assert caught.value.hint
    assert vmis.outstanding() == []


def test_E54_create_without_permission(server, vmis, deadline):
    server.answer(f"POST {VMIS}", FORBIDDEN)
    with pytest.raises(PermissionDeniedError):
        vmis.create(REQUEST, deadline)
    assert vmis.outstanding() == []


def test_E71_a_refused_mac_can_be_told_apart(server, vmis, deadline):
    message = (
        'admission webhook "x.kubemacpool.io" denied the request: failed to allocate requested mac address'
    )
    server.answer(f"POST {VMIS}", status_object(400, "BadRequest", message))
    with pytest.raises(MacRefused):
        vmis.create(REQUEST, deadline)


def test_E59_what_may_have_been_made_stays_on_record_and_is_found(server, vmis):
    server.answer(f"POST {VMIS}", (504, {}))
    with pytest.raises(CheckupTimeoutError):
        vmis.create(REQUEST, Deadline(0.5))
    (unknown,) = vmis.outstanding()
    assert unknown.uid == ""
    server.answer(f"GET {VMIS}/{REQUEST.name}", vmi(REQUEST.name, "7", token=REQUEST.token))
    server.answer(f"DELETE {VMIS}/{REQUEST.name}", {})
    assert vmis.delete_all(vmis.outstanding(), Deadline(60)) == {}
    assert server.seen[-1].body["preconditions"] == {"uid": "7"}


def test_E62_a_vmi_that_a_webhook_kept_from_being_created_is_not_waited_for(server, vmis, clock):
    clock.looks = math.inf
    words = 'Internal error occurred: failed calling webhook "x.kubevirt.io": context deadline exceeded'
    server.answer(f"POST {VMIS}", status_object(500, "InternalError", words))
    with pytest.raises(CheckupTimeoutError):
        vmis.create(REQUEST, Deadline(0.5))
    server.answer(f"GET {VMIS}/{REQUEST.name}", status_object(404, "NotFound", "x", name=REQUEST.name))
    vmis.wait_gone(vmis.outstanding(), Deadline(60))
    assert vmis.outstanding() == []


def test_E59_what_comes_into_being_after_its_creator_gave_up_is_deleted_too(server, vmis, clock):
    clock.looks = 5
    missing = status_object(404, "NotFound", "x", name="x")
    here = vmi(REQUEST.name, "7", token=REQUEST.token)
    leaving = vmi(REQUEST.name, "7", token=REQUEST.token, metadata=LEAVING)
    server.answer(f"POST {VMIS}", (504, {}))
    with pytest.raises(CheckupTimeoutError):
        vmis.create(REQUEST, Deadline(0.5))
    server.answer(f"GET {VMIS}/{REQUEST.name}", missing, missing, here, leaving, missing)
    server.answer(f"DELETE {VMIS}/{REQUEST.name}", {})
    assert vmis.delete_all(vmis.outstanding(), Deadline(60)) == {}
    vmis.wait_gone(vmis.outstanding(), Deadline(60))
    assert [one.body["preconditions"] for one in server.seen if one.method == "DELETE"] == [{"uid": "7"}]
    assert vmis.outstanding() == []


def test_E59_so_is_what_a_process_was_creating_when_it_was_killed(server, vmis, clock):
    clock.looks = 4
    missing = status_object(404, "NotFound", "x", name="vmi-a")
    here = vmi(token="t")
    server.answer(f"GET {VMIS}/vmi-a", missing, here, vmi(token="t", metadata=LEAVING), missing)
    server.answer(f"DELETE {VMIS}/vmi-a", {})
    unknown = VmiHandle(namespace="checks", name="vmi-a", token="t")
    vmis.adopt(unknown)
    vmis.wait_gone([unknown], Deadline(60))
    assert len(server.asked("DELETE")) == 1


def test_E62_a_request_that_arrives_after_all_is_over_leaves_nothing(server, vmis, clock, deadline):
    clock.looks = 5
    missing = status_object(404, "NotFound", "x", name=REQUEST.name)
    again = vmi(REQUEST.name, "8", token=REQUEST.token)
    server.answer("GET /version", {})
    server.answer(f"POST {VMIS}", ("reset",), (201, vmi(REQUEST.name, "7", token=REQUEST.token)))
    made = vmis.create(REQUEST, deadline)
    server.answer(f"DELETE {VMIS}/{REQUEST.name}", {})
    assert not vmis.delete_all([made], deadline)
    leaving = vmi(REQUEST.name, "8", token=REQUEST.token, metadata=LEAVING)
    server.answer(f"GET {VMIS}/{REQUEST.name}", missing, missing, again, leaving, missing)
    vmis.wait_gone([made], Deadline(60))
    assert vmis.outstanding() == []
    uids = [one.body["preconditions"]["uid"] for one in server.seen if one.method == "DELETE"]
    assert uids == ["7", "8"]


@pytest.mark.parametrize(
    "answers",
    [
        ((503, {}), (201, vmi(REQUEST.name, "7", token=REQUEST.token))),
        (("reset",), status_object(409, "AlreadyExists", "exists")),
    ],
    ids=["not obeyed", "obeyed"],
)
def test_E62_a_request_of_which_the_end_is_known_is_not_waited_for(
    server, client, vmis, clock, deadline, answers
):
    clock.looks = math.inf
    gone = status_object(404, "NotFound", "x", name=REQUEST.name)
    server.answer("GET /version", {})
    client.request("GET", "/version", deadline=deadline)
    server.answer(f"POST {VMIS}", *answers)
    server.answer(f"GET {VMIS}/{REQUEST.name}", vmi(REQUEST.name, "7", token=REQUEST.token), gone)
    made = vmis.create(REQUEST, deadline)
    vmis.wait_gone([made], deadline)
    assert vmis.outstanding() == []


def test_E61_a_strangers_vmi_of_that_name_is_not_waited_for(server, vmis, deadline):
    server.answer(f"GET {VMIS}/vmi-a", vmi(uid="2", token="other"))
    vmis.wait_gone([VmiHandle(namespace="checks", name="vmi-a", uid="1", token="t")], deadline)
    assert server.asked("DELETE") == []


def test_E59_what_never_comes_is_not_waited_for_long(server, vmis, clock):
    clock.looks = 3
    server.answer(f"POST {VMIS}", (504, {}))
    with pytest.raises(CheckupTimeoutError):
        vmis.create(REQUEST, Deadline(0.5))
    server.answer(f"GET {VMIS}/{REQUEST.name}", status_object(404, "NotFound", "x", name="x"))
    vmis.wait_gone(vmis.outstanding(), Deadline(60))
    assert vmis.outstanding() == []
    assert len(server.asked("GET")) == 3


def test_delete_is_at_once_and_of_this_very_vmi(server, vmis, deadline):
    server.answer(f"DELETE {VMIS}/vmi-a", {})
    assert not vmis.delete_all([handle()], deadline)
    assert server.seen[0].body["gracePeriodSeconds"] == 0
    assert server.seen[0].body["preconditions"] == {"uid": "1"}


def test_E61_a_namesake_is_not_deleted(server, vmis, deadline):
    server.answer(f"DELETE {VMIS}/vmi-a", status_object(409, "Conflict", "precondition failed: UID"))
    server.answer(f"GET {VMIS}/vmi-a", vmi(uid="2"))
    assert not vmis.delete_all([handle()], deadline)
    assert [one.method for one in server.seen] == ["DELETE", "GET"], "no second try at what is not ours"
    assert server.seen[0].body["preconditions"] == {"uid": "1"}, "a namesake is the server's to refuse"


def test_E57_a_conflict_in_deletion_is_tried_again(server, vmis, deadline):
    server.answer(f"DELETE {VMIS}/vmi-a", status_object(409, "Conflict", "modified"), {})
    server.answer(f"GET {VMIS}/vmi-a", vmi())
    assert not vmis.delete_all([handle()], deadline)
    assert len(server.asked("DELETE")) == 2


def test_deletions_that_fail_are_told_and_hinder_no_other(server, vmis, deadline):
    server.answer(f"DELETE {VMIS}/vmi-a", FORBIDDEN)
    server.answer(f"DELETE {VMIS}/vmi-b", {})
    failed = vmis.delete_all([handle(), handle("vmi-b", "2")], deadline)
    assert list(failed) == [handle()]
    assert failed[handle()].kind == "permission"


def test_E56_what_is_stuck_in_deletion_is_named_with_its_finalizers(server, vmis):
    metadata = {
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["kubevirt.io/foregroundDeleteVirtualMachine"],
    }
    server.answer(f"GET {VMIS}/vmi-a", vmi(metadata=metadata))
    server.answer(f"GET {VMIS}/vmi-b", status_object(404, "NotFound", "x", name="vmi-b"))
    with pytest.raises(TeardownError, match=r"vmi-a \(finalizers kubevirt.io/foregroundDelete") as caught:
        vmis.wait_gone([handle(), handle("vmi-b", "2")], Deadline(1))
    assert "vmi-b" not in caught.value.reason


@pytest.mark.parametrize(
    ("phase", "words", "hint"),
    [
        (
            "Running",
            "it is still Running, waiting for virt-handler on node w1",
            "kubectl get pods -A -l kubevirt.io=virt-handler -o wide",
        ),
        ("Succeeded", "its pod has not ended", "kubectl delete vmi -n checks vmi-a"),
    ],
)
def test_E56_a_deletion_waits_for_virt_handler_while_the_vmi_is_still_running(
    server, vmis, phase, words, hint
):
    held = {**LEAVING, "finalizers": ["kubevirt.io/foregroundDeleteVirtualMachine"]}
    server.answer(f"GET {VMIS}/vmi-a", vmi(phase=phase, metadata=held))
    with pytest.raises(TeardownError) as caught:
        vmis.wait_gone([handle()], Deadline(1))
    assert words in caught.value.reason
    assert caught.value.hint == hint


def test_evidence_never_fails(server, client, deadline):
    server.answer(f"GET {VMIS}/vmi-a", vmi())
    found = collect(client, handle(), deadline)
    assert found.vmi["metadata"]["uid"] == "1"
    assert found.events is None


def test_E53_kubevirts_api_is_down(server, client, vmis, deadline, monkeypatch):
    message = 'Internal error occurred: failed calling webhook "virtualmachineinstances-create-mutator.kubevirt.io": no endpoints available'
    server.answer(f"POST {VMIS}", status_object(500, "InternalError", message))
    monkeypatch.setattr(client, "request", partial(client.request, patience=0.2))
    with pytest.raises(ProvisionError, match="no endpoints available") as caught:
        vmis.create(REQUEST, deadline)
    assert isinstance(caught.value.__cause__, ApiUnavailableError)
    assert "virt-api" in caught.value.hint


def test_a_changed_manifest_is_what_is_sent(server, vmis, deadline):
    server.answer(f"POST {VMIS}", (201, vmi(REQUEST.name, "7")))

    def change(manifest):
        manifest["spec"]["hostname"] = "mine"
        return manifest

    vmis.create(replace(REQUEST), deadline, change=change)
    assert server.seen[0].body["spec"]["hostname"] == "mine"
    assert json.dumps(server.seen[0].body)


def test_E62_what_no_request_ever_reached_the_server_for_is_not_on_record(
    write_kubeconfig, deadline, monkeypatch
):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FIRST_CONTACT", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        vmis = Vmis(KubeClient.connect(kubeconfig=write_kubeconfig(url), context=None))
        with pytest.raises(ConfigError, match="Connection refused"):
            vmis.create(REQUEST, deadline)
    assert vmis.outstanding() == []


def test_E62_what_was_asked_of_a_server_that_is_gone_by_now_is_not_on_record(server, client, vmis, deadline):
    server.answer("GET /version", LAST_ANSWER)
    client.request("GET", "/version", deadline=deadline)
    server.stop()
    with pytest.raises(CheckupTimeoutError, match="Connection refused"):
        vmis.create(REQUEST, Deadline(0.3))
    assert vmis.outstanding() == []


def test_E62_what_may_have_reached_the_server_stays_on_record(server, client, vmis, deadline):
    server.answer("GET /version", {})
    server.answer(f"POST {VMIS}", ("reset",))
    client.request("GET", "/version", deadline=deadline)
    with pytest.raises(CheckupTimeoutError):
        vmis.create(REQUEST, Deadline(0.3))
    assert [one.name for one in vmis.outstanding()] == [REQUEST.name]
