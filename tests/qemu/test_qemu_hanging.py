"""A real guest that hangs, or reboots, in the middle of the sample, while its VMI goes on being Running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from begun import begun, until_gone
from plain import plain

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]


def processes_of(vmi, ancestor):
    """The process ids of a VMI's QEMU, among what ``ancestor`` has started."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(entry.parent.name)
        if any(word.startswith(b"guest=") and vmi.encode() in word for word in words) and descends(
            pid, ancestor
        ):
            yield pid


def descends(pid, ancestor):
    while pid not in {0, 1, ancestor}:
        try:
            # The name in parentheses may hold anything; the state and the parent follow it (proc(5)).
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            return False
    return pid == ancestor


# The target counts the ICMP messages that reach it, and goes down in the middle of the sample.
REBOOTING = """
from pytest_kvlatency.engine import measuring

# However long it takes to come up again.
measuring.CONFIRM_SECONDS = 240.0
RUN = "while :; do set -- $(grep ^Icmp: /proc/net/snmp | tail -1); [ $2 -lt 20 ] || reboot -f; sleep 1; done &"

def pytest_kvlatency_vmi_manifest(manifest):
    if "target" in manifest["metadata"]["name"]:
        (volume,) = [one for one in manifest["spec"]["volumes"] if "cloudInitNoCloud" in one]
        volume["cloudInitNoCloud"]["userData"] = "#cloud-config\\nruncmd:\\n  - '" + RUN + "'\\n"
"""
OWNING = """
def test_it(kv_pair, kv_latency):
    raise AssertionError("nobody measured a network here")
"""


def start(folder, *arguments):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return begun(
        [
            *(sys.executable, "-m", "pytest", "--kv-lab=qemu", "--kv-nad", "default/blue-network"),
            *("--kv-json", "out.json", *arguments),
        ],
        cwd=folder,
        env={**inherited, **plain(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def only_measurement(folder):
    (measurement,) = json.loads((folder / "out.json").read_text(encoding="utf-8"))["measurements"]
    return measurement


def test_E55_a_guest_that_hangs_is_no_loss_of_the_networks(tmp_path):
    output, hung = [], None
    with start(tmp_path, "--kv-sample-duration", "12s") as run:
        for line in run.stdout:
            output.append(line)
            if "pinging" in line:
                (hung,) = processes_of("latency-check-target", run.pid)
                os.kill(hung, signal.SIGSTOP)
    assert run.returncode == 1, output
    measurement = only_measurement(tmp_path)
    assert (measurement["outcome"], measurement["failureKind"]) == ("error", "guest"), output
    assert "were lost, and its guest does not answer on its console either" in measurement["failureReason"]
    assert measurement["targetVmi"] in measurement["failureReason"]
    until_gone(hung)


def test_E55_a_guest_that_reboots_is_no_loss_of_the_networks_for_a_test_that_owns_it_either(tmp_path):
    (tmp_path / "conftest.py").write_text(REBOOTING, encoding="utf-8")
    (tmp_path / "test_owning.py").write_text(OWNING, encoding="utf-8")
    with start(tmp_path, "--kv-sample-duration", "10s") as run:
        output, _ = run.communicate()
    assert run.returncode == 1, output
    measurement = only_measurement(tmp_path)
    assert (measurement["outcome"], measurement["failureKind"]) == ("error", "guest"), output
    assert "were lost, and its guest has rebooted since it was set up" in measurement["failureReason"]
    assert measurement["targetVmi"] in measurement["failureReason"]
