"""What a VMI object asks for, and the pieces of its status. Pure, apart from the clock in time stamps.

Conditions, reasons and texts are KubeVirt's (virt-controller's ``vmi.go``, virt-handler's ``vm.go``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt.timestamp import now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FINALIZER: Final = "foregroundDeleteVirtualMachine"
FINAL_PHASES: Final = ("Succeeded", "Failed")
#: The network of an interface on the pod network, where others have their NAD's name.
POD_NETWORK: Final = "pod"
#: The resources of spec.domain that a virtual machine of the checkup gets.
DEFAULT_MEMORY_MIB: Final = 128


def devices(vmi: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``spec.domain.devices``."""
    return dict(((vmi.get("spec") or {}).get("domain") or {}).get("devices") or {})


def serial_console(vmi: Mapping[str, Any]) -> bool:
    """Whether the VMI has a serial console."""
    return devices(vmi).get("autoattachSerialConsole") is not False


def serial_log(vmi: Mapping[str, Any]) -> bool:
    """Whether the console is logged by a container of its own: yes unless the VMI says no."""
    return serial_console(vmi) and devices(vmi).get("logSerialConsole") is not False


def hostname(vmi: Mapping[str, Any]) -> str:
    """Return the guest's host name: ``spec.hostname``, else the VMI's name up to the first dot, cut at 63."""
    given = (vmi.get("spec") or {}).get("hostname")
    return str(given) if given else str(vmi["metadata"]["name"]).split(".")[0][:63]


def grace_seconds(vmi: Mapping[str, Any]) -> float:
    """Return how long the guest may take to shut down; KubeVirt's default is 30 s."""
    grace = (vmi.get("spec") or {}).get("terminationGracePeriodSeconds")
    return 30.0 if grace is None else float(grace)


def network_of(vmi: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """Return ``NAMESPACE/NAME`` of a network's NAD, or ``pod``."""
    name = (network.get("multus") or {}).get("networkName")
    if not name:
        return POD_NETWORK
    return str(name) if "/" in name else f"{vmi['metadata']['namespace']}/{name}"


def networks(vmi: Mapping[str, Any]) -> dict[str, str]:
    """Map each of the VMI's networks, by its name there, to its NAD or ``pod``."""
    return {item["name"]: network_of(vmi, item) for item in (vmi.get("spec") or {}).get("networks") or []}


def interfaces(vmi: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``spec.domain.devices.interfaces``."""
    return list(devices(vmi).get("interfaces") or [])


def binding_plugins(vmi: Mapping[str, Any]) -> list[str]:
    """Return the binding plugins that the VMI's interfaces name."""
    return [str(item["binding"].get("name", "")) for item in interfaces(vmi) if item.get("binding")]


def mac_of(vmi: Mapping[str, Any], interface: Mapping[str, Any]) -> str:
    """Return the interface's MAC: as given, else one made from the VMI's uid as libvirt would from chance."""
    given = interface.get("macAddress")
    if given:
        return str(given).lower().replace("-", ":")
    digest = hashlib.sha256(f"{vmi['metadata']['uid']}/{interface['name']}".encode()).hexdigest()
    return "02:" + ":".join(digest[start : start + 2] for start in range(0, 10, 2))


def memory_mib(vmi: Mapping[str, Any]) -> int:
    """Return the guest's memory in MiB, from ``domain.memory.guest`` or the requests."""
    domain = (vmi.get("spec") or {}).get("domain") or {}
    requests = (domain.get("resources") or {}).get("requests") or {}
    text = str((domain.get("memory") or {}).get("guest") or requests.get("memory") or "")
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9, "": 1}
    number = text.rstrip("KMGik")
    try:
        return max(1, int(float(number) * units[text[len(number) :]]) // 2**20)
    except (ValueError, KeyError):
        return DEFAULT_MEMORY_MIB


def container_disk(vmi: Mapping[str, Any]) -> str:
    """Return the first container disk's image, or nothing."""
    for volume in (vmi.get("spec") or {}).get("volumes") or []:
        if "containerDisk" in volume:
            return str(volume["containerDisk"].get("image", ""))
    return ""


def cloud_init(vmi: Mapping[str, Any]) -> tuple[str, str]:
    """Return user data and network data of the first cloud-init volume, decoded. Raises ``ValueError``."""
    for volume in (vmi.get("spec") or {}).get("volumes") or []:
        source = volume.get("cloudInitNoCloud") or volume.get("cloudInitConfigDrive")
        if source:
            return _data(source, "userData"), _data(source, "networkData")
    return "", ""


def _data(source: Mapping[str, Any], key: str) -> str:
    if source.get(key):
        return str(source[key])
    encoded = source.get(f"{key}Base64")
    if not encoded:
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"cloud-init: {key}Base64 is not base64-encoded UTF-8: {error}") from error


def defaults(vmi: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch by which KubeVirt's mutating webhook completes a VMI, with the finalizer."""
    spec = vmi.get("spec") or {}
    domain = spec.get("domain") or {}
    more: dict[str, Any] = {}
    if not (domain.get("machine") or {}).get("type"):
        more["machine"] = {"type": "q35"}
    if not (domain.get("cpu") or {}).get("model"):
        more["cpu"] = {"model": "host-model"}
    found: dict[str, Any] = {"domain": more} if more else {}
    if not spec.get("architecture"):
        found["architecture"] = "amd64"
    if (
        not interfaces(vmi)
        and not spec.get("networks")
        and devices(vmi).get("autoattachPodInterface") is not False
    ):
        found.setdefault("domain", {})["devices"] = {"interfaces": [{"name": "default", "bridge": {}}]}
        found["networks"] = [{"name": "default", "pod": {}}]
    finalizers = list(vmi["metadata"].get("finalizers") or [])
    return {
        "metadata": {
            "annotations": {
                "kubevirt.io/latest-observed-api-version": "v1",
                "kubevirt.io/storage-observed-api-version": "v1",
            },
            "finalizers": finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER],
        },
        "spec": found,
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    """Return a condition with the time of now."""
    found: dict[str, Any] = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": now(),
    }
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def with_condition(conditions: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the conditions with ``new`` in the place of the one of its type; an equal one keeps its time."""
    found = []
    placed = False
    for old in conditions:
        if old["type"] != new["type"]:
            found.append(dict(old))
            continue
        same = all(old.get(key) == new.get(key) for key in ("status", "reason", "message"))
        found.append(dict(old) if same else dict(new))
        placed = True
    return found if placed else [*found, dict(new)]


def without_condition(conditions: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the conditions but for one type."""
    return [dict(old) for old in conditions if old["type"] != kind]


def enter_phase(status: Mapping[str, Any], phase: str) -> dict[str, Any]:
    """Return the status in a new phase, with the time of the transition; nothing changes in the same phase."""
    if status.get("phase") == phase:
        return dict(status)
    stamps = list(status.get("phaseTransitionTimestamps") or [])
    return {
        **status,
        "phase": phase,
        "phaseTransitionTimestamps": [*stamps, {"phase": phase, "phaseTransitionTimestamp": now()}],
    }


def interface_status(
    name: str, mac: str, network: str, *, lease: str | None, agent: Sequence[str] | None
) -> dict[str, Any]:
    """Return one entry of ``status.interfaces``.

    ``lease`` is the CNI's address (CIDR) on a network with IPAM; ``agent`` what the guest agent says, None
    without one. The agent's word replaces the CNI's, as in KubeVirt, and IPv4 comes first.
    """
    sources = ["domain"]
    found: dict[str, Any] = {"name": name, "mac": mac, "queueCount": 1}
    addresses = [lease.split("/")[0]] if lease else []
    if agent is not None:
        sources.append("guest-agent")
        found["interfaceName"] = "eth0"
        addresses = sorted(agent, key=lambda address: ":" in address) or addresses
    if network != POD_NETWORK:
        sources.append("multus-status")
        found["podInterfaceName"] = f"pod{hashlib.sha256(name.encode()).hexdigest()[:11]}"
    else:
        found["podInterfaceName"] = "eth0"
    if addresses:
        found["ipAddress"] = addresses[0]
        found["ipAddresses"] = addresses
    found["infoSource"] = ", ".join(sources)
    return found


def migration_obstacle(vmi: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return reason and message of a condition ``LiveMigratable`` that is False, None for a VMI that can migrate."""
    networks_ = networks(vmi)
    allowed = "kubevirt.io/allow-pod-bridge-network-live-migration"
    for interface in interfaces(vmi):
        on_pod = networks_.get(interface["name"], POD_NETWORK) == POD_NETWORK
        if on_pod and "bridge" in interface and allowed not in (vmi["metadata"].get("annotations") or {}):
            return "InterfaceNotLiveMigratable", (
                f"cannot migrate VMI which does not use masquerade, bridge with {allowed} VM annotation or a "
                "migratable plugin to connect to the pod network"
            )
    for volume in (vmi.get("spec") or {}).get("volumes") or []:
        claim = volume.get("persistentVolumeClaim")
        if claim:
            return "DisksNotLiveMigratable", (
                f"cannot migrate VMI: PVC {claim.get('claimName', '')} is not shared, live migration requires that "
                "all PVCs must be shared (using ReadWriteMany access mode)"
            )
    return None


def guest_os_info(vmi: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``status.guestOSInfo``; the lab's guests are Alpine's kind."""
    del vmi
    return {
        "id": "alpine",
        "kernelRelease": "6.1.0",
        "kernelVersion": "#1 SMP",
        "machine": "x86_64",
        "name": "Alpine Linux",
        "prettyName": "Alpine Linux v3.20",
        "versionId": "3.20.0",
    }
