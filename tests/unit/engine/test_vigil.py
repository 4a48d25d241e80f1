"""Guests under a long measurement: looked at rarely, and the end of one ends its measurements."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from pytest_kvlatency.deadline import Backoff, Deadline, Stop
from pytest_kvlatency.engine import vigil
from pytest_kvlatency.engine.vigil import Vigil
from pytest_kvlatency.errors import InterruptedRunError, ProvisionError
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.kube.state import VmiHandle, VmiState

ONE, TWO, THREE = (VmiHandle(namespace="default", name=f"vmi-{word}", uid=word) for word in "abc")
RUNNING = VmiState(uid="", phase="Running")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(vigil, "STEPS", replace(vigil.STEPS, first=0.05))
    monkeypatch.setattr(vigil, "LOOKS_PER_SECOND", 100.0)


def until_stopped(deadline):
    deadline.pause(60, "the sample")
    raise AssertionError("nothing ended it")


def test_E55_the_end_of_a_vmi_ends_each_of_its_measurements_and_no_other():
    def get_state(handle, deadline):
        return None if handle is ONE else RUNNING

    watched = Vigil(get_state)
    reasons = {}

    def measure(name, *handles):
        with pytest.raises(ProvisionError) as caught, watched.over(handles, Deadline(60)) as limit:
            until_stopped(limit)
        reasons[name] = caught.value.reason

    with watched.over([TWO, THREE], Deadline(60)) as limit:
        threads = [
            threading.Thread(target=measure, args=("first", ONE, TWO)),
            threading.Thread(target=measure, args=("second", THREE, ONE)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        limit.check("the other sample")
    assert reasons == dict.fromkeys(
        ("first", "second"), "VMI default/vmi-a is gone: another client deleted it"
    )


def test_E55_a_body_that_ends_by_itself_is_told_why_its_guest_has_ended():
    with Vigil(lambda handle, deadline: None).over([ONE], Deadline(60)) as limit:
        assert limit.cause is None
        with pytest.raises(InterruptedRunError):
            until_stopped(limit)
        assert limit.cause.reason == "VMI default/vmi-a is gone: another client deleted it"


def test_a_measurement_of_the_usual_length_costs_no_look(monkeypatch):
    monkeypatch.setattr(vigil, "STEPS", Backoff(first=3600.0, longest=3600.0))
    looked = []
    with Vigil(lambda handle, deadline: looked.append(handle)).over([ONE, TWO], Deadline(60)):
        pass
    assert looked == []


def test_looks_grow_rarer_and_are_few_however_many_are_measured(monkeypatch):
    monkeypatch.setattr(vigil, "LOOKS_PER_SECOND", 20.0)
    looked = []

    def get_state(handle, deadline):
        looked.append(handle)
        return RUNNING

    handles = [VmiHandle(namespace="default", name=f"vmi-{number}") for number in range(200)]
    began = time.monotonic()
    with Vigil(get_state).over(handles, Deadline(60)):
        while len(set(looked)) < 10:
            time.sleep(0.01)
        assert len(looked) <= 20 * (time.monotonic() - began) + 1


@pytest.mark.parametrize("error", [ApiUnavailableError("503", status=503), RuntimeError("a mistake")])
def test_what_cannot_be_looked_at_ends_nothing(error):
    looked = threading.Semaphore(0)

    def get_state(handle, deadline):
        looked.release()
        raise error

    with Vigil(get_state).over([ONE], Deadline(60)) as limit:
        for _ in range(3):
            assert looked.acquire(timeout=60)
        limit.check("the sample")


def test_a_stop_of_the_run_ends_the_measurement_as_ever():
    stop = Stop()
    stop.set("SIGTERM")
    with (
        pytest.raises(InterruptedRunError, match="SIGTERM"),
        Vigil(lambda handle, deadline: RUNNING).over([ONE], Deadline(60, stop=stop)) as limit,
    ):
        until_stopped(limit)
