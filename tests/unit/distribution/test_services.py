"""What a run has only one of is done once, whoever of its workers asks, and under no lock."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pytest_kvlatency.checkup.role import Local
from pytest_kvlatency.checkup.tally import Tally
from pytest_kvlatency.checkup.xdist.services import Services
from pytest_kvlatency.checkup.xdist.workers import Workers
from pytest_kvlatency.deadline import Stop
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.clusterfacts import ClusterFacts
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.report.run import ItemResult
from pytest_kvlatency.threads import Threads

FACTS = ClusterFacts(server="https://cluster:6443", kubernetes_version=None, kubevirt_version=None)
VMI = VmiHandle(namespace="checks", name="latency-check-a", uid="1")


class Process:
    """The controller's own work: reading parameters takes until ``is_read`` is set."""

    def __init__(self):
        self.asked = []
        self.is_asked = threading.Event()
        self.is_read = threading.Event()

    def parameters(self):
        self.asked.append("parameters")
        self.is_asked.set()
        assert self.is_read.wait(60)
        raise ConfigError("the ConfigMap is gone")

    def local(self):
        def none(*_):
            return None

        return Local(
            client=none,
            parameters=self.parameters,
            discover=none,
            open=none,
            adopt=none,
            header=list,
            tally=Tally(),
        )


@pytest.fixture
def process():
    return Process()


@pytest.fixture
def services(process):
    workers = Workers()
    workers.expect("gw0", 2)
    workers.expect("gw1", 2)
    state = SimpleNamespace(stop=Stop(), results=SimpleNamespace(cluster_facts=FACTS), nodes=None)
    return Services(state, process.local(), workers)


def test_workers_that_ask_the_same_share_one_answer_and_each_gets_an_error_of_its_own(process, services):
    threads = Threads(2, "worker")
    asked = [threads.submit(services.parameters, one) for one in ("gw0", "gw1")]
    assert process.is_asked.wait(60)
    process.is_read.set()
    errors = [one.exception(60) for one in asked]
    assert [str(one) for one in errors] == ["the ConfigMap is gone"] * 2
    assert errors[0] is not errors[1]
    with pytest.raises(ConfigError, match="the ConfigMap is gone"):
        services.parameters("gw1")
    assert process.asked == ["parameters"]


def test_a_worker_waits_for_no_other_workers_answer(process, services):
    reading = Threads(1, "worker").submit(services.parameters, "gw0")
    assert process.is_asked.wait(60)
    services.hello("gw1", pid=1)
    services.vmi_made("gw1", VMI)
    assert services.workers.vmis_of("gw1") == [VMI]
    opened = Threads(1, "worker").submit(services.facts, "gw1")
    assert opened.result(60) == (FACTS, None)
    assert not reading.done()
    process.is_read.set()
    assert isinstance(reading.exception(60), ConfigError)


def test_an_item_that_a_worker_died_with_is_an_error(services):
    begun = ItemResult(nodeid="a", check=None, measurement=None, outcome="notrun", attempt=1)
    ended = ItemResult(nodeid="b", check=None, measurement=None, outcome="passed", attempt=1)
    services.take_attempt("gw0", begun, is_over=False)
    services.take_attempt("gw0", ended, is_over=True)
    services.workers.has_hung_up("gw0")
    results = {one.nodeid: one for one in services.workers.results}
    assert results["b"] == ended
    assert results["a"].outcome == "error"
    assert [one.reason for one in results["a"].failures] == [
        "worker gw0 of pytest-xdist died while it ran this item"
    ]


def test_the_part_of_a_worker_that_is_down_is_given_to_the_next(services):
    assert services.workers.is_down("gw0")
    assert not services.workers.is_down("gw9")
    assert services.workers.expect("gw2", 2) == 0
