"""Whole runs of pytest against labs of simulated guests. Each module names its lab in ``LAB``.

Faults strike by network, so that one lab serves a whole module: the network of a test is named after its fault, or
after one of two where each guest of a pair has its own, by its node.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import forking
import kubernetes
import lazy
import pytest
from plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_kvlatency.lab.process import LabProcess

lazy.load()

TIMEOUT = 180
#: Ten pings, in simulated time.
SHORT = ("--kv-sample-duration", "1s")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of one run: pytest's result, the JSON document and the API requests that the run itself made."""

    result: pytest.RunResult
    document: dict[str, Any]
    requests: list[dict[str, Any]]

    @property
    def measurements(self) -> list[dict[str, Any]]:
        return self.document["measurements"]

    @property
    def only(self) -> dict[str, Any]:
        (measurement,) = self.measurements
        return measurement

    def requested(self, verb: str, *, code: int | None = None) -> list[str]:
        """The requests with ``verb`` for VMIs, by the names in their paths (``create`` has none)."""
        return [
            one["name"]
            for one in self.requests
            if one["verb"] == verb
            and one["resource"] == "virtualmachineinstances"
            and not one["subresource"]
            and code in (None, one["code"])
        ]

    def consoles(self) -> Counter[str]:
        """How often each VMI's console was opened."""
        return Counter(one["name"] for one in self.requests if one["subresource"] == "console")

    @property
    def stdout(self) -> str:
        return self.result.stdout.str()


class Labs:
    """Starts labs, and runs checkups against them in pytest's own process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, lab: LabProcess, *arguments: str) -> Run:
        audit = lab.directory / "audit.jsonl"
        before = len(audit.read_text(encoding="utf-8").splitlines())
        out = self.pytester.path / "out.json"
        result = self.pytester.runpytest_inprocess(
            "--kv-kubeconfig", str(lab.kubeconfig), "--kv-json", str(out), *arguments
        )
        lines = audit.read_text(encoding="utf-8").splitlines()[before:]
        requests = [json.loads(line) for line in lines]
        return Run(
            result=result,
            document=json.loads(out.read_text(encoding="utf-8")),
            requests=[one for one in requests if not one["user"].startswith("system:")],
        )


def start_lab(spec: str, directory: Path) -> LabProcess:
    file = directory / "lab.yaml"
    file.write_text(spec, encoding="utf-8")
    return forking.lab(file, directory / "run")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """The lab of the module."""
    process = start_lab(request.module.LAB, tmp_path_factory.mktemp("lab"))
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def check(pytester: pytest.Pytester, lab: LabProcess) -> Callable[..., Run]:
    """Run a checkup of the named networks of ``default`` in the module's lab, with more arguments."""

    def run(*networks: str, args: tuple[str, ...] = ()) -> Run:
        nads = [word for name in networks for word in ("--kv-nad", f"default/{name}")]
        return Labs(pytester).run(lab, *nads, *SHORT, *args)

    return run


@pytest.fixture(scope="module")
def measured(lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Run a checkup whose measurements several tests look at, as ``check`` does but in a process of its own.

    Returns what was measured by network and nodes: ``plain worker1:worker2``; or with ``tests``, a test module's text,
    by test: ``own`` for ``test_own``.
    """

    def run(*networks: str, args: tuple[str, ...] = (), tests: str = "") -> dict[str, Any]:
        directory = tmp_path_factory.mktemp("measured")
        module = "pytest" if tests else "pytest_kvlatency"
        if tests:
            (directory / "test_own.py").write_text(tests, encoding="utf-8")
        command = [sys.executable, "-m", module, "-p", "no:cacheprovider", "--kv-json", "out.json"]
        command += ["--kv-kubeconfig", str(lab.kubeconfig), *SHORT]
        command += [word for name in networks for word in ("--kv-nad", f"default/{name}")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = forking.run([*command, *args], cwd=directory, env={**inherited, **plain()}, timeout=TIMEOUT)
        assert (directory / "out.json").exists(), done.stdout
        document = json.loads((directory / "out.json").read_text(encoding="utf-8"))
        entries = {
            re.search(r"::test_(\w+)", one["nodeid"])[1] if tests else f"{one['nad']} {one['nodes']}": one
            for one in document["measurements"]
        }
        assert len(entries) == len(document["measurements"]), done.stdout
        return {name.removeprefix("default/"): one for name, one in entries.items()}

    return run


@pytest.fixture
def leftovers(lab: LabProcess) -> Callable[[], list[str]]:
    """Name the VMIs that the module's lab has now."""

    def names() -> list[str]:
        with kubernetes.config.new_client_from_config(str(lab.kubeconfig)) as client:
            api = kubernetes.client.CustomObjectsApi(client)
            listed = api.list_cluster_custom_object("kubevirt.io", "v1", "virtualmachineinstances")
        return [item["metadata"]["name"] for item in listed["items"]]

    return names


@pytest.fixture
def check_in(pytester: pytest.Pytester, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Run a checkup in a lab of its own, given as YAML."""
    started: list[LabProcess] = []

    def run(spec: str, *arguments: str) -> Run:
        directory = tmp_path / f"lab{len(started)}"
        directory.mkdir()
        started.append(start_lab(spec, directory))
        return Labs(pytester).run(started[-1], *SHORT, *arguments)

    yield run
    for process in started:
        process.stop()
