"""What workers leave behind stays known until somebody takes care of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_kvlatency.checkup.xdist.controller import Controller, _Known
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.state import VmiHandle

LEFT = VmiHandle(namespace="checks", name="latency-check-a", uid="1")


@pytest.fixture
def controller():
    failures = []

    def no_cluster():
        raise ConfigError("the kubeconfig is gone", hint="bring it back")

    checkup = SimpleNamespace(
        config=SimpleNamespace(pluginmanager=SimpleNamespace(register=lambda *_: None)),
        client=no_cluster,
        items=SimpleNamespace(adopt=lambda results: None),
        reporting=SimpleNamespace(add_failure=failures.append),
        failures=failures,
    )
    made = Controller(checkup)
    made._known["gw0"] = _Known(part=0)
    made._made("gw0", LEFT)
    return made


def test_vmis_of_a_worker_are_named_where_the_cluster_cannot_be_had(controller):
    controller._bury("gw0")
    controller.gather()
    (failure,) = controller.checkup.failures
    assert failure.reason == (
        "cannot delete what worker gw0 left: the kubeconfig is gone. "
        "These VMIs may still exist: checks/latency-check-a"
    )
    assert failure.hint == "bring it back"
    assert controller.removable is None


def test_vmis_of_a_worker_are_taken_care_of_once_it_can(controller):
    controller._bury("gw0")
    controller.checkup.client = SimpleNamespace
    controller.gather()
    assert controller.checkup.failures == []
    assert controller.removable.left_over == "these VMIs may still exist: checks/latency-check-a"
