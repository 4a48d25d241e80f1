"""The watchdog in a guest, run by a real shell whose ``poweroff`` only says that it was called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from consolefakes import until

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.guest import watchdog


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Where a machine's programs and files are; ``off`` appears when it powers off."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("poweroff", "halt", "dmesg"):
        (programs / name).write_text(f"#!/bin/sh\n[ {name} = dmesg ] || echo $* >{tmp_path}/off\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(watchdog, "_FILES", f"{tmp_path}/none/first {tmp_path}/second {tmp_path}/third")
    return tmp_path


def boot(machine, seconds, *, wait=False):
    """Do what cloud-init does with a ``bootcmd``; ``wait`` for what it starts in the background."""
    command = watchdog.boot_command(seconds) + (" wait" if wait else "")
    subprocess.run(["sh", "-c", command], check=True, cwd=machine)


def process_of(machine):
    """The process id of the run's watchdog."""
    number, boot_id = (machine / "second").read_text().split()
    assert boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (machine / "third").read_text() == (machine / "second").read_text()
    return int(number)


def test_E92_what_boots_powers_itself_off(machine):
    (machine / "second").write_text("1 of-an-earlier-boot\n")
    boot(machine, 1)
    until((machine / "off").exists)


def test_E92_once_logged_into_a_guest_outlives_the_watchdog_of_its_boot(machine, make_guest, make_shell):
    shell = make_shell(make_guest("dash -i").connect, become_root="")
    assert watchdog.arm(shell, 60, deadline=Deadline(60))
    # cloud-init may come to it after the login.
    boot(machine, 1, wait=True)
    assert not (machine / "off").exists()
    shell.run(f"kill {process_of(machine)}")


def test_E60_a_second_watchdog_takes_the_place_of_the_first(machine, make_guest, make_shell):
    shell = make_shell(make_guest("dash -i").connect, become_root="")
    assert watchdog.arm(shell, 30, deadline=Deadline(60))
    first = process_of(machine)
    shell.suspend()
    assert watchdog.arm(shell, 30, deadline=Deadline(60))
    second = process_of(machine)
    assert first != second
    # A signal is on its way for a while; then it is gone, or a zombie that nobody has waited for yet.
    shell.run(f"while grep -q '^State:.*[RSD] ' /proc/{first}/status 2>/dev/null; do :; done")
    assert shell.run(f"kill -0 {second} && kill {second}").exit_status == 0


def test_E92_what_an_earlier_boot_left_is_no_process_to_kill(machine, make_guest, make_shell):
    shell = make_shell(make_guest("dash -i").connect, become_root="")
    (machine / "second").write_text(f"{os.getpid()} of-an-earlier-boot\n")
    assert watchdog.arm(shell, 30, deadline=Deadline(60))
    shell.run(f"kill {process_of(machine)}")


def test_E92_a_guest_that_can_write_no_file_keeps_the_watchdog_of_its_boot(
    machine, monkeypatch, make_guest, make_shell
):
    monkeypatch.setattr(watchdog, "_FILES", f"{machine}/none/first {machine}/none/second")
    shell = make_shell(make_guest("dash -i").connect, become_root="")
    assert not watchdog.arm(shell, 1, deadline=Deadline(60))
    boot(machine, 2)
    until((machine / "off").exists)
