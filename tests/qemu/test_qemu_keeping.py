"""A real guest that is kept: somebody sits down at its console after a run that was stopped in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from begun import begun
from plain import plain
from virtctl import check_usable

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.process import LabProcess

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]
#: Has a plugin that lets the end of a run last as long as it must.
CHECKUPS = ROOT / "tests" / "lab" / "checkup"


@pytest.fixture
def lab(tmp_path):
    process = LabProcess.start("qemu", tmp_path / "lab", 60)
    yield process
    process.stop()


def test_E72_after_a_stop_real_guests_have_consoles_that_a_person_can_use(lab, tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "--kv-kubeconfig",
            lab.kubeconfig,
            "--kv-nad",
            "default/blue-network",
        ),
        *("--kv-nodes", "worker1:worker2", "--kv-keep", "always", "--kv-sample-duration", "60s"),
        *("-p", "patient"),
    ]
    with begun(
        command,
        cwd=tmp_path,
        env={**inherited, **plain(), "PYTHONPATH": os.pathsep.join(map(str, (ROOT, CHECKUPS)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        output = ""
        for line in run.stdout:
            if "pinging" in line and "pinging" not in output:
                run.send_signal(signal.SIGTERM)
            output += line
    assert run.returncode == 2, output
    client = KubeClient.connect(kubeconfig=lab.kubeconfig)
    found = client.request("GET", paths.vmi("default"), deadline=Deadline(60))["items"]
    names = [one["metadata"]["name"] for one in found]
    assert len(names) == 2
    for name in names:
        assert f"virtctl console -n default {name} (user root, no password;" in output
        check_usable(client, "default", name)
