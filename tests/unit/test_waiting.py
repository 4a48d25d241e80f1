"""The main thread's waits end by themselves, whatever becomes of the threads that it waits for."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError


class Quiet:
    def show(self, text):
        pass

    def clear(self):
        pass


def waiter(seconds, stop=None):
    return Waiter(stop=stop or Stop(), progress=Quiet(), last_word_seconds=seconds)


def test_E81_the_timeout_ends_a_wait_for_a_thread_that_never_answers():
    one = waiter(0.2)
    over = Deadline(0.001, paused=True)
    for _ in range(3):
        # Not each of many items waits for what all of them have in common.
        with pytest.raises(CheckupTimeoutError, match=r"^timed out after 1ms waiting for the pair$"):
            one.wait(Future(), deadline=over, text=lambda: "0/1 pairs done", what=lambda: "the pair")
    assert not one.is_waiting


def test_a_thread_has_a_while_to_say_why_it_was_late():
    late = Future()
    threading.Timer(0.3, late.set_exception, [CheckupTimeoutError("it stays Scheduling")]).start()
    with pytest.raises(CheckupTimeoutError, match="it stays Scheduling"):
        waiter(60.0).wait(late, deadline=Deadline(0.001), text=str, what=str)


def test_a_stop_ends_a_wait_at_once():
    stop = Stop()
    stop.set("interrupted by SIGTERM")
    with pytest.raises(InterruptedRunError, match=r"^interrupted by SIGTERM while waiting for the cluster$"):
        waiter(60.0, stop).wait(
            Future(),
            deadline=Deadline(60.0, stop=stop),
            text=lambda: "kvlatency: 0/1 pairs done",
            what=lambda: "the cluster",
        )
