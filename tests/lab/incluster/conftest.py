"""Jobs in a cluster: the manifests, kubectl, and a lab in which Jobs run."""

from __future__ import annotations

import os
import shutil
import subprocess

import forking
import jobcontroller
import pytest
from administrator import Administrator

LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  default/blue-network: {latency: 200us, jitter: 20us}
  default/cut-network: {partition: true}
seed: 7
boot: 100ms
time_scale: 20
"""


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """One lab for all tests; each removes what it has made."""
    directory = tmp_path_factory.mktemp("lab")
    (directory / "lab.yaml").write_text(LAB, encoding="utf-8")
    process = forking.lab(directory / "lab.yaml", directory / "run")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def administrator(lab, tmp_path_factory):
    """The lab as its administrator sees it."""
    return Administrator(lab, tmp_path_factory.mktemp("administrator"), "default")


@pytest.fixture(scope="session")
def environment(lab, tmp_path_factory):
    """What kubectl finds: a home in which it keeps what the lab has told it of its kinds."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "KUBECONFIG": str(lab.kubeconfig),
        # It ends before its collector has cleared away what that costs.
        "GOGC": "off",
    }


@pytest.fixture(scope="session")
def kubectl(environment):
    """kubectl against the lab, as its administrator."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")

    def run(*arguments, check=True, program="kubectl", stdin=None):
        done = subprocess.run(
            [program, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture
def jobs(lab, tmp_path):
    """Every Job of the lab is run."""
    if not jobcontroller.can_run_containers():
        pytest.skip("mounts of its own are not permitted to a process here")
    controller = jobcontroller.JobController(lab, tmp_path / "jobs")
    yield controller
    controller.close()
    assert controller.problems == []
