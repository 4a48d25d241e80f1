"""One lab of simulated guests for all plugin tests, reached by its kubeconfig as a cluster is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import lazy
import pytest

from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.process import LabProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

lazy.load()

QUICK = ("--kv-sample-duration", "500ms", "--kv-warmup", "0")
LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  default/blue-network: {latency: 100us}
  default/red-network: {latency: 200us}
  default/slow-network: {latency: 30ms}
  default/cut-network: {partition: true}
  default/lossy-network: {loss: 20%}
seed: 7
boot: 100ms
time_scale: 20
"""


@contextmanager
def _running(directory: Path, text: str) -> Iterator[LabProcess]:
    spec = directory / "lab.yaml"
    spec.write_text(text, encoding="utf-8")
    process = LabProcess.start(str(spec), directory / "run", 60)
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session")
def running_lab() -> Callable[[Path, str], AbstractContextManager[LabProcess]]:
    """Run a lab in a directory, as the text of its file says, as long as one is in its context."""
    return _running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    with _running(tmp_path_factory.mktemp("lab"), LAB) as process:
        yield process


@pytest.fixture(scope="session")
def unhurried_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """The same lab without compressed time, in which neither migrations nor streams can be measured."""
    with _running(tmp_path_factory.mktemp("unhurried"), LAB.replace("time_scale: 20", "")) as process:
        yield process


@pytest.fixture
def kubeconfig(lab: LabProcess) -> Path:
    return lab.kubeconfig


class Checkup:
    """Runs pytest with the plugin against the lab, in a directory of its own."""

    def __init__(self, pytester: pytest.Pytester, kubeconfig: Path) -> None:
        self.pytester = pytester
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(f"--kv-kubeconfig={self.kubeconfig}", *arguments)

    def quick(self, *arguments: str) -> pytest.RunResult:
        """A short sample, and the result in ``document``."""
        return self.run(*QUICK, "--kv-json", "result.json", *arguments)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.pytester.path / "result.json").read_text("utf-8"))
        return document

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        """How each attempt ended, and why."""
        return [(one["outcome"], one["failureKind"]) for one in self.document["measurements"]]


@pytest.fixture
def checkup(pytester: pytest.Pytester, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Checkup:
    monkeypatch.setenv("COLUMNS", "200")
    return Checkup(pytester, kubeconfig)


class Maps:
    """ConfigMaps of the lab."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = KubeClient.connect(kubeconfig=kubeconfig, context=None, stop=Stop())
        self._path = "/api/v1/namespaces/default/configmaps"

    def make(self, name: str, data: dict[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        self._client.request("POST", self._path, body=body, deadline=Deadline(60))

    def data(self, name: str) -> dict[str, str]:
        found = self._client.request("GET", f"{self._path}/{name}", deadline=Deadline(60))
        return dict(found.get("data") or {})

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def maps(kubeconfig: Path) -> Iterator[Maps]:
    found = Maps(kubeconfig)
    yield found
    found.close()


class Namespace:
    """What is in the namespace of the checks."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def request(self, method: str, path: str) -> dict[str, Any]:
        return self._client.request(method, path, deadline=Deadline(60), ok_missing=True)

    @property
    def vmis(self) -> list[str]:
        return self._names(paths.vmi("default"))

    @property
    def migrations(self) -> list[str]:
        return self._names(paths.migration("default"))

    def _names(self, path: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.request("GET", path)["items"]]


@pytest.fixture
def namespace(kubeconfig: Path) -> Iterator[Namespace]:
    client = KubeClient.connect(kubeconfig=kubeconfig, context=None, stop=Stop())
    yield Namespace(client)
    client.close()
