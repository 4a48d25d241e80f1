"""Runs of pytest with workers against a lab, as processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import forking
from plain import plain

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.client import KubeClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.lab.process import LabProcess

LAB = """
guests: sim
nodes: [worker1, worker2, worker3, worker4]
networks:
  default/blue-network: {latency: 100us}
  default/red-network: {latency: 30ms}
seed: 7
boot: 100ms
time_scale: 20
"""
ROOT = Path(__file__).resolve().parents[3]
VMIS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
WAIT_SECONDS = 150
#: Of 6 pairs.
MESH = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="mesh", sample_duration="1s")
    def test_mesh(kv_latency):
        assert kv_latency.received
"""
# Says which worker is in its body, and stays there until it is told to go on.
HOLDING = """
    import os, pathlib, time
    import pytest

    HERE = pathlib.Path(__file__).parent

    @pytest.mark.kvlatency(nad="default/blue-network", nodes=["worker1:worker2", "worker3:worker4"],
                           sample_duration="500ms")
    @pytest.mark.parametrize("turn", [1, 2])
    def test_it(kv_latency, turn):
        file = HERE / f"body-{os.environ['PYTEST_XDIST_WORKER']}"
        file.write_text(str(os.getpid()))
        until = time.monotonic() + 60
        while not (HERE / "go").exists() and time.monotonic() < until:
            time.sleep(0.05)
"""


@contextmanager
def lab_of(text: str, directory: Path) -> Iterator[LabProcess]:
    """A lab of this file."""
    spec = directory / "lab.yaml"
    spec.write_text(text, encoding="utf-8")
    process = forking.lab(spec, directory / "run")
    try:
        yield process
    finally:
        process.stop()


class Run:
    """One run of pytest against the lab, under way or over.

    With ``is_asked`` options say that it concerns the plugin; without, marks alone do, and there is no document.
    """

    def __init__(
        self, lab: LabProcess, directory: Path, arguments: tuple[str, ...], *, is_asked: bool
    ) -> None:
        self._lab = lab
        self.directory = directory
        self._client = KubeClient.connect(kubeconfig=lab.kubeconfig)
        self._requests_before = len(self._audit())
        self._json = directory / "out.json"
        self._xml = directory / "out.xml"
        self.html = directory / "out.html"
        #: Short enough for a socket's path in it.
        self.temporary = Path(tempfile.mkdtemp(prefix="kv-", dir="/tmp"))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v"]
        command += ["--junitxml", self._xml, "--html", self.html]
        if is_asked:
            command += ["--kv-kubeconfig", lab.kubeconfig, "--kv-json", self._json]
        command += arguments
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self._file = directory / "output"
        environment = {
            **os.environ,
            **plain("xdist", arguments=arguments),
            "PYTHONPATH": path,
            "TMPDIR": str(self.temporary),
            "KUBECONFIG": str(lab.kubeconfig),
        }
        with self._file.open("w") as output:
            self.process = forking.started(
                command, cwd=directory, env=environment, stdout=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._file.read_text(encoding="utf-8")

    def end(self) -> int:
        """Wait for its end; return its exit status. Afterwards ``left`` and ``requests`` are what it left and asked."""
        try:
            status = self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run hangs:\n{self.output}") from None
        self.left = self.vmis()
        asked = self._audit()[self._requests_before :]
        # Of a lab that has just started, its own controllers may still be asking.
        self.requests = [one for one in asked if ":serviceaccount:kubevirt:" not in str(one["user"])]
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._client.close()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def wait_for(self, what: Callable[[], object]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not what():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < until, self.output
            time.sleep(0.05)

    def vmis(self) -> list[str]:
        items = self._client.request("GET", VMIS, deadline=Deadline(30)).get("items") or []
        return [one["metadata"]["name"] for one in items]

    def configmap(self, name: str) -> dict[str, str]:
        path = f"/api/v1/namespaces/default/configmaps/{name}"
        return self._client.request("GET", path, deadline=Deadline(30))["data"]

    def create_configmap(self, name: str, data: dict[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        self._client.request(
            "POST", "/api/v1/namespaces/default/configmaps", body=body, deadline=Deadline(30)
        )

    def _audit(self) -> list[dict[str, object]]:
        text = (self._lab.directory / "audit.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    @property
    def document(self) -> dict[str, object]:
        return json.loads(self._json.read_text(encoding="utf-8"))

    @property
    def outcomes(self) -> dict[str, list[str]]:
        """The pairs by how they ended."""
        found: dict[str, list[str]] = {}
        for one in self.document["measurements"]:
            found.setdefault(one["outcome"], []).append(one["nodes"])
        return found

    def cases(self) -> dict[str, dict[str, str]]:
        """JUnit's cases with their properties; each test has one case."""
        found = [
            (case.attrib["name"], {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")})
            for case in ET.parse(self._xml).getroot().iter("testcase")
        ]
        assert len(found) == len(dict(found))
        return dict(found)

    def workers(self) -> dict[str, str]:
        """Which worker has run which test."""
        found = re.findall(r"^\[(gw\d)\] .* (\S+::\S+)", self.output, re.MULTILINE)
        return {test: worker for worker, test in found}

    def pids(self, name: str) -> dict[str, int]:
        """Which worker has which process, as the tests have noted in files."""
        return {one.name: int(one.read_text()) for one in self.directory.glob(f"{name}-*") if one.read_text()}

    def lose_a_worker(self) -> int:
        """Kill one of two workers while both hold their pairs; return how many VMIs there were."""
        self.wait_for(lambda: len(self.pids("body")) == 2)
        vmis = len(self.vmis())
        os.kill(self.pids("body")["body-gw0"], signal.SIGKILL)
        self.wait_for(lambda: "replacing crashed worker" in self.output)
        return vmis


def passed(output: str) -> int:
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found else 0
