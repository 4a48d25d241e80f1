"""What is in the cluster before the first VMI: nodes, namespaces, networks, and KubeVirt itself."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.kubevirt.api import (
    KUBEVIRTS,
    NADS,
    NAMESPACES,
    NODES,
    Api,
    ApiStatusError,
    ResourcePath,
)
from pytest_kvlatency.lab.kubevirt.nads import nad_manifest
from pytest_kvlatency.lab.kubevirt.timestamp import now
from pytest_kvlatency.lab.spec.labspec import MigrationSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.spec.labspec import LabSpec, NodeSpec

KUBEVIRT_NAMESPACE = "kubevirt"
#: By this, and nothing else, can a client tell a lab from a cluster.
GUESTS_ANNOTATION = "kvlatency.lab/guests"
#: How many times faster than the clock the guests' time runs; absent where it does not.
SCALE_ANNOTATION = "kvlatency.lab/time-scale"


async def create_lab_objects(api: Api, spec: LabSpec, guests: str) -> None:
    """Create everything; what is there already stays as it is. ``guests`` describes what the guests run under."""
    namespaces = {network.name.split("/")[0] for network in spec.networks} | {"default", KUBEVIRT_NAMESPACE}
    await asyncio.gather(*(_ensure(api, NAMESPACES, "", _namespace(name)) for name in sorted(namespaces)))
    await asyncio.gather(
        *(_ensure(api, NODES, "", node_manifest(node), with_status=True) for node in spec.nodes),
        *(_ensure(api, NADS, network.name.split("/")[0], nad_manifest(network)) for network in spec.networks),
        _ensure(
            api,
            KUBEVIRTS,
            KUBEVIRT_NAMESPACE,
            kubevirt_manifest(guests, spec),
            with_status=True,
        ),
    )


async def _ensure(
    api: Api, resource: ResourcePath, namespace: str, body: Mapping[str, Any], *, with_status: bool = False
) -> None:
    """Create an object, and its status, which a create does not take where it is a subresource.

    A kind that the control plane does not serve is left out: labs without KubeVirt or Multus are a fault to try.
    """
    try:
        await api.create(resource, namespace, body)
    except ApiStatusError as error:
        if error.code == 404:
            return
        if error.code != 409:
            raise
    if with_status:
        name = body["metadata"]["name"]
        await api.patch(resource, namespace, name, {"status": body["status"]}, subresource="status")


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def node_manifest(node: NodeSpec) -> dict[str, Any]:
    """Return the Node object of a worker, with its status."""
    labels = {
        "beta.kubernetes.io/arch": node.arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": node.arch,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubevirt.io/schedulable": "true",
        "node-role.kubernetes.io/worker": "",
        **node.labels,
    }
    taints = [{"key": t.key, "value": t.value, "effect": t.effect} for t in node.taints]
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    if node.unschedulable:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels, "annotations": {"kubevirt.io/heartbeat": now()}},
        "spec": spec,
        "status": _node_status(node),
    }


def _node_status(node: NodeSpec) -> dict[str, Any]:
    stamp = now()
    resources = {
        "cpu": "8",
        "memory": "16Gi",
        "pods": "250",
        "devices.kubevirt.io/kvm": "1k",
        "devices.kubevirt.io/tun": "1k",
        "devices.kubevirt.io/vhost-net": "1k",
    }
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    digest = hashlib.sha256(node.name.encode()).digest()
    return {
        "addresses": [
            {"type": "InternalIP", "address": f"192.0.2.{digest[0] % 250 + 2}"},
            {"type": "Hostname", "address": node.name},
        ],
        "allocatable": resources,
        "capacity": resources,
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
            for kind, status, reason, message in conditions
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": node.arch,
            "bootID": "",
            "containerRuntimeVersion": "lab://1",
            "kernelVersion": "6.1.0",
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.32.4",
            "machineID": digest.hex()[:32],
            "operatingSystem": "linux",
            "osImage": "pytest-kvlatency lab",
            "systemUUID": digest.hex()[32:],
        },
    }


def limits_of(spec: MigrationSpec) -> dict[str, int]:
    """Return how many migrations there may be at a time, as KubeVirt's configuration says it."""
    return {
        "parallelMigrationsPerCluster": spec.parallel,
        "parallelOutboundMigrationsPerNode": spec.parallel_outbound,
    }


def kubevirt_manifest(guests: str, spec: LabSpec) -> dict[str, Any]:
    """Return the KubeVirt object, deployed; its annotation says that this is a lab, and whose ``guests``."""
    stamp = now()
    conditions = [
        ("Available", "True", "AllComponentsReady", "All components are ready."),
        ("Progressing", "False", "AllComponentsReady", "All components are ready."),
        ("Degraded", "False", "AllComponentsReady", "All components are ready."),
        ("Created", "True", "AllResourcesCreated", "All resources were created."),
    ]
    annotations = {GUESTS_ANNOTATION: guests}
    if guests.startswith("sim") and spec.time_scale != 1:
        # Real guests keep real time.
        annotations[SCALE_ANNOTATION] = f"{spec.time_scale:g}"
    configuration: dict[str, Any] = {"developerConfiguration": {}}
    if spec.bindings:
        tap = {"domainAttachmentType": "tap"}
        configuration["network"] = {"binding": dict.fromkeys(spec.bindings, tap)}
    if spec.migration != MigrationSpec():
        configuration["migrations"] = limits_of(spec.migration)
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {
            "name": "kubevirt",
            "namespace": KUBEVIRT_NAMESPACE,
            "annotations": annotations,
        },
        "spec": {"configuration": configuration},
        "status": {
            "phase": "Deployed",
            "operatorVersion": spec.kubevirt_version,
            "defaultArchitecture": "amd64",
            "observedKubeVirtRegistry": "quay.io/kubevirt",
            "observedKubeVirtVersion": spec.kubevirt_version,
            "targetKubeVirtRegistry": "quay.io/kubevirt",
            "targetKubeVirtVersion": spec.kubevirt_version,
            "conditions": [
                {
                    "type": kind,
                    "status": value,
                    "reason": reason,
                    "message": message,
                    "lastProbeTime": stamp,
                    "lastTransitionTime": stamp,
                }
                for kind, value, reason, message in conditions
            ],
        },
    }
