"""What workers leave behind stays known until somebody takes care of it."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace

import pytest

from pytest_kvlatency.checkup.xdist.orphans import Heir
from pytest_kvlatency.checkup.xdist.workers import Workers
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.report.run import ItemResult
from pytest_kvlatency.threads import Threads

LEFT = VmiHandle(namespace="checks", name="latency-check-a", uid="1")


class Cluster:
    """A kubeconfig that may be gone; ``client`` connects, which takes until ``may_connect`` is set."""

    is_there = False

    def __init__(self):
        self.is_asked = threading.Event()
        self.may_connect = threading.Event()
        self.may_connect.set()

    def client(self):
        self.is_asked.set()
        assert self.may_connect.wait(60)
        if not self.is_there:
            raise ConfigError("the kubeconfig is gone", hint="bring it back")
        return SimpleNamespace()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def workers():
    workers = Workers()
    workers.expect("gw0", 2)
    workers.expect("gw1", 2)
    workers.has_made("gw0", LEFT)
    return workers


@pytest.fixture
def heir(workers, cluster):
    return Heir(workers, cluster.client)


def test_vmis_of_a_worker_are_named_where_the_cluster_cannot_be_had(heir):
    heir.bury("gw0")
    (problem,) = heir.inherit_all()
    assert problem.reason == (
        "cannot delete what worker gw0 left: the kubeconfig is gone. "
        "These VMIs may still exist: checks/latency-check-a"
    )
    assert problem.hint == "bring it back"
    assert heir.orphans is None


def test_vmis_of_a_worker_are_taken_care_of_once_it_can(cluster, heir):
    heir.bury("gw0")
    cluster.is_there = True
    assert heir.inherit_all() == []
    assert heir.orphans.leftovers.words == "these VMIs may still exist: checks/latency-check-a"


def test_workers_are_heard_while_the_controller_connects_for_what_another_left(cluster, workers, heir):
    cluster.is_there = True
    cluster.may_connect.clear()
    burying = Threads(1, "burying").submit(heir.inherit_all)
    assert cluster.is_asked.wait(60)
    result = ItemResult(nodeid="a", check=None, measurement=None, outcome="passed", attempt=1)
    told = Threads(1, "worker").submit(partial(workers.has_attempted, "gw1", result, is_over=True))
    told.result(60)
    assert not burying.done()
    # Until they are taken care of they are the worker's.
    assert workers.vmis_of("gw0") == [LEFT]
    cluster.may_connect.set()
    assert burying.result(60) == []
    assert workers.vmis_of("gw0") == []
    assert heir.orphans.leftovers.words == "these VMIs may still exist: checks/latency-check-a"
