"""How long the end of a run waits for guests that are handed over to people."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from pytest_kvlatency.engine import departures
from pytest_kvlatency.engine.departures import Departures
from pytest_kvlatency.threads import Threads

SECONDS = 60


@pytest.fixture
def leaving(monkeypatch):
    """Departures with a guest that is being handed over until ``answers`` is set."""
    monkeypatch.setattr(departures, "LAST_SECONDS", 0.0)
    monkeypatch.setattr(departures, "HURRIED_LEAVING_SECONDS", 0.0)
    begun, answers, left = threading.Event(), threading.Event(), threading.Event()

    def leave(deadline):
        begun.set()
        assert answers.wait(SECONDS)
        left.set()

    guest = SimpleNamespace(handle="guest", shell=SimpleNamespace(leave=leave))
    leftovers = SimpleNamespace(kept=(guest.handle,), is_kept=lambda handle: True)
    made = Departures(leftovers, Threads(1, "test"))
    made.leave_kept([guest])
    assert begun.wait(SECONDS)
    yield SimpleNamespace(departures=made, answers=answers, left=left)
    answers.set()


def test_a_finished_run_waits_for_a_slow_console(leaving):
    def hurries():
        leaving.answers.set()
        return False

    leaving.departures.shut_down(hurries)
    assert leaving.left.is_set()


def test_a_signal_ends_the_wait_for_a_slow_console(leaving):
    asked = []

    def hurries():
        asked.append(None)
        return len(asked) > 3

    leaving.departures.shut_down(hurries)
    assert not leaving.left.is_set()


def test_a_guest_that_stays_does_not_wait_for_a_thread_that_deletes_others():
    may_end, left = threading.Event(), []
    busy = Threads(1, "test")
    busy.submit(may_end.wait, SECONDS)
    shell = SimpleNamespace(leave=lambda deadline: left.append("kept"))
    guest = SimpleNamespace(handle="kept", shell=shell)
    up = Future()
    up.set_result(guest)
    made = Departures(
        SimpleNamespace(kept=("kept",), is_kept=lambda handle: True, doom=lambda handles: None), busy
    )
    made.discard([up])
    made.shut_down(lambda: False)
    may_end.set()
    assert left == ["kept"]
