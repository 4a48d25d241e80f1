"""The Kubernetes side against a real API server: the lab's control plane, on a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.apiserver.controlplane import ControlPlane

RBAC = "/apis/rbac.authorization.k8s.io/v1"
NADS = f"{paths.NAD_API}/namespaces/checks/network-attachment-definitions"


class Cluster:
    """A control plane with the namespace ``checks``, a NAD and a ConfigMap, and users with Roles of their own."""

    def __init__(self, plane, directory):
        self.plane = plane
        self._directory = directory
        self._clients = []
        self._users = 0
        self.admin = self.connect(plane.kubeconfig)

    def connect(self, path):
        self._clients.append(KubeClient.connect(kubeconfig=path))
        return self._clients[-1]

    def close(self):
        for client in self._clients:
            client.close()

    def make(self, path, kind, body):
        group = path.partition("/namespaces")[0].removeprefix("/apis/").removeprefix("/api/")
        whole = {"apiVersion": group, "kind": kind, **body}
        return self.admin.request("POST", path, body=whole, deadline=Deadline(60))

    def user(self, rules):
        self._users += 1
        name = f"user-{self._users}"
        listed = [
            {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
            for group, resource, verb in rules
        ]
        where = f"{RBAC}/namespaces/checks"
        self.make(f"{where}/roles", "Role", {"metadata": {"name": name}, "rules": listed})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        }
        self.make(f"{where}/rolebindings", "RoleBinding", binding)
        path = self._directory / f"{name}.kubeconfig"
        token = self.plane.token_for(name, ["system:authenticated"])
        path.write_text(self.plane.kubeconfig_for(token, user=name, namespace="checks"))
        return self.connect(path)

    def audit(self):
        lines = (self.plane.directory / "audit.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def loop():
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


@pytest.fixture
def cluster_with(loop, tmp_path):
    started = []

    def start(*faults):
        plane = ControlPlane(directory=tmp_path / "plane", faults=faults)
        asyncio.run_coroutine_threadsafe(plane.start(), loop).result(60)
        cluster = Cluster(plane, tmp_path)
        started.append(cluster)
        cluster.make("/api/v1/namespaces", "Namespace", {"metadata": {"name": "checks"}})
        cluster.make(
            "/api/v1/namespaces/checks/configmaps",
            "ConfigMap",
            {"metadata": {"name": "checkup"}, "data": {"spec.timeout": "5m"}},
        )
        if "nad-api-missing" not in [fault.fault for fault in faults]:
            nad = {"metadata": {"name": "blue"}, "spec": {"config": '{"type": "bridge"}'}}
            cluster.make(NADS, "NetworkAttachmentDefinition", nad)
        return cluster

    yield start
    for cluster in started:
        cluster.close()
        asyncio.run_coroutine_threadsafe(cluster.plane.stop(), loop).result(60)


@pytest.fixture
def cluster(cluster_with):
    return cluster_with()


@pytest.fixture
def deadline():
    return Deadline(60)
