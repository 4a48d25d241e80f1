"""What is left when the process of the lab is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from begun import begun

_LAB = """
import asyncio, sys
from pathlib import Path
from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import GuestRequest
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.spec.labspec import LabSpec

async def main():
    spec = LabSpec(time_scale=100.0)
    hypervisor = SimHypervisor(spec=spec, links=LinkTable(spec), directory=Path(sys.argv[1]))
    await hypervisor.open()
    guest = hypervisor.create(
        GuestRequest(namespace="d", name="vm", uid="1", node="w", hostname="vm", nics=[])
    )
    seen = b""
    def take(data):
        nonlocal seen
        seen += data
        if b"=ready=" in seen:
            print("ready", flush=True)
        elif seen.endswith(b"login: "):
            guest.write(b"root\\r" + sys.argv[2].encode() + b"; echo =rea''dy=; ping 127.0.0.1\\r")
    guest.attach(take)
    await guest.start()
    await guest.wait_exit()

asyncio.run(main())
"""


def _environment(process):
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def _left(directory):
    mark = f"KVLAB={directory}".encode()
    return [p.name for p in Path("/proc").iterdir() if p.name.isdecimal() and mark in _environment(p)]


def _until(met, otherwise):
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


# In the background, out of the session, deaf to all that can be ignored, and waiting for what never comes.
_PROGRAMS = """\
mkfifo never; (trap '' HUP INT TERM QUIT; exec setsid sh -c 'read none <never') & \
nohup setsid sh -c 'sleep 900; poweroff' >/dev/null 2>&1 & sleep 800 & sleep 0.2"""


@pytest.mark.parametrize("command", [(), ("nohup",)], ids=["plain", "nohup"])
def test_E60_a_killed_lab_leaves_no_process(tmp_path, command):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with begun(
        [*command, sys.executable, "-c", _LAB, str(tmp_path), _PROGRAMS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        # The last of them is started by another one of them.
        _until(lambda: len(_left(tmp_path)) >= 5, "not all programs were started")
        process.send_signal(signal.SIGKILL)
    _until(lambda: not _left(tmp_path), "processes outlive the lab")


def test_a_guests_programs_ignore_no_signal_that_the_lab_ignores(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    report = "grep ^SigIgn /proc/self/status >ignored"
    with begun(
        ["nohup", sys.executable, "-c", _LAB, str(tmp_path), report],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        (found,) = tmp_path.glob("sim/guest-*/root/ignored")
        ignored = int(found.read_text().split()[1], 16)
    assert not ignored & 1 << signal.SIGHUP - 1
    assert not ignored & 1 << signal.SIGPIPE - 1
