"""A migration is judged by what the cluster says at last, and not by its first word; and waits for its turn."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.engine.move import MoveLimits, Mover
from pytest_kvlatency.errors import CheckupTimeoutError
from pytest_kvlatency.kube.clusterfacts import ClusterFacts
from pytest_kvlatency.kube.migration import MigrationState, Moved
from pytest_kvlatency.kube.state import VmiHandle, VmiState
from pytest_kvlatency.model import Check, NadRef, NodePair

HANDLE = VmiHandle(namespace="default", name="vmi-a", uid="1")
CHECK = Check(
    nad=NadRef(namespace="default", name="blue"),
    pair=NodePair(source="worker1", target="worker2", destination="worker3"),
)
LIMITS = MoveLimits(outcome=0.2)


def say(how_far, *, during="", phase=""):
    pass


class Vmis:
    """A cluster that answers each look with the next state; the last one repeats."""

    def __init__(self, *states, moved=None, node="worker3"):
        self._states = list(states)
        self._moved = moved
        self._node = node
        self.removed = []

    def migrate(self, handle, deadline, *, run_id, node_labels):
        return MigrationState(uid="7")

    def get_migration(self, handle, uid, deadline):
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def get_moved(self, handle, deadline):
        return VmiState(uid="1", phase="Running", node=self._node), self._moved

    def remove_migration(self, handle, deadline):
        self.removed.append(handle)


def state(phase, *passed, **more):
    return MigrationState(uid="7", phase=phase, timestamps=dict.fromkeys((*passed, phase), "t"), **more)


def moved(**more):
    return Moved(uid="7", completed=True, **more)


@pytest.fixture
def target():
    return SimpleNamespace(
        handle=HANDLE, node="worker2", has_migrated=False, shell=SimpleNamespace(suspend=lambda: None)
    )


@pytest.fixture
def journey(target):
    def go(vmis):
        mover = Mover(None, vmis, Leftovers(vmis), run_id="r", version="v1.6.0", limits=LIMITS, at_once=5)
        found = mover.move(CHECK, target, Deadline(60), say)
        assert vmis.removed == [HANDLE]
        return found

    return go


def test_the_reason_of_a_failure_comes_after_its_final_phase(journey):
    late = state("Failed", has_outcome=True, failure_reason="Bad file descriptor")
    found = journey(Vmis(state("Failed"), state("Failed", has_outcome=True), late, node="worker2"))
    assert found.error.reason == "the migration of VMI default/vmi-a from worker2 failed: Bad file descriptor"
    assert found.migration.failure_reason == "Bad file descriptor"
    assert not found.migration.succeeded


def test_a_failure_without_a_reason_is_told_as_one(journey):
    found = journey(Vmis(state("Failed", has_outcome=True), node="worker2"))
    assert found.error.reason.endswith("failed: the cluster gives no reason")


def test_completed_alone_is_not_success(journey):
    done = state("Succeeded", has_outcome=True)
    found = journey(Vmis(done, moved=moved(failed=True, failure_reason="aborted"), node="worker2"))
    assert found.error.reason.endswith("failed: aborted")


def test_what_the_vmi_says_of_an_earlier_migration_does_not_count(journey):
    done = state("Succeeded", has_outcome=True)
    earlier = Moved(uid="6", completed=True, failed=True, failure_reason="an old one")
    assert journey(Vmis(done, moved=earlier)).error is None


def test_phases_that_pass_between_two_looks_are_known_by_their_timestamps(journey):
    done = state("Succeeded", "Scheduling", "Scheduled", "Running", has_outcome=True)
    found = journey(Vmis(state("Pending"), done, moved=moved()))
    phases = found.migration.phases
    assert [one.name for one in phases] == ["Pending", "Scheduling", "Scheduled", "Running", "Succeeded"]
    assert len({(one.not_before_ns, one.seen_ns) for one in phases[1:]}) == 1
    assert 0 <= phases[1].not_before_ns <= phases[1].seen_ns


def test_no_more_migrate_at_once_than_the_cluster_allows():
    vmis = Vmis(state("Succeeded"))
    mover = Mover(None, vmis, Leftovers(vmis), run_id="r", version=None, at_once=1)
    told, waits, entered = [], threading.Event(), threading.Event()

    def hear(how_far, **_):
        told.append(how_far)
        waits.set()

    def second():
        with mover.turn(Deadline(60), hear):
            entered.set()

    with mover.turn(Deadline(60), say):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert waits.wait(60)
        with pytest.raises(CheckupTimeoutError), mover.turn(Deadline(0.1), say):
            pass
        assert not entered.is_set()
    waiting.join(60)
    assert entered.is_set()
    assert told == ["waiting for other migrations to end"]


@pytest.mark.parametrize(
    ("configuration", "limit"),
    [(None, 5), ({}, 5), ({"migrations": {"parallelMigrationsPerCluster": 2}}, 2)],
    ids=["unknown", "default", "set"],
)
def test_the_limit_is_that_of_the_kubevirt_object(configuration, limit):
    assert ClusterFacts(server="x", configuration=configuration).parallel_migrations == limit
