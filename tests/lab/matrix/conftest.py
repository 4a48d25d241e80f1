"""Whole runs over many nodes, each against a lab of its own, looked at through the API and the lab's record."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

import forking
import pytest
from administrator import Administrator
from plain import plain

ROOT = Path(__file__).parents[3]
NAMESPACE = "default"
ADMINISTRATOR = "kubernetes-admin"
TIMEOUT = 180


class Run:
    """A run that has ended, and what is left to see of it."""

    def __init__(self, directory, status, output, audit):
        self.directory = directory
        self.status = status
        self.output = output
        self.audit = audit

    @property
    def document(self):
        return json.loads((self.directory / "out.json").read_text())

    @property
    def pairs(self):
        """What came of each pair: measurements by ``source:target``."""
        return {
            re.search(r"([^-:]+:[^-:]+)\]$", one["nodeid"])[1]: one for one in self.document["measurements"]
        }

    @property
    def spans(self):
        """When each measurement began and ended: ``(check, start, end)``."""
        return [tuple(one) for one in json.loads((self.directory / "clock.json").read_text())["measured"]]

    @property
    def at_once(self):
        """The largest number of measurements at the same time."""
        starts = [start for _, start, _ in self.spans]
        return max(sum(start <= at < end for _, start, end in self.spans) for at in starts)

    def requests(self, **wanted):
        """The run's requests, of those that look as wanted."""
        return [one for one in self.audit if all(one[key] == value for key, value in wanted.items())]


class Grid(Administrator):
    """A lab, and runs against it."""

    def __init__(self, lab, directory):
        super().__init__(lab, directory, NAMESPACE)

    def run(self, *arguments, kubeconfig=None, tests="", module="pytest_kvlatency", path=ROOT, kept=()):
        """Run to the end, as its user starts it; ``tests`` is a test module's text, ``path`` has plugins.

        ``kept`` names plugins of others that it needs.
        """
        directory = self.directory / self.unused("run")
        directory.mkdir()
        if tests:
            (directory / "test_own.py").write_text(tests, encoding="utf-8")
        given = ["-p", "no:cacheprovider", "-p", "measure_clock", "--kv-json", "out.json"]
        given += ["--kv-kubeconfig", kubeconfig or self.kubeconfig, *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        inherited["KVLATENCY_MEASURE_CLOCK"] = str(directory / "clock.json")
        inherited |= plain(*kept, arguments=arguments)
        inherited["PYTHONPATH"] = os.pathsep.join(map(str, (path, ROOT, ROOT / "benchmarks")))
        seen = len(self.audit())
        command = [sys.executable, "-m", module, *given]
        done = forking.run(command, cwd=directory, env=inherited, timeout=TIMEOUT)
        ours = (ADMINISTRATOR, f"system:serviceaccount:{NAMESPACE}:")
        audit = [one for one in self.audit()[seen:] if str(one["user"]).startswith(ours)]
        return Run(directory, done.returncode, done.stdout, audit)


@pytest.fixture
def grid(tmp_path):
    """Start a lab of so many nodes, or of a specification's text that follows ``nodes:``."""
    started = []

    def start(nodes, more="networks: {default/blue-network: {latency: 200us}}\n", *, time_scale=20):
        directory = tmp_path / f"lab-{len(started)}"
        directory.mkdir()
        spec = directory / "lab.yaml"
        fixed = f"guests: sim\nseed: 7\nboot: 100ms\ntime_scale: {time_scale}\n"
        spec.write_text(f"{fixed}nodes: {nodes}\n{more}", encoding="utf-8")
        lab = forking.lab(spec, directory / "run")
        started.append(lab)
        return Grid(lab, directory)

    yield start
    for lab in started:
        lab.stop()


@pytest.fixture
def counted():
    """Count a run's requests by verb, resource and subresource."""

    def count(run):
        return Counter(
            "/".join(filter(None, (one["verb"], one["resource"], one["subresource"]))) for one in run.audit
        )

    return count
