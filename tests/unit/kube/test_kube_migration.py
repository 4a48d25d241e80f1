"""Live migrations: asked for once, read with care, deleted before their VMI and looked for after it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kubescript import REQUEST, status_object

from pytest_kvlatency.errors import PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube.manifest import ANNOTATION_REQUEST, LABEL_MANAGED_BY, NAME, vmi_manifest
from pytest_kvlatency.kube.migration import knows_node_selector, latest_migration
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.kube.targetpod import TargetPodWatch, target_pod_trouble
from pytest_kvlatency.kube.vmi import Vmis

VMIS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances"
MIGRATIONS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstancemigrations"
GUEST = VmiHandle(namespace="checks", name="vmi-a", uid="1", token="t")
MISSING = status_object(404, "NotFound", "not found", name="vmi-a")
MANY = {"kubernetes.io/hostname": "host3"}


@pytest.fixture
def vmis(client):
    return Vmis(client)


def vmi(**metadata):
    return {"metadata": {"name": "vmi-a", "uid": "1", **metadata}, "status": {"phase": "Running"}}


def migration(uid="7", *, token="t", vmi_name="vmi-a", status=None, **metadata):
    labels, annotations = {LABEL_MANAGED_BY: NAME}, {ANNOTATION_REQUEST: token}
    return {
        "metadata": {
            "name": "vmi-a",
            "uid": uid,
            "labels": labels,
            "annotations": annotations,
            **metadata,
        },
        "spec": {"vmiName": vmi_name},
        "status": status or {},
    }


def test_a_guest_that_migrates_may_be_on_both_nodes_and_prefers_the_first():
    request = replace(REQUEST, node="worker2", destinations=("worker3",))
    affinity = vmi_manifest(request)["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["worker2", "worker3"]
    # Kubernetes takes exactly one value for a field.
    assert [term["matchFields"][0]["values"] for term in terms[1:]] == [["worker2"], ["worker3"]]
    preferred = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [one["weight"] for one in preferred] == [100, 100]
    assert preferred[0]["preference"]["matchExpressions"][0]["values"] == ["worker2"]
    assert preferred[1]["preference"]["matchFields"][0]["values"] == ["worker2"]
    assert vmi_manifest(request)["metadata"]["annotations"]["pytest-kvlatency/migration"] == request.name


def test_a_guest_that_may_migrate_anywhere_only_prefers_its_first_node():
    affinity = vmi_manifest(replace(REQUEST, node="worker2", destinations=()))["spec"]["affinity"]
    assert list(affinity) == ["nodeAffinity"]
    assert list(affinity["nodeAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]


@pytest.mark.parametrize(
    ("version", "knows"),
    [
        ("v1.6.0", True),
        ("v1.10.1", True),
        ("v2.0.0", True),
        ("v1.5.9", False),
        (None, False),
        ("devel", False),
    ],
)
def test_the_destination_is_asked_for_where_kubevirt_knows_the_field(version, knows):
    assert knows_node_selector(version) is knows


def test_a_migration_has_the_name_of_its_vmi(server, vmis, deadline):
    server.answer(f"POST {MIGRATIONS}", (201, migration()))
    assert vmis.migrate(GUEST, deadline, run_id="r1", node_labels=MANY).uid == "7"
    body = server.seen[-1].body
    assert body["metadata"]["name"] == "vmi-a"
    assert body["spec"] == {"vmiName": "vmi-a", "addedNodeSelector": MANY}


def test_a_migration_whose_answer_was_lost_is_adopted(server, vmis, deadline):
    server.answer("GET /version", {})
    server.answer(f"POST {MIGRATIONS}", ("reset",), status_object(409, "AlreadyExists", "exists"))
    server.answer(f"GET {MIGRATIONS}/vmi-a", migration("8"))
    assert vmis.migrate(GUEST, deadline, run_id="r1").uid == "8"


def test_a_migration_that_another_client_made_is_not_adopted(server, vmis, deadline):
    server.answer(f"POST {MIGRATIONS}", status_object(409, "AlreadyExists", "exists"))
    server.answer(f"GET {MIGRATIONS}/vmi-a", migration("8", token="another"))
    with pytest.raises(ProvisionError, match="cannot migrate VMI checks/vmi-a: exists"):
        vmis.migrate(GUEST, deadline, run_id="r1")


def test_a_refusal_of_the_webhook_is_told_in_its_words(server, vmis, deadline):
    said = 'admission webhook "migration-create-validator.kubevirt.io" denied the request: in-flight migration detected'
    server.answer(f"POST {MIGRATIONS}", status_object(403, "Forbidden", said))
    with pytest.raises(ProvisionError, match="in-flight migration detected"):
        vmis.migrate(GUEST, deadline, run_id="r1")


def test_a_missing_permission_is_told_as_one(server, vmis, deadline):
    said = 'virtualmachineinstancemigrations.kubevirt.io is forbidden: User "sa" cannot create resource'
    server.answer(f"POST {MIGRATIONS}", status_object(403, "Forbidden", said))
    with pytest.raises(PermissionDeniedError, match="create virtualmachineinstancemigrations"):
        vmis.migrate(GUEST, deadline, run_id="r1")


def test_the_outcome_and_the_phases_are_read(server, vmis, deadline):
    times = [
        {"phase": "Pending", "phaseTransitionTimestamp": "2026-01-01T00:00:00Z"},
        {"phase": "Failed", "phaseTransitionTimestamp": "2026-01-01T00:00:06Z"},
    ]
    status = {"phase": "Failed", "phaseTransitionTimestamps": times}
    outcome = {"failureReason": "Bad file descriptor", "targetNode": "worker3", "mode": "PreCopy"}
    server.answer(
        f"GET {MIGRATIONS}/vmi-a",
        migration(status=status),
        migration(status={**status, "migrationState": outcome}),
        migration("another"),
    )
    early, late = (vmis.get_migration(GUEST, "7", deadline) for _ in range(2))
    assert (early.has_ended, early.has_outcome, early.failure_reason) == (True, False, "")
    assert (late.has_outcome, late.failure_reason, late.mode) == (True, "Bad file descriptor", "PreCopy")
    assert list(late.timestamps) == ["Pending", "Failed"]
    assert vmis.get_migration(GUEST, "7", deadline) is None


def test_completed_is_not_success():
    state = {"migrationUid": "7", "completed": True, "failed": True, "failureReason": "aborted"}
    moved = latest_migration({"status": {"migrationState": state}})
    assert (moved.uid, moved.completed, moved.failed, moved.failure_reason) == ("7", True, True, "aborted")
    assert latest_migration({"status": {}}) is None


def test_a_migration_is_deleted_before_its_vmi_and_looked_for_until_both_are_gone(server, vmis, deadline):
    server.answer(f"POST {MIGRATIONS}", (201, migration()))
    vmis.adopt(GUEST)
    vmis.migrate(GUEST, deadline, run_id="r1")
    leaving = migration(deletionTimestamp="2026-01-01T00:00:00Z")
    server.answer(f"GET {MIGRATIONS}/vmi-a", migration(), leaving, MISSING)
    server.answer(f"DELETE {MIGRATIONS}/vmi-a", {})
    server.answer(f"DELETE {VMIS}/vmi-a", {})
    server.answer(f"GET {VMIS}/vmi-a", MISSING)
    # The handle that a guest was made with knows nothing of a migration: the record does.
    assert vmis.delete_all([GUEST], deadline) == {}
    assert server.asked("DELETE") == [f"DELETE {MIGRATIONS}/vmi-a", f"DELETE {VMIS}/vmi-a"]
    vmis.wait_gone([GUEST], deadline)
    assert server.asked("GET").count(f"GET {MIGRATIONS}/vmi-a") == 3
    assert vmis.outstanding() == []


def test_a_migration_that_came_late_is_deleted_after_its_vmi(server, vmis, deadline):
    server.answer(f"GET {MIGRATIONS}/vmi-a", migration(), MISSING)
    server.answer(f"DELETE {MIGRATIONS}/vmi-a", {})
    server.answer(f"GET {VMIS}/vmi-a", MISSING)
    guest = replace(GUEST, migrates=True)
    vmis.adopt(guest)
    vmis.wait_gone([guest], deadline)
    assert server.asked("DELETE") == [f"DELETE {MIGRATIONS}/vmi-a"]


def test_a_vmi_is_deleted_although_its_migration_may_not_be_looked_at(server, vmis, deadline):
    denied = status_object(403, "Forbidden", 'x is forbidden: User "sa" cannot do resource "x"')
    server.answer(f"GET {MIGRATIONS}/vmi-a", denied)
    server.answer(f"DELETE {VMIS}/vmi-a", {})
    assert vmis.delete_all([replace(GUEST, migrates=True)], deadline) == {}
    assert server.asked("DELETE") == [f"DELETE {VMIS}/vmi-a"]


def test_a_vmi_that_does_not_migrate_costs_no_request_more(server, vmis, deadline):
    server.answer(f"DELETE {VMIS}/vmi-a", {})
    server.answer(f"GET {VMIS}/vmi-a", MISSING)
    vmis.delete_all([GUEST], deadline)
    vmis.wait_gone([GUEST], deadline)
    assert server.asked() == [f"DELETE {VMIS}/vmi-a", f"GET {VMIS}/vmi-a"]


def pods(*, conditions=(), waiting=None):
    status = {"conditions": list(conditions)}
    if waiting is not None:
        status["containerStatuses"] = [{"name": "compute", "state": {"waiting": waiting}}]
    spec = {"nodeName": "worker3", "containers": [{"name": "compute", "image": "quay.io/a:1"}]}
    return {"items": [{"metadata": {"name": "p"}, "spec": spec, "status": status}]}


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}


@pytest.mark.parametrize(
    ("answer", "words", "is_placement"),
    [
        (pods(conditions=[UNSCHEDULABLE]), "its target pod is Unschedulable: 0/3 nodes are available", True),
        (
            pods(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"}),
            "worker3 cannot pull the image quay.io/a:1: Back-off pulling image (ImagePullBackOff)",
            False,
        ),
        (
            pods(waiting={"reason": "CreateContainerError", "message": "no such device"}),
            "its target pod on worker3 waits: no such device (CreateContainerError)",
            False,
        ),
    ],
    ids=["unschedulable", "image", "container"],
)
def test_what_keeps_a_target_pod_from_starting_is_told_in_the_clusters_words(
    server, client, deadline, answer, words, is_placement
):
    server.answer("GET /api/v1/namespaces/checks/pods", answer)
    found = target_pod_trouble(client, GUEST, "7", deadline)
    assert (found.words, found.is_placement) == (words, is_placement)


@pytest.mark.parametrize(
    "answer",
    [
        pods(
            conditions=[{"type": "PodScheduled", "status": "True"}], waiting={"reason": "ContainerCreating"}
        ),
        {"items": []},
        status_object(403, "Forbidden", 'pods is forbidden: User "sa" cannot list resource "pods"'),
    ],
    ids=["starting", "none", "forbidden"],
)
def test_nothing_is_said_of_a_target_pod_that_starts_or_may_not_be_read(server, client, deadline, answer):
    server.answer("GET /api/v1/namespaces/checks/pods", answer)
    assert target_pod_trouble(client, GUEST, "7", deadline) is None


@pytest.mark.parametrize(
    ("words", "is_settled"),
    [("manifest unknown", True), ("dial tcp: i/o timeout", False)],
    ids=["hopeless", "may-pass"],
)
def test_a_target_pod_is_given_up_at_once_whose_image_no_further_try_can_pull(
    server, client, deadline, words, is_settled
):
    server.answer(
        "GET /api/v1/namespaces/checks/pods", pods(waiting={"reason": "ErrImagePull", "message": words})
    )
    watch = TargetPodWatch(client, GUEST, "7", lasts=10.0)
    assert watch.look(deadline) == is_settled
    assert watch.latest.words == f"worker3 cannot pull the image quay.io/a:1: {words} (ErrImagePull)"
