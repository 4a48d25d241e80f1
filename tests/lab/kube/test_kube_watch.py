from __future__ import annotations

import queue
from dataclasses import replace

from kubelab import ROLE, request

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.vmi import Vmis
from pytest_kvlatency.kube.watch import VmiWatch


def change(cluster, made, **status):
    path = paths.vmi(made.namespace, made.name)
    cluster.admin.request("PATCH", path, body={"status": status}, deadline=Deadline(60))


def test_changes_are_told_as_they_happen(cluster, deadline):
    vmis = Vmis(cluster.admin)
    before = vmis.create(request(), deadline)
    told = queue.Queue()
    watch = VmiWatch(cluster.admin, "checks", "r1", lambda uid, state: told.put((uid, state)))
    assert told.get(timeout=60)[0] == before.uid
    change(cluster, before, phase="Running", nodeName="worker1")
    uid, state = told.get(timeout=60)
    assert uid == before.uid
    assert state.running
    assert state.node == "worker1"
    after = vmis.create(request(), deadline)
    assert told.get(timeout=60)[0] == after.uid
    assert not vmis.delete_all([before], deadline)
    while (event := told.get(timeout=60))[1] is not None:
        assert event[0] == before.uid
    assert event == (before.uid, None)
    assert watch.active
    watch.close()
    assert not watch._thread.is_alive()


def test_E61_other_runs_are_not_seen(cluster, deadline):
    told = queue.Queue()
    watch = VmiWatch(cluster.admin, "checks", "r2", lambda uid, state: told.put(uid))
    vmis = Vmis(cluster.admin)
    vmis.create(request(), deadline)
    own = vmis.create(replace(request(), run_id="r2"), deadline)
    # What is told comes in the order in which it happened.
    assert told.get(timeout=60) == own.uid
    watch.close()


def test_without_the_permission_it_ends_silently(cluster):
    watch = VmiWatch(cluster.user(ROLE.values()), "checks", "r1", lambda uid, state: None)
    watch._thread.join(60)
    assert not watch.active
    refused = [entry for entry in cluster.audit() if entry.get("verb") == "watch"]
    assert [entry["code"] for entry in refused] == [403]
    watch.close()
