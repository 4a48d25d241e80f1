"""Preflights of whole plans, against one lab in which something is wrong with most of what it holds."""

from __future__ import annotations

import contextlib
import importlib
import json

import forking
import lazy
import pytest
from administrator import Administrator

from pytest_kvlatency.checkup import own_run as only

NAMESPACE = "checks"
LAB = """
guests: sim
nodes:
  - worker1
  - worker2
  - worker3
  - {name: cordoned, unschedulable: true}
  - {name: tainted, taints: ["dedicated=infra:NoSchedule"]}
  - {name: unlabelled, labels: {kubevirt.io/schedulable: "false"}}
  - {name: notready}
  - {name: emulated}
networks:
  checks/blue-network: {}
  checks/leased-network: {ipam: 192.168.10.0/24}
  checks/macvlan-network: {type: macvlan}
  checks/broken-network: {config: "{"}
  checks/policy-network: {}
  checks/quota-network: {}
  checks/audited-network: {}
  default/open-network: {}
  others/far-network: {}
faults:
  - {fault: policy-refused, network: checks/policy-network, message: VMs are not welcome here}
  - {fault: quota, network: checks/quota-network, node: worker2}
  - {fault: dry-run-unsupported, network: checks/audited-network}
seed: 7
bindings: [l2bridge]
"""
lazy.load()
importlib.import_module("pytest_kvlatency.preflight.checklist")


class Lab(Administrator):
    """A lab as its administrator sees it, and preflights against it."""

    def __init__(self, lab, directory):
        super().__init__(lab, directory, NAMESPACE)

    def has(self, node, status):
        """Give a node another status."""
        path = f"/api/v1/nodes/{node}/status"
        self.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")

    def namespace_with(self, **labels):
        """Make a namespace; return its name."""
        name = self.unused("namespace")
        metadata = {"name": name, "labels": labels}
        self.request(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )
        return name

    @contextlib.contextmanager
    def secret_versions(self):
        """Take from all accounts, for a while, what KubeVirt lets them read of itself."""
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubevirt.io:default"
        subjects = self.request("GET", path)["subjects"]
        merge = {"content_type": "application/merge-patch+json"}
        self.request("PATCH", path, {"subjects": []}, **merge)
        try:
            yield
        finally:
            self.request("PATCH", path, {"subjects": subjects}, **merge)

    @contextlib.contextmanager
    def kubevirt_with(self, **configuration):
        """Give the KubeVirt object another configuration for a while."""
        path = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt"
        self.request("PATCH", path, {"spec": {"configuration": configuration}})
        try:
            yield
        finally:
            self.request("PATCH", path, {"spec": {"configuration": dict.fromkeys(configuration)}})

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


@pytest.fixture
def bare_cluster(tmp_path):
    """The kubeconfig of a cluster without KubeVirt."""
    spec = tmp_path / "lab.yaml"
    spec.write_text("{guests: sim, faults: [{fault: kubevirt-missing}]}", encoding="utf-8")
    process = forking.lab(spec, tmp_path / "lab")
    yield process.kubeconfig
    process.stop()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    process = forking.lab(spec, directory / "run")
    found = Lab(process, directory)
    found.has("notready", {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]})
    found.has("emulated", {"allocatable": {"devices.kubevirt.io/kvm": "0"}})
    yield found
    process.stop()


@pytest.fixture
def preflight(lab, pytester, monkeypatch):
    """Run a preflight of the own check, or of a test module's text; nothing may be left in the cluster."""
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments, kubeconfig=None, tests="", asked=True, where=None):
        if where is None:
            where = ["--kv-kubeconfig", kubeconfig or lab.kubeconfig, "--kv-namespace", NAMESPACE]
        given = ["-p", "no:cacheprovider", "--kv-json", "out.json", *map(str, (*where, *arguments))]
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
