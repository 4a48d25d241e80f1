"""A real guest that hangs in the middle of the sample, while its VMI goes on being Running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]


def processes_of(vmi):
    """The process ids of a VMI's QEMU."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(b"guest=") and vmi.encode() in word for word in words):
            yield int(entry.parent.name)


def test_E55_a_guest_that_hangs_is_no_loss_of_the_networks(tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    arguments = ["--kv-lab=qemu", "--kv-nad", "default/blue-network", "--kv-sample-duration", "12s"]
    output = []
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, "--kv-json", "out.json"],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        for line in run.stdout:
            output.append(line)
            if "pinging" in line:
                (pid,) = processes_of("latency-check-target")
                os.kill(pid, signal.SIGSTOP)
    assert run.returncode == 1, output
    (measurement,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["measurements"]
    assert (measurement["outcome"], measurement["failureKind"]) == ("error", "guest"), output
    assert "were lost, and its guest does not answer on its console either" in measurement["failureReason"]
    assert measurement["targetVmi"] in measurement["failureReason"]
    assert not list(processes_of("latency-check-target"))
