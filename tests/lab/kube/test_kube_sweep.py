"""What a sweep takes and what it leaves, decided against a real API server."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths, sweep
from pytest_kvlatency.kube.manifest import EXPIRES_FORMAT, VmiRequest, fresh_name, user_data, vmi_manifest
from pytest_kvlatency.model import NadRef

VMIS = paths.vmi("checks")
HOUR = timedelta(hours=1)
RUNS = (f"run{number}" for number in itertools.count())
REQUEST = VmiRequest(
    name="",
    namespace="checks",
    nad=NadRef(namespace="checks", name="blue-network"),
    binding="bridge",
    mac="02:00:00:00:00:01",
    image="quay.io/x@sha256:1",
    network_data="version: 2\n",
    user_data=user_data(),
    run_id="",
)


def ago(much):
    return (datetime.now(timezone.utc) - much).strftime(EXPIRES_FORMAT)


def set_phase(cluster, name, phase):
    body = {"status": {"phase": phase}}
    cluster.admin.request("PATCH", f"{VMIS}/{name}", body=body, deadline=Deadline(60))


@pytest.fixture
def make(cluster):
    """Make a VMI as a run did that is over; it is gone after the test."""
    names = []

    def create(phase="Succeeded", *, expired=HOUR, run_id=None, change=lambda _: None, **more):
        name = more.pop("name", None) or fresh_name("latency-check")
        request = replace(REQUEST, name=name, run_id=run_id or next(RUNS), expires_at=ago(expired), **more)
        manifest = vmi_manifest(request)
        change(manifest)
        names.append(manifest["metadata"]["name"])
        cluster.admin.request("POST", VMIS, body=manifest, deadline=Deadline(60))
        set_phase(cluster, names[-1], phase)
        return names[-1]

    yield create
    for name in names:
        cluster.admin.request("DELETE", f"{VMIS}/{name}", deadline=Deadline(60), ok_missing=True)


def swept(cluster, client=None):
    """Sweep; the names that went, and the reasons of the others."""
    done = sweep.sweep(client or cluster.admin, "checks", Deadline(60))
    there = {
        vmi["metadata"]["name"] for vmi in cluster.admin.request("GET", VMIS, deadline=Deadline(60))["items"]
    }
    assert not there.intersection(one.name for one in done.removed)
    assert {one.name for one, _ in done.left} <= there
    return {one.name for one in done.removed}, {one.name: reason for one, reason in done.left}


@pytest.mark.parametrize("phase", ["", "Pending", "Scheduling", "Scheduled", "Succeeded", "Failed"])
def test_E60_what_has_expired_and_does_not_run_goes(cluster, make, phase):
    name = make(phase)
    assert swept(cluster) == ({name}, {})


@pytest.mark.parametrize("phase", ["Running", "Unknown", "WaitingForSync"])
def test_E61_what_may_run_stays(cluster, make, phase):
    name = make(phase)
    assert swept(cluster) == (set(), {name: sweep.RUNNING})


def test_E60_no_guest_runs_for_a_week_beyond_its_expiry(cluster, make):
    name, younger = (
        make("Running", expired=timedelta(days=7, minutes=1)),
        make("Running", expired=timedelta(days=6)),
    )
    assert swept(cluster) == ({name}, {younger: sweep.RUNNING})


def test_E61_what_has_not_expired_stays(cluster, make):
    name = make(expired=-HOUR)
    assert swept(cluster) == (set(), {name: sweep.YOUNG})


@pytest.mark.parametrize(("phase", "expired"), [("Running", HOUR), ("Succeeded", -HOUR)])
def test_E61_what_belongs_to_a_run_that_may_live_stays(cluster, make, phase, expired):
    ended = make("Failed", run_id="living")
    reason = sweep.RUNNING if phase == "Running" else sweep.YOUNG
    companion, other = make(phase, run_id="living", expired=expired), make("Failed", run_id="dead")
    assert swept(cluster) == ({other}, {ended: sweep.COMPANION, companion: reason})


def test_E60_what_may_have_been_kept_stays(cluster, make):
    name = make(change=lambda manifest: manifest["metadata"]["annotations"].pop("pytest-kvlatency/sweep"))
    assert swept(cluster) == (set(), {name: sweep.KEPT})


def rename(manifest):
    manifest["metadata"]["name"] += "-copy"


def relabel(manifest):
    rename(manifest)
    manifest["metadata"]["labels"]["app.kubernetes.io/instance"] = manifest["metadata"]["name"]


def leave_out(kind, key):
    return lambda manifest: manifest["metadata"][kind].pop(key)


@pytest.mark.parametrize(
    "change",
    [
        rename,
        relabel,
        leave_out("labels", "app.kubernetes.io/name"),
        leave_out("labels", "pytest-kvlatency/run"),
        leave_out("annotations", "pytest-kvlatency/request"),
        leave_out("annotations", "pytest-kvlatency/expires-at"),
        lambda manifest: manifest["metadata"]["annotations"].update({"pytest-kvlatency/expires-at": "soon"}),
        lambda manifest: manifest["metadata"]["annotations"].update({"pytest-kvlatency/sweep": "other/name"}),
    ],
    ids=["copy", "relabelled copy", "name", "run", "request", "no expiry", "expiry", "other namespace"],
)
def test_E61_what_lacks_a_mark_stays(cluster, make, change):
    name = make(change=change)
    assert swept(cluster) == (set(), {name: sweep.NOT_OURS})


def test_E61_vmis_of_others_are_not_even_looked_at(cluster, make):
    make(change=leave_out("labels", "app.kubernetes.io/managed-by"))
    assert swept(cluster) == (set(), {})


def test_E60_a_long_list_is_read_page_by_page(cluster, make, monkeypatch):
    monkeypatch.setattr(sweep, "_PAGE", 2)
    names = {make() for _ in range(5)}
    assert swept(cluster) == (names, {})


def test_E61_what_changes_between_look_and_deletion_is_judged_again(cluster, make, monkeypatch):
    name = make("Scheduled")
    listed = sweep._list

    def list_and_start(client, namespace, deadline):
        found = listed(client, namespace, deadline)
        set_phase(cluster, name, "Running")
        return found

    monkeypatch.setattr(sweep, "_list", list_and_start)
    assert swept(cluster) == (set(), {name: sweep.RUNNING})


def test_E54_without_permission_to_list_the_rule_is_named(cluster, make):
    make()
    client = cluster.user([("kubevirt.io", "virtualmachineinstances", verb) for verb in ("get", "delete")])
    with pytest.raises(PermissionDeniedError, match="list virtualmachineinstances") as caught:
        sweep.sweep(client, "checks", Deadline(60))
    assert 'verbs: ["list"]' in caught.value.hint


def test_E60_the_checkups_role_and_the_permission_to_list_suffice(cluster, make):
    name = make()
    verbs = ("get", "create", "delete", "list")
    client = cluster.user([("kubevirt.io", "virtualmachineinstances", verb) for verb in verbs])
    assert swept(cluster, client) == ({name}, {})


def test_E56_one_that_is_stuck_hinders_no_other(cluster, make):
    stuck = make(change=lambda manifest: manifest["metadata"].update({"finalizers": ["example.com/stuck"]}))
    name = make()
    done = sweep.sweep(cluster.admin, "checks", Deadline(2))
    assert [one.name for one in done.removed] == [name]
    assert [stuck in problem.reason for problem in done.problems] == [True]
    assert swept(cluster) == (set(), {stuck: sweep.DELETING})
    cluster.admin.request(
        "PATCH",
        f"{VMIS}/{stuck}",
        body={"metadata": {"finalizers": None}},
        deadline=Deadline(60),
        ok_missing=True,
    )


def test_E60_what_was_done_is_said_with_the_way_to_do_the_rest():
    handles = [sweep.VmiHandle(namespace="checks", name=f"vmi-{number:02}") for number in range(12)]
    left = ((handles[0], sweep.KEPT), (handles[1], sweep.KEPT), (handles[2], sweep.RUNNING))
    assert sweep.words(sweep.Swept(removed=tuple(handles), left=left), "checks") == [
        "removed 12 VMIs of killed runs from namespace checks: "
        + ", ".join(one.name for one in handles[:10])
        + " and 2 more",
        f"left vmi-00, vmi-01: {sweep.KEPT} (to remove by hand: kubectl delete vmi -n checks vmi-00 …)",
        f"left vmi-02: {sweep.RUNNING} (if you know that it is not: kubectl delete vmi -n checks vmi-02)",
    ]
