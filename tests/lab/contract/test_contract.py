"""The ConfigMap contract, case by case, as a process that finds what a pod finds. The cases: tests/contract/."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import forking
import pytest
import yaml
from kvcontract import Case, Launch, ProcessRun, Stage, load
from kvcontract.cases import FOLDER
from kvcontract.stage import audit_of
from plain import plain

from pytest_kvlatency.kube.client import KubeClient

#: What a checkup must not find by accident.
KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START", "VIRTUAL_ENV")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = forking.lab(FOLDER / "lab.yaml", tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def stage(lab):
    return Stage(KubeClient.connect(kubeconfig=lab.kubeconfig), audit_of(lab.directory / "audit.jsonl"))


@pytest.fixture
def runner(lab, tmp_path):
    """Start a checkup as the image does, with a ServiceAccount's files, and no kubeconfig."""
    cluster = yaml.safe_load(lab.kubeconfig.read_text())["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])

    def start(launch: Launch) -> ProcessRun:
        files = tmp_path / "serviceaccount"
        files.mkdir(exist_ok=True)
        (files / "token").write_text(launch.token)
        (files / "namespace").write_text(launch.namespace)
        (files / "ca.crt").write_bytes((lab.directory / "ca.crt").read_bytes())
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {
            **plain(),
            "HOME": str(tmp_path),
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "PYTHONPATH": str(Path(__file__).parent),
            "TEST_SERVICE_ACCOUNT": str(files),
        }
        command = [sys.executable, "-m", "pytest_kvlatency", "--kv-configmap=env", "-p", "no:cacheprovider"]
        return ProcessRun(
            [*command, "-p", "podlike", *launch.arguments],
            environment={**environment, **launch.environment},
            directory=tmp_path,
            start=forking.started,
        )

    return start


@pytest.mark.parametrize("case", load(), ids=lambda case: case.id)
def test_the_contract(stage: Stage, runner, case: Case) -> None:
    stage.play(case, runner)
