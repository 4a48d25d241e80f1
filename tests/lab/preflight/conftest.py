"""Preflights of whole plans, against one lab in which something is wrong with most of what it holds."""

from __future__ import annotations

import importlib
import json

import pytest
from administrator import Administrator

from pytest_kvlatency.check import only
from pytest_kvlatency.lab.process import LabProcess

NAMESPACE = "checks"
LAB = """
guests: sim
nodes:
  - worker1
  - worker2
  - worker3
networks:
  checks/blue-network: {}
seed: 7
"""
# Imported here once: pytester forgets after each run what the run has imported.
for heavy in ("preflight.checklist", "engine.assembly", "kube.cluster", "kube.configmap"):
    importlib.import_module(f"pytest_kvlatency.{heavy}")


class Lab(Administrator):
    """A lab as its administrator sees it, and preflights against it."""

    def __init__(self, lab, directory):
        super().__init__(lab, directory, NAMESPACE)

    def configmap(self, data):
        """Make the ConfigMap of a checkup of the blue network; return its name."""
        name = self.unused("checkup")
        whole = {
            "spec.timeout": "2m",
            "spec.param.networkAttachmentDefinitionNamespace": NAMESPACE,
            "spec.param.networkAttachmentDefinitionName": "blue-network",
            **data,
        }
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": whole}
        self.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
        return name

    def created(self, seen):
        """What was created by the requests since ``seen``."""
        return [
            one
            for one in self.audit()[seen:]
            if one["verb"] == "create"
            and not one["resource"].startswith("selfsubject")
            and not one.get("dryRun")
        ]


class Preflight:
    """A preflight that has ended."""

    def __init__(self, result, document):
        self.status = int(result.ret)
        self.output = result.stdout.str()
        self.errors = result.stderr.str()
        self.document = document

    @property
    def lines(self):
        """What the checklist says, a line each, without the hints below."""
        text = self.output.partition(" kvlatency preflight ")[2].partition("kvlatency: preflight ")[0]
        return [" ".join(line.split()) for line in text.splitlines()[1:] if line[:1] not in ("", " ", "=")]

    def of(self, check):
        """The findings of one kind of check, as the document has them."""
        return [one for one in self.document["preflight"] if one["check"] == check]


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    process = LabProcess.start(str(spec), directory / "run", 60)
    yield Lab(process, directory)
    process.stop()


@pytest.fixture
def preflight(lab, pytester, monkeypatch):
    """Run a preflight of the own check, or of a test module's text; nothing may be left in the cluster."""
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments, kubeconfig=None, tests="", asked=True):
        given = ["-p", "no:cacheprovider", "--kv-json", "out.json", "--kv-namespace", NAMESPACE]
        given += ["--kv-kubeconfig", str(kubeconfig or lab.kubeconfig), *map(str, arguments)]
        given += ["--kv-preflight"] if asked else []
        if tests:
            pytester.makepyfile(tests)
        seen = len(lab.audit())
        result = pytester.runpytest_inprocess(*(given if tests else only.isolated(given)))
        file = pytester.path / "out.json"
        document = json.loads(file.read_text()) if file.exists() else None
        assert lab.created(seen) == []
        return Preflight(result, document)

    return run
