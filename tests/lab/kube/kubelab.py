"""What the tests share: names, the Role of the design, a request for a VMI."""

from __future__ import annotations

from pytest_kvlatency.kube.manifest import VmiRequest, fresh_mac, fresh_name, network_data, user_data
from pytest_kvlatency.model import ConfigMapRef, NadRef

BLUE = NadRef(namespace="checks", name="blue")
CHECKUP = ConfigMapRef(namespace="checks", name="checkup")
ROLE = {
    "vmi-get": ("kubevirt.io", "virtualmachineinstances", "get"),
    "vmi-create": ("kubevirt.io", "virtualmachineinstances", "create"),
    "vmi-delete": ("kubevirt.io", "virtualmachineinstances", "delete"),
    "nad-get": ("k8s.cni.cncf.io", "network-attachment-definitions", "get"),
    "configmap-get": ("", "configmaps", "get"),
    "configmap-update": ("", "configmaps", "update"),
}


def request():
    mac = fresh_mac()
    return VmiRequest(
        name=fresh_name("latency-check-source"),
        namespace="checks",
        nad=BLUE,
        binding="bridge",
        mac=mac,
        image="quay.io/x@sha256:1",
        network_data=network_data(mac, "198.18.0.1/24"),
        user_data=user_data(),
        run_id="r1",
        node="worker1",
        anti_affinity_label=("latency-check/uid", "p"),
        expires_at="2026-01-01T00:00:00Z",
    )
