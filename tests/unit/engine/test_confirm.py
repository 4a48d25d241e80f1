"""What a loss is blamed on: a guest that is silent on an open console, never a console that cannot be had."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.console.outcomes import ConnectionLost
from pytest_kvlatency.console.shell import Shell
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine import measuring
from pytest_kvlatency.engine.measuring import Measurer
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, InterruptedRunError, ProvisionError
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.threads import Threads


class Silent:
    """A console that is open, and says one word only."""

    def __init__(self):
        self._said = [b"Booting\r\n"]

    def read(self, seconds):
        if self._said:
            return self._said.pop()
        time.sleep(min(seconds, 0.01))
        return b""

    def write(self, data):
        pass

    def close(self):
        pass


def target(connect, monkeypatch, seconds=1.0):
    monkeypatch.setattr(measuring, "CONFIRM_SECONDS", seconds)
    shell = Shell(connect, LoginProfile(), name="ns/target")
    return SimpleNamespace(shell=shell, handle="ns/target", boot_id="", node="worker2")


def refusing(error):
    def connect(deadline):
        raise error

    return connect


def test_E55_a_guest_that_is_silent_on_an_open_console_is_the_cause(monkeypatch):
    guest = target(lambda deadline: Silent(), monkeypatch)
    with pytest.raises(
        GuestError, match="were lost, and its guest does not answer on its console either"
    ) as caught:
        Measurer.confirm(guest, Deadline(60))
    assert caught.value.kind == "guest"
    assert "--kv-timeout" not in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        CheckupTimeoutError("timed out waiting for the console (last answer: 503)"),
        ApiUnavailableError("no answer", status=503, api_reason="", message=""),
        GuestError("the console was lost 4 times while its guest runs"),
        ConnectionLost("gone"),
    ],
)
def test_a_console_that_cannot_be_had_changes_no_measurement(monkeypatch, error):
    guest = target(refusing(error), monkeypatch)
    note = Measurer.confirm(guest, Deadline(60))
    assert note.startswith("could not tell whether the guest of VMI ns/target is alive: ")


def test_a_target_whose_console_the_test_uses_is_not_blamed(monkeypatch):
    guest, stop = target(lambda deadline: Silent(), monkeypatch), Stop()
    using = Threads(1, "test").submit(lambda: guest.shell.run("tcpdump", stop=stop))
    while not guest.shell.is_in_use:
        assert not using.done()
    assert Measurer.confirm(guest, Deadline(60)).endswith("is alive: the test uses its console")
    stop.set("SIGTERM")
    assert isinstance(using.exception(timeout=60), InterruptedRunError)


def test_a_target_is_not_blamed_for_the_end_of_the_checkups_time(monkeypatch):
    guest = target(lambda deadline: Silent(), monkeypatch, seconds=30.0)
    assert "could not tell whether the guest of VMI " in Measurer.confirm(guest, Deadline(0.3))


def test_a_vmi_that_has_ended_is_the_cause(monkeypatch):
    guest = target(refusing(ProvisionError("VMI ns/target failed (phase Failed)")), monkeypatch)
    with pytest.raises(ProvisionError, match="phase Failed"):
        Measurer.confirm(guest, Deadline(60))
