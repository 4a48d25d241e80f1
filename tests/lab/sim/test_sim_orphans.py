"""What is left when the process of the lab is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_LAB = """
import asyncio, sys
from pathlib import Path
from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import GuestRequest
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.spec import LabSpec

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
            guest.write(b"root\\rnohup setsid sh -c 'sleep 900; poweroff' >/dev/null 2>&1 & "
                        b"sleep 800 & sleep 0.2; echo =rea''dy=; ping 127.0.0.1\\r")
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


def test_E60_a_killed_lab_leaves_no_process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", _LAB, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        assert len(_left(tmp_path)) >= 4
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _left(tmp_path):
        assert time.monotonic() < deadline, "processes outlive the lab"
        time.sleep(0.02)
