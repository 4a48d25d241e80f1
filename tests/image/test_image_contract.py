"""What of the ConfigMap contract is the container's, case by case, in the image: the documented Jobs, and variables.

The cases: tests/contract/. What a ConfigMap means is the same in a process, where tests/lab/contract/ runs all of them.
"""

from __future__ import annotations

import signal
from urllib.parse import urlsplit

import pytest
import yaml
from containers import API_HOST, API_PORT, Mount, Node, Security
from kvcontract import Case, Launch, Stage, load
from kvcontract.cases import FOLDER
from kvcontract.running import Ended
from kvcontract.stage import audit_of
from podspec import TOKEN_DIRECTORY

from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.process import LabProcess

pytestmark = pytest.mark.image


class ContainerRun:
    """A checkup that is a container."""

    def __init__(self, container):
        self._container = container

    def terminate(self):
        self._container.send(signal.SIGTERM)

    def has_ended(self):
        return self._container.status is not None

    def wait(self):
        return Ended(exit_status=self._container.wait(), log=self._container.output)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = LabProcess.start(str(FOLDER / "lab.yaml"), tmp_path_factory.mktemp("lab"), 60)
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def stage(lab):
    return Stage(KubeClient.connect(kubeconfig=lab.kubeconfig), audit_of(lab.directory / "audit.jsonl"))


@pytest.fixture
def runner(image, lab, tmp_path):
    """Start the image with what a Job's container has: read-only, as a user that nobody knows."""
    server = urlsplit(yaml.safe_load(lab.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    node = Node(tmp_path, (server.hostname, server.port))

    def start(launch: Launch) -> ContainerRun:
        files = node.empty_dir()
        (files / "token").write_text(launch.token)
        (files / "namespace").write_text(launch.namespace)
        (files / "ca.crt").write_bytes((lab.directory / "ca.crt").read_bytes())
        service = {"KUBERNETES_SERVICE_HOST": API_HOST, "KUBERNETES_SERVICE_PORT": str(API_PORT)}
        return ContainerRun(
            node.start(
                image,
                [*image.config["Entrypoint"], *launch.arguments],
                environment={**image.environment, **service, **launch.environment},
                mounts=[
                    Mount(path="/tmp"),
                    Mount(path=TOKEN_DIRECTORY, source=files, read_only=True),
                ],
                security=Security(uid=1000660000),
                hostname=launch.environment.get("HOSTNAME", "checkup"),
            )
        )

    yield start
    node.close()


@pytest.mark.parametrize(
    "case", load(files=("documented.yaml", "environment.yaml")), ids=lambda case: case.id
)
def test_the_contract_in_the_image(stage: Stage, runner, case: Case) -> None:
    stage.play(case, runner)
