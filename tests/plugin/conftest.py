"""One lab of simulated guests for all plugin tests, reached by its kubeconfig as a cluster is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.lab.process import LabProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    process = LabProcess.start(str(spec), directory / "run", 30)
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def kubeconfig(lab: LabProcess) -> Path:
    return lab.kubeconfig


class Checkup:
    """Runs pytest with the plugin against the lab, in a directory of its own."""

    def __init__(self, pytester: pytest.Pytester, kubeconfig: Path) -> None:
        self.pytester = pytester
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess("--kv-kubeconfig", str(self.kubeconfig), *arguments)


@pytest.fixture
def checkup(pytester: pytest.Pytester, kubeconfig: Path) -> Checkup:
    return Checkup(pytester, kubeconfig)
