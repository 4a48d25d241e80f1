"""What is under way, for the progress line and for what a signal cuts off."""

from __future__ import annotations

from pytest_kvlatency.deadline import Stop
from pytest_kvlatency.engine.activity import Activity
from pytest_kvlatency.engine.steps import Wait


def test_two_steps_are_shown_and_the_others_counted():
    activity = Activity(Stop())
    with (
        activity.doing("a", "setup", "booting a") as say_a,
        activity.doing("b", "setup", "booting b") as say_b,
    ):
        assert activity.words == ""
        say_a("booting")
        say_b("creating")
        with activity.doing("c", "run", "pinging") as say_c:
            say_c("pinging")
            assert activity.words == "a: booting; b: creating; and 1 more"
        assert activity.words == "a: booting; b: creating"
    assert activity.words == ""


def test_the_step_of_a_check_is_the_first_that_is_under_way_or_that_it_waits():
    activity = Activity(Stop())
    with activity.doing("guest", "setup", "booting"):
        assert activity.step_of(["check", "guest"]).during == "booting"
        with activity.doing("check", "run", "preparing") as say:
            say("pinging", during="pinging b from a")
            assert activity.step_of(["check", "guest"]).during == "pinging b from a"
    assert activity.step_of(["check", "guest"]).during == "waiting for its turn"


def test_E59_what_a_signal_cuts_off_stays_as_it_was():
    stop = Stop()
    activity = Activity(stop)
    with activity.doing("check", "run", "pinging") as say:
        stop.set("interrupted by SIGTERM")
        say("confirming", during="confirming")
    with activity.doing("other", "run", "pinging"):
        pass
    assert activity.step_of(["other", "check"]).during == "pinging"
    assert activity.step_of(["other"]).during == "waiting for its turn"


def test_a_phase_is_waited_for_since_it_began():
    now = 10.0
    activity = Activity(Stop(), clock=lambda: now)
    with activity.doing("guest", "setup", "setting up", who="worker6") as say:
        say("Scheduling")
        now = 18.0
        say("Scheduling", during="waiting for worker6's guest to start")
        assert activity.waits == [Wait(who="worker6", phase="Scheduling", seconds=8.0)]
        say("booting and logging in", phase="booting")
        assert activity.waits == [Wait(who="worker6", phase="booting", seconds=0.0)]
    assert activity.waits == []


def test_guests_on_their_way_come_before_measurements_that_go_on():
    activity = Activity(Stop(), clock=lambda: 0.0)
    with activity.doing("check", "run", "pinging", who="worker1→worker2") as ping:
        ping("pinging 198.18.0.2, 10 times", phase="pinging")
        assert [one.who for one in activity.waits] == ["worker1→worker2"]
        with activity.doing("guest", "setup", "booting", who="worker6") as boot:
            boot("Pending")
            assert [one.who for one in activity.waits] == ["worker6"]
