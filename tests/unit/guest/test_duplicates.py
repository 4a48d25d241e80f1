"""The look for another machine with a guest's address, run by real shells whose ``ip`` and ``arping`` are told what to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.guest import duplicates

MAC, ADDRESS = "02:00:00:00:00:0a", "198.18.0.7"
LINKS = f"1: lo: <LOOPBACK,UP> link/loopback 00:00:00:00:00:00\n2: ens3@if7: <UP,LOWER_UP> mtu 1500 link/ether {MAC} brd ff"
# BusyBox' shell would run its own ip and arping.
SHELLS = [("dash",), ("bash", "--posix")]


class Machine:
    """Where a guest's programs and files are; ``arping`` notes its arguments, and does what it is told."""

    def __init__(self, directory, shell):
        self.directory = directory
        self.shell = shell
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.program("ip", f"cat <<'END'\n{LINKS}\nEND")

    def program(self, name, body):
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def arping(self, body):
        self.program("arping", f'echo "$*" >>{self.directory}/probes\n{body}')

    @property
    def probes(self):
        path = self.directory / "probes"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, command):
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        made = subprocess.run(
            [*self.shell, "-c", command],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        return CommandResult(output=made.stdout + made.stderr, exit_status=made.returncode)

    def boot(self, then=" wait"):
        """Do what cloud-init does with a ``bootcmd``; wait for what it starts in the background."""
        assert self.run(duplicates.boot_command(MAC, ADDRESS) + then).output == ""

    def ask(self, address=ADDRESS, interface="ens3"):
        return duplicates.is_answered(self.run, interface, address, become_root="")


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def machine(tmp_path, monkeypatch, request):
    monkeypatch.setattr(duplicates, "_FILES", f"{tmp_path}/none/first {tmp_path}/second {tmp_path}/third")
    return Machine(tmp_path, request.param)


@pytest.mark.parametrize("silence", ["exec sleep 60", "exit 0"])
def test_E20_silence_while_a_guest_boots_is_enough(machine, silence):
    machine.arping(silence)
    machine.boot()
    machine.arping("exit 1")
    assert machine.ask() == (False, "")
    assert machine.probes == [f"-D -f -q -I ens3 -c 2 -w 1 {ADDRESS}"]


def test_E20_an_answer_while_a_guest_boots_is_asked_for_again(machine):
    machine.arping("exit 1")
    machine.boot()
    assert machine.ask() == (True, "")
    assert len(machine.probes) == 3
    machine.arping("exit 0")
    assert machine.ask() == (False, "")


def test_E20_a_probe_that_began_while_the_guest_booted_is_waited_for(machine):
    machine.arping(f"mkfifo {machine.directory}/end; read end <{machine.directory}/end; exit 0")
    machine.boot(then="")
    machine.run(
        f"while [ ! -p {machine.directory}/end ] || ! grep asking {machine.directory}/third; do :; done"
    )
    asked = subprocess.Popen(
        [*machine.shell, "-c", duplicates._was_silent(ADDRESS)], env={"PATH": os.environ["PATH"]}
    )
    machine.run(f"echo >{machine.directory}/end")
    assert asked.wait(60) == 0


def test_E20_silence_for_another_address_or_in_an_earlier_boot_proves_nothing(machine):
    machine.arping("exit 0")
    machine.boot()
    machine.arping("exit 1")
    assert machine.ask("198.18.0.8") == (True, "")
    for name in ("second", "third"):
        path = machine.directory / name
        path.write_text(path.read_text().replace(boot_id(), "of-an-earlier-boot"))
    assert machine.ask() == (True, "")


@pytest.mark.parametrize("missing", ["ip", "arping"])
def test_E20_a_guest_that_cannot_look_while_it_boots_is_asked_over_its_console(machine, missing):
    machine.arping("exit 2")
    machine.program(missing, "exit 127")
    machine.boot()
    machine.arping("exit 0")
    before = len(machine.probes)
    assert machine.ask() == (False, "")
    assert len(machine.probes) > before


def test_E20_silence_without_a_carrier_proves_nothing(machine):
    machine.program("ip", f"cat <<'END'\n{LINKS.replace(',LOWER_UP', '')}\nEND")
    machine.arping("exit 0")
    machine.boot()
    assert machine.probes == []
    machine.arping("exit 1")
    assert machine.ask() == (True, "")


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
