"""Which of many VMIs are looked at, and when, in time that passes as fast as it is waited for."""

from __future__ import annotations

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.polls import Turns, polls
from pytest_kvlatency.kube.state import VmiHandle, VmiState


class Clock(Deadline):
    now = 0.0

    def pause(self, seconds, waiting_for):
        self.now += seconds


def looked_at(gone_at, *, seconds=1e6):
    """How often VMIs were looked at until all were gone, each at its time, and when that was."""
    clock = Clock(seconds)
    handles = [
        VmiHandle(namespace="ns", name=f"vmi-{number}", uid=str(number)) for number in range(len(gone_at))
    ]
    ends = dict(zip(handles, gone_at, strict=True))

    def get_state(handle, deadline):
        return None if clock.now >= ends[handle] else VmiState(uid=handle.uid)

    found = list(polls(get_state, handles, clock, "VMIs to be deleted"))
    assert sorted(handle.name for handle, state in found if state is None) == sorted(
        one.name for one in handles
    )
    return [handle.name for handle, _ in found], clock.now


def test_two_vmis_that_take_ten_seconds_cost_few_requests():
    looks, ended = looked_at([10, 10])
    assert len(looks) <= 12
    assert ended <= 12.1


def test_hundreds_that_go_one_by_one_cost_a_bounded_number_of_looks_each():
    looks, _ = looked_at([1.0 + number / 10 for number in range(300)])
    assert len(looks) <= 21 * 300


def test_once_one_is_gone_all_the_others_are_looked_at_without_a_pause():
    looks, ended = looked_at([99, 0.1, 0.1, 0.1])
    assert looks[:6] == ["vmi-0", "vmi-1", "vmi-2", "vmi-3", "vmi-0", "vmi-0"]
    assert 99 <= ended <= 101.1


def test_a_round_looks_at_half_and_at_the_rest_once_one_has_come_as_far():
    turns = Turns("abcde")
    assert list(turns) == ["a", "b", "c"]
    turns = Turns("abcde")
    seen = []
    for one in turns:
        seen.append(one)
        if one == "b":
            turns.hurry()
    assert seen == ["a", "b", "c", "d", "e"]
    assert not turns
