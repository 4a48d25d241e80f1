"""Consoles that are lost: at any byte, for good, or because the VMI is."""

import pytest
from consolefakes import DroppingTransport, ScriptedTransport, State

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import GuestError, ProvisionError


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.console.shell.PAUSES", Backoff(first=0.0, longest=0.0))


class Dropping:
    """Connections of one guest; the first ones drop as told."""

    def __init__(self, guest, *drops):
        self.guest = guest
        self.drops = list(drops)
        self.made = 0

    def __call__(self, deadline):
        self.made += 1
        if self.drops:
            return DroppingTransport(self.guest, **self.drops.pop(0))
        return self.guest.connect()


@pytest.mark.parametrize("offsets", [range(start, 800, 60) for start in (0, 23, 41)], ids=str)
@pytest.mark.parametrize("direction", ["after_read", "after_written"])
def test_E08_a_drop_at_any_byte_is_survived(make_guest, make_shell, direction, offsets):
    guest = make_guest()
    for offset in offsets:
        connect = Dropping(guest, {direction: offset})
        shell = make_shell(connect)
        result = shell.run("echo one; echo two; (exit 3)", deadline=Deadline(60))
        assert (result.output, result.exit_status) == ("one\ntwo", 3), offset
        shell.suspend()


def test_E08_an_eviction_that_goes_on_is_a_cause_after_three_times(make_guest, make_shell):
    guest = make_guest()
    connect = Dropping(guest, *[{"after_read": 60}] * 10)
    with pytest.raises(
        GuestError, match="lost 4 times while its guest runs: another client opened the console"
    ):
        make_shell(connect).run("echo " + "x" * 500, deadline=Deadline(60))
    assert connect.made == 4


def test_E10_a_command_that_may_not_run_twice_is_not_run_twice(make_guest, make_shell, tmp_path):
    guest = make_guest()
    shell = make_shell(guest.connect)
    shell.run("true")
    connection = guest.connection
    original = connection.read

    def read(timeout):
        data = original(timeout)
        if b"counted" in data:
            connection.is_open = False
        return data

    connection.read = read
    with pytest.raises(GuestError, match=r"lost once .* it is not safe to rerun"):
        shell.run(f"echo x >>{tmp_path}/count; echo count''ed; sleep 1", rerunnable=False)
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "is gone: another client deleted it"),
        (State(phase="Failed"), r"failed \(phase Failed\)"),
        (State(phase="Succeeded"), "was powered off"),
        (State(deleting=True), "is being deleted"),
    ],
)
def test_E55_a_lost_console_of_a_lost_vmi_names_the_vmi(make_guest, make_shell, state, words):
    connect = Dropping(make_guest(), {"after_read": 20})
    with pytest.raises(ProvisionError, match=words):
        make_shell(connect, probe=lambda: state).run("true", deadline=Deadline(60))


def test_E55_a_namesake_is_not_the_vmi(make_guest, make_shell):
    states = [State(uid="a"), State(uid="b")]
    connect = Dropping(make_guest(), {"after_read": 20}, {"after_read": 20})
    with pytest.raises(ProvisionError, match="another VMI has its name"):
        make_shell(connect, probe=lambda: states.pop(0)).run("true", deadline=Deadline(60))


def test_E14_connections_that_end_at_once_are_tried_longer_than_evictions(make_guest, make_shell):
    connect = Dropping(make_guest(), *[{"after_read": 0}] * 8)
    assert make_shell(connect).run("echo on", deadline=Deadline(60)).output == "on"
    assert connect.made == 9


def test_connections_that_always_end_at_once_are_a_cause(make_shell):
    def connect(deadline):
        transport = ScriptedTransport()
        transport.is_open = False
        return transport

    with pytest.raises(GuestError, match="was lost 25 times"):
        make_shell(connect).run("true")
