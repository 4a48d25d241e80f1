"""Whole runs over many nodes, each against a lab of its own, looked at through the API and the lab's record."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.process import LabProcess

ROOT = Path(__file__).parents[3]
NAMESPACE = "default"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
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


class Grid:
    """A lab, and runs against it."""

    def __init__(self, lab, directory):
        self._lab = lab
        self._directory = directory
        self._count = itertools.count()
        self.kubeconfig = lab.kubeconfig
        self.admin = KubeClient.connect(kubeconfig=lab.kubeconfig)

    def request(self, method, path, body=None, **more):
        return self.admin.request(method, path, body=body, deadline=Deadline(20), **more)

    def vmis(self):
        """Names of the VMIs that nobody has asked to go."""
        items = self.request("GET", paths.vmi(NAMESPACE)).get("items", [])
        return [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]

    def account(self, rules):
        """Make a ServiceAccount with a Role of these rules; return a kubeconfig of its token."""
        name = f"account-{next(self._count)}"
        core = paths.namespaced(paths.CORE, NAMESPACE, "serviceaccounts")
        meta = {"metadata": {"name": name}}
        self.request("POST", core, {"apiVersion": "v1", "kind": "ServiceAccount", **meta})
        group = {"apiVersion": "rbac.authorization.k8s.io/v1", **meta}
        self.request("POST", f"{RBAC}/roles", {**group, "kind": "Role", "rules": rules})
        binding = {
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        }
        self.request("POST", f"{RBAC}/rolebindings", {**group, **binding})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.request("POST", f"{core}/{name}/token", asked)["status"]["token"]
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        path = self._directory / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def run(self, *arguments, kubeconfig=None, tests="", module="pytest_kvlatency"):
        """Run to the end, as its user starts it; ``tests`` is a test module's text."""
        directory = self._directory / f"run-{next(self._count)}"
        directory.mkdir()
        if tests:
            (directory / "test_own.py").write_text(tests, encoding="utf-8")
        given = ["-p", "no:cacheprovider", "-p", "measure_clock", "--kv-json", "out.json"]
        given += ["--kv-kubeconfig", kubeconfig or self.kubeconfig, *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        inherited["KVLATENCY_MEASURE_CLOCK"] = str(directory / "clock.json")
        inherited["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "benchmarks")))
        seen = len(self._record())
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, given)],
            cwd=directory,
            env=inherited,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        ours = (ADMINISTRATOR, f"system:serviceaccount:{NAMESPACE}:")
        audit = [one for one in self._record()[seen:] if str(one["user"]).startswith(ours)]
        return Run(directory, done.returncode, done.stdout, audit)

    def _record(self):
        lines = (self._lab.directory / "audit.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


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
        lab = LabProcess.start(str(spec), directory / "run", 60)
        started.append(lab)
        return Grid(lab, directory)

    yield start
    for lab in started:
        lab.stop()


@pytest.fixture(scope="session")
def role():
    """The rules of the Role that is shipped."""
    return yaml.safe_load((ROOT / "manifests" / "permissions" / "role.yaml").read_text())["rules"]


@pytest.fixture
def counted():
    """Count a run's requests by verb, resource and subresource."""

    def count(run):
        return Counter(
            "/".join(filter(None, (one["verb"], one["resource"], one["subresource"]))) for one in run.audit
        )

    return count
