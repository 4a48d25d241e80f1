"""The virt-launcher pod of a VMI, and the events that tell its story. Pure, apart from time stamps and chance."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.timestamp import now
from pytest_kvlatency.lab.spec.labspec import DEFAULT_KUBEVIRT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMPUTE: Final = "compute"
CONSOLE_LOG: Final = "guest-console-log"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def suffix(length: int = 5) -> str:
    """Return a random suffix in the alphabet of ``generateName``."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def launcher_manifest(vmi: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod that runs the VMI."""
    meta = vmi["metadata"]
    spec = vmi["spec"]
    selector = {
        **(spec.get("nodeSelector") or {}),
        "kubernetes.io/arch": spec.get("architecture") or "amd64",
        "kubevirt.io/schedulable": "true",
    }
    image = f"quay.io/kubevirt/virt-launcher:{DEFAULT_KUBEVIRT}"
    containers = [{"name": COMPUTE, "image": image, "command": ["/usr/bin/virt-launcher-monitor"]}]
    if vmis.serial_log(vmi):
        containers.append({"name": CONSOLE_LOG, "image": image, "command": ["/usr/bin/virt-tail"]})
    if vmis.container_disk(vmi):
        containers.append({"name": "volumecontainerdisk", "image": vmis.container_disk(vmi), "command": []})
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"virt-launcher-{meta['name'][:40].rstrip('-.')}-{suffix()}",
            "namespace": meta["namespace"],
            "labels": {
                **(meta.get("labels") or {}),
                "kubevirt.io": "virt-launcher",
                "kubevirt.io/created-by": meta["uid"],
                "vm.kubevirt.io/name": meta["name"][:63].rstrip("-."),
            },
            "annotations": {
                "kubectl.kubernetes.io/default-container": COMPUTE,
                "kubevirt.io/domain": meta["name"],
                **_multus(vmi),
            },
            "ownerReferences": [
                {
                    "apiVersion": "kubevirt.io/v1",
                    "kind": "VirtualMachineInstance",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "containers": containers,
            "hostname": vmis.hostname(vmi),
            "nodeSelector": selector,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": int(vmis.grace_seconds(vmi)) + 30,
        },
    }
    for key in ("affinity", "tolerations"):
        if spec.get(key):
            pod["spec"][key] = spec[key]
    return pod


def _multus(vmi: Mapping[str, Any]) -> dict[str, str]:
    macs = {item["name"]: vmis.mac_of(vmi, item) for item in vmis.interfaces(vmi)}
    wanted = []
    for name, network in vmis.networks(vmi).items():
        if network != vmis.POD_NETWORK:
            namespace, nad = network.split("/", 1)
            entry = vmis.interface_status(name, "", network, lease=None, agent=None)["podInterfaceName"]
            wanted.append(
                {"name": nad, "namespace": namespace, "mac": macs.get(name, ""), "interface": entry}
            )
    return {"k8s.v1.cni.cncf.io/networks": json.dumps(wanted)} if wanted else {}


def pod_status(
    phase: str,
    containers: Sequence[str],
    *,
    scheduled: bool = True,
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    address: str = "",
) -> dict[str, Any]:
    """Return a pod's status: its conditions, and each container's state.

    ``waiting`` is reason and message of containers that wait; ``unschedulable`` the scheduler's words.
    """
    stamp = now()

    def condition(kind: str, *, good: bool, reason: str = "", message: str = "") -> dict[str, Any]:
        found = {"type": kind, "status": "True" if good else "False", "lastTransitionTime": stamp}
        return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})

    ready = phase == "Running"
    conditions = [
        condition(
            "PodScheduled",
            good=scheduled,
            reason="Unschedulable" if unschedulable else "",
            message=unschedulable,
        )
    ]
    if scheduled:
        why = "" if ready else "ContainersNotReady"
        conditions += [
            condition("Initialized", good=True),
            condition("ContainersReady", good=ready, reason=why),
            condition("Ready", good=ready, reason=why),
        ]
    status: dict[str, Any] = {"phase": phase, "conditions": conditions, "qosClass": "Burstable"}
    if scheduled:
        status["containerStatuses"] = [
            {
                "name": name,
                "image": "",
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": _state(phase, waiting, stamp),
            }
            for name in containers
        ]
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return status


def _state(phase: str, waiting: tuple[str, str] | None, stamp: str) -> dict[str, Any]:
    if phase == "Running":
        return {"running": {"startedAt": stamp}}
    if phase in vmis.FINAL_PHASES:
        good = phase == "Succeeded"
        return {"terminated": {"exitCode": 0 if good else 1, "reason": "Completed" if good else "Error"}}
    reason, message = waiting or ("ContainerCreating", "")
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def event(
    involved: Mapping[str, Any], kind: str, reason: str, message: str, *, source: str, host: str = ""
) -> dict[str, Any]:
    """Return a core/v1 event about an object; ``kind`` is Normal or Warning."""
    meta = involved["metadata"]
    stamp = now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": involved["apiVersion"],
            "kind": involved["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": source} | ({"host": host} if host else {}),
        "reportingComponent": source,
        "reportingInstance": host,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "eventTime": None,
        "count": 1,
    }
