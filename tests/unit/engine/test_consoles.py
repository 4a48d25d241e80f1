from __future__ import annotations

import threading

import pytest

from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine.consoles import Consoles
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError


class Shell:
    """Counts how often its console was closed."""

    def __init__(self):
        self.suspended = 0

    def suspend(self):
        self.suspended += 1


def test_consoles_of_few_guests_stay_open():
    consoles, shell = Consoles(guests=3, limit=3), Shell()
    for _ in range(2):
        with consoles.using(shell, Deadline(60)):
            pass
    assert shell.suspended == 0


def test_of_many_guests_only_so_many_are_open_at_once():
    consoles = Consoles(guests=20, limit=3)
    lock, is_open, most = threading.Lock(), [], []
    shells = [Shell() for _ in range(20)]
    meet = threading.Barrier(3)

    def use(number):
        with consoles.using(shells[number], Deadline(60)):
            with lock:
                is_open.append(number)
                most.append(len(is_open))
            if number < 3:
                meet.wait(60)
            with lock:
                is_open.remove(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(20)]
    for thread in threads[:3]:
        thread.start()
    for thread in threads[3:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most) == 3
    assert [shell.suspended for shell in shells] == [1] * 20


def test_it_is_given_back_when_its_user_fails():
    consoles, shell = Consoles(guests=2, limit=1), Shell()
    with pytest.raises(KeyError), consoles.using(shell, Deadline(60)):
        raise KeyError("x")
    with consoles.using(shell, Deadline(60)):
        pass
    assert shell.suspended == 2


def test_the_wait_for_one_ends_with_the_deadline_and_with_a_stop():
    consoles = Consoles(guests=2, limit=1)
    with consoles.using(Shell(), Deadline(60)):
        with (
            pytest.raises(CheckupTimeoutError, match="a console to be free"),
            consoles.using(Shell(), Deadline(0)),
        ):
            pass
        stop = Stop()
        stop.set("interrupted")
        with pytest.raises(InterruptedRunError), consoles.using(Shell(), Deadline(60, stop=stop)):
            pass
