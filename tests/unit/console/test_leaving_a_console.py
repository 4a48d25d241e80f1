"""A guest that stays when the run is over: its terminal is a person's again."""

import time

import pytest

from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import InterruptedRunError
from pytest_kvlatency.threads import Threads

pytestmark = pytest.mark.smoke

SHELLS = ("dash -i", "bash --norc --noprofile -i", "busybox sh -i")


def says(guest, typed, awaited):
    """Type as a person does, and wait for the answer."""
    console = guest.connect()
    console.write(typed)
    seen, until = b"", time.monotonic() + 60
    while awaited not in seen:
        assert time.monotonic() < until, seen
        seen += console.read(0.2)
    return seen.partition(awaited)[0].decode()


def settings(guest):
    says(guest, b"echo he''re\r", b"here\r\n")
    return says(guest, b"stty -a; echo en''d\r", b"end\r\n").partition("speed ")[2]


@pytest.mark.parametrize("command", SHELLS)
def test_its_terminal_is_as_it_was_found(make_guest, make_shell, command):
    guest = make_guest(command, columns=132)
    before = settings(guest)
    shell = make_shell(guest.connect)
    shell.run("stty rows 10 <&1; true")
    shell.suspend()
    assert shell.run("stty size <&1").output == "100 4096"
    shell.leave(Deadline(60))
    assert not shell.is_open
    assert settings(guest) == before
    shell.leave(Deadline(60))
    assert not shell.is_open


@pytest.mark.parametrize("command", SHELLS)
def test_enter_works_where_getty_does_not_have_it_translated(make_guest, make_shell, command):
    guest = make_guest(command)
    says(guest, b"stty -icrnl; echo se''t\r", b"set\r\n")
    shell = make_shell(guest.connect)
    shell.run("true")
    shell.leave(Deadline(60))
    assert "-icrnl" not in settings(guest)
    # What is typed ahead of a program was read by the shell's line editor.
    says(guest, b"echo rea''dy; read line\r", b"ready\r\n")
    says(guest, b"typed\r", b"typed\r\n")
    says(guest, b"echo =$line=\r", b"=typed=\r\n")


@pytest.mark.parametrize("command", SHELLS)
def test_what_was_running_is_interrupted_first(make_guest, make_shell, command):
    guest = make_guest(command)
    before = settings(guest)
    shell = make_shell(guest.connect)
    shell.run("true")
    stop = Stop()
    running = Threads(1, "test").submit(lambda: shell.run("sleep 600", stop=stop))
    while not shell.is_in_use:
        assert not running.done()
    left = Threads(1, "test").submit(shell.leave, Deadline(60))
    stop.set("interrupted by SIGTERM")
    assert isinstance(running.exception(timeout=60), InterruptedRunError)
    left.result(timeout=60)
    assert settings(guest) == before


def test_what_an_earlier_run_was_kept_from_undoing_is_undone(make_guest, make_shell):
    guest = make_guest("busybox sh -i")
    before = make_shell(guest.connect)
    before.run("true")
    after = make_shell(guest.connect)
    after.run("true")
    after.leave(Deadline(60))
    assert "rows 24; columns 80" in settings(guest)


def test_a_guest_without_stty_and_one_that_hears_nothing_are_left_as_they_are(make_guest, make_shell):
    shell = make_shell(make_guest().connect)
    shell.run("stty() { return 127; }")
    shell.leave(Deadline(60))
    deaf = make_guest()
    shell = make_shell(deaf.connect)
    shell.run("true")
    deaf.connection.write = lambda data: None
    began = time.monotonic()
    shell.leave(Deadline(0.5))
    assert time.monotonic() - began < 30
    assert not shell.is_open


def test_nothing_is_typed_where_no_shell_was_ever_seen(make_guest, make_shell):
    guest = make_guest()
    make_shell(guest.connect).leave(Deadline(60))
    assert guest.connection is None
