"""One budget through every wait: by the monotonic clock, only while somebody waits, ended early by a stop."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from pytest_kvlatency import deadline as module
from pytest_kvlatency.deadline import Backoff, Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The monotonic clock, moved by hand; ``wall`` is what the machine takes for the time of day."""
    hands = SimpleNamespace(now=1000.0, wall=1_700_000_000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: hands.now, time=lambda: hands.wall))
    monkeypatch.setattr(time, "time", lambda: hands.wall)
    return hands


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_E63_a_jump_of_the_machines_clock_changes_no_duration(clock: SimpleNamespace, jump: float) -> None:
    deadline = Deadline(60.0)
    clock.now += 10.0
    clock.wall += jump
    assert deadline.spent() == 10.0
    assert deadline.remaining() == 50.0
    assert not deadline.expired()


def test_the_clock_of_a_paused_deadline_runs_only_while_somebody_waits(clock: SimpleNamespace) -> None:
    deadline = Deadline(60.0, paused=True)
    clock.now += 100.0
    with deadline.running():
        clock.now += 1.0
        with deadline.running():
            clock.now += 2.0
    clock.now += 100.0
    assert deadline.spent() == 3.0


def test_a_limit_never_outlives_its_deadline_and_names_the_longer_time_when_that_is_over(
    clock: SimpleNamespace,
) -> None:
    deadline = Deadline(5.0)
    limit = deadline.limit(60.0)
    clock.now += 4.0
    assert limit.remaining() == 1.0
    clock.now += 1.0
    with pytest.raises(CheckupTimeoutError, match=r"^timed out after 5s waiting for a guest$"):
        limit.check("a guest")


def test_a_stop_ends_every_wait_of_every_limit_and_keeps_its_first_reason() -> None:
    stop = Stop()
    limit = Deadline(60.0, stop=stop).limit(30.0)
    stop.set("interrupted by SIGTERM")
    stop.set("interrupted by SIGINT")
    with pytest.raises(InterruptedRunError, match=r"^interrupted by SIGTERM while waiting for a guest$"):
        limit.pause(30.0, "a guest")


def test_pauses_grow_up_to_the_longest_one_and_have_no_end() -> None:
    backoff = Backoff(first=0.5, longest=3.0)
    pauses = iter(backoff)
    assert [next(pauses) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert [backoff.nth(number) for number in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.nth(5000) == 3.0


def test_a_pause_may_be_followed_by_that_of_another_backoff() -> None:
    slow, brisk = Backoff(first=0.5, longest=6.0, factor=1.5), Backoff(first=0.5, longest=1.0, factor=1.5)
    assert brisk.after(slow.nth(4)) == 1.0
    assert slow.after(brisk.longest) == 1.5
