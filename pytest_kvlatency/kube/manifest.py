"""The VMI of one guest as a manifest, its cloud-init data, and the names, labels and owner of what we create. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.model import NadRef

NAME: Final = "pytest-kvlatency"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_RUN: Final = "pytest-kvlatency/run"
ANNOTATION_EXPIRES: Final = "pytest-kvlatency/expires-at"
#: So long after its expiry no run uses a VMI any more, however long its tests take.
LONGEST_RUN: Final = timedelta(days=7)
EXPIRES_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
#: Names the VMI itself, ``NAMESPACE/NAME``, so that no copy has it; never on what a run with ``--kv-keep`` creates.
ANNOTATION_SWEEP: Final = "pytest-kvlatency/sweep"
ANNOTATION_REQUEST: Final = "pytest-kvlatency/request"
#: On a VMI that is to migrate: the name of its migration.
ANNOTATION_MIGRATION: Final = "pytest-kvlatency/migration"
INTERFACE: Final = "kvlatency"
# KubeVirt refuses longer inline user and network data.
MAX_INLINE_BYTES: Final = 2048
HOSTNAME: Final = "kubernetes.io/hostname"
_MOST_WEIGHT: Final = 100
# As Kubernetes' generateName: no vowels, nothing that looks like something else.
_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
CORE_BINDINGS: Final = ("bridge", "sriov")


@dataclass(frozen=True, kw_only=True)
class VmiRequest:
    """All that one guest's VMI is made of.

    ``node`` pins it; ``anti_affinity_label`` keeps it from nodes of VMIs with the same label (it gets the label
    itself). One that is to migrate has ``destinations``: it only prefers ``node``, and may be on these as well; none
    are named where it may be on any. ``tolerations`` are Kubernetes' own mappings. ``expires_at`` is RFC 3339
    (``EXPIRES_FORMAT``), the time after which a sweep may remove it unless its guest runs; None for what may be kept,
    which no sweep removes. ``token`` tells our own object from another one of the same name.
    """

    name: str
    namespace: str
    nad: NadRef
    binding: str
    mac: str
    image: str
    network_data: str
    user_data: str
    run_id: str
    node: str | None = None
    destinations: tuple[str, ...] | None = None
    anti_affinity_label: tuple[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    image_pull_secret: str | None = None
    memory: str = "128Mi"
    tolerations: Sequence[Mapping[str, Any]] = ()
    owner: Mapping[str, str] | None = None
    architecture: str | None = None
    expires_at: str | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))


def own_labels(vmi_name: str, run_id: str) -> dict[str, str]:
    """The labels of what a run creates: of a VMI, or for one."""
    return {LABEL_NAME: NAME, LABEL_MANAGED_BY: NAME, LABEL_INSTANCE: vmi_name, LABEL_RUN: run_id}


def owner_from_environment(
    environ: Mapping[str, str], *, pod_namespace: str | None, vmi_namespace: str
) -> dict[str, str] | None:
    """Return the pod that runs the checkup as owner of its VMIs, so that they go when its object goes; or None.

    It is named by ``POD_UID`` and ``POD_NAME`` (else ``HOSTNAME``). None outside a pod, and where the pod is not in the
    VMIs' namespace: an owner that does not exist there would get the VMIs collected at once. ``HOSTNAME`` is no pod's
    name in an Indexed Job, which sets ``JOB_COMPLETION_INDEX``.
    """
    uid = environ.get("POD_UID", "")
    name = environ.get("POD_NAME", "")
    if not name and not environ.get("JOB_COMPLETION_INDEX"):
        name = environ.get("HOSTNAME", "")
    if not uid or not name or pod_namespace != vmi_namespace:
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}


def delete_options(*, is_immediate: bool = True, **preconditions: str) -> dict[str, Any]:
    """The body of a deletion of the very object that meets the preconditions: ``uid``, ``resourceVersion``."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
    return {**options, "gracePeriodSeconds": 0} if is_immediate else options


def fresh_name(prefix: str) -> str:
    """``PREFIX-xxxxx``, e.g. ``latency-check-source-7kx2m``; at most 63 characters, as host names allow."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
    return f"{prefix[:57].rstrip('-.')}-{suffix}"


def fresh_mac() -> str:
    """A random, locally administered unicast MAC, ``02:…``."""
    return ":".join(["02", *(f"{byte:02x}" for byte in secrets.token_bytes(5))])


def network_data(mac: str, address: str | None) -> str:
    """cloud-init's network configuration (version 2) of the interface with this MAC.

    ``address`` is an address with prefix length (``198.18.0.1/24``, ``fd00::1/64``); None: ask by DHCPv4.
    """
    interface: dict[str, Any] = {"match": {"macaddress": mac}}
    if address is None:
        interface["dhcp4"] = True
    else:
        interface["addresses"] = [address]
    return yaml.safe_dump({"version": 2, "ethernets": {INTERFACE: interface}}, sort_keys=False)


def user_data(config: Mapping[str, Any] | None = None, *, boot_commands: Sequence[str] = ()) -> str:
    """cloud-init's user data with the guest profile's keys; never empty.

    Without any user data cloud-init waits minutes for some (KubeVirt issue 16683). ``boot_commands`` run at each
    boot, before the profile's own ``bootcmd``.
    """
    merged = {"disable_root": False, **(config or {})}
    if boot_commands:
        own = merged.get("bootcmd") or []
        merged["bootcmd"] = [*boot_commands, *(own if isinstance(own, (list, tuple)) else [own])]
    return "#cloud-config\n" + yaml.safe_dump(merged, sort_keys=False, width=MAX_INLINE_BYTES)


def vmi_manifest(request: VmiRequest) -> dict[str, Any]:
    """Return the VMI as KubeVirt's API (``kubevirt.io/v1``) takes it.

    Raises ``ConfigError`` when its cloud-init data is longer than KubeVirt accepts inline.
    """
    for what, text in (("user", request.user_data), ("network", request.network_data)):
        size = len(text.encode())
        if size > MAX_INLINE_BYTES:
            raise ConfigError(
                f"the guest's cloud-init {what} data is {size} bytes long; KubeVirt accepts at most {MAX_INLINE_BYTES}",
                hint="Shorten it in the guest profile.",
            )
    metadata: dict[str, Any] = {
        "name": request.name,
        "namespace": request.namespace,
        "labels": _labels(request),
        "annotations": _annotations(request),
    }
    if request.owner is not None:
        metadata["ownerReferences"] = [dict(request.owner)]
    spec: dict[str, Any] = {
        # A cluster-wide default of LiveMigrate would let a pinned VMI block node drains.
        "evictionStrategy": "None",
        "terminationGracePeriodSeconds": 0,
        "domain": _domain(request),
        "networks": [{"name": INTERFACE, "multus": {"networkName": str(request.nad)}}],
        "volumes": _volumes(request),
    }
    affinity = _affinity(request)
    if affinity:
        spec["affinity"] = affinity
    if request.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in request.tolerations]
    if request.architecture is not None:
        spec["architecture"] = request.architecture
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": metadata,
        "spec": spec,
    }


def _labels(request: VmiRequest) -> dict[str, str]:
    labels = dict(request.labels)
    if request.anti_affinity_label is not None:
        key, value = request.anti_affinity_label
        labels[key] = value
    return labels | own_labels(request.name, request.run_id)


def _annotations(request: VmiRequest) -> dict[str, str]:
    annotations = {**request.annotations, ANNOTATION_REQUEST: request.token}
    if request.destinations is not None:
        annotations[ANNOTATION_MIGRATION] = request.name
    if request.expires_at is not None:
        annotations[ANNOTATION_EXPIRES] = request.expires_at
        annotations[ANNOTATION_SWEEP] = f"{request.namespace}/{request.name}"
    return annotations


def _domain(request: VmiRequest) -> dict[str, Any]:
    interface: dict[str, Any] = {"name": INTERFACE, "macAddress": request.mac}
    if request.binding in CORE_BINDINGS:
        interface[request.binding] = {}
    else:
        interface["binding"] = {"name": request.binding}
    disks = [{"name": name, "disk": {"bus": "virtio"}} for name in ("containerdisk", "cloudinit")]
    return {
        "devices": {
            "disks": disks,
            "interfaces": [interface],
            "rng": {},
            "autoattachSerialConsole": True,
            "logSerialConsole": True,
        },
        "resources": {"requests": {"memory": request.memory}},
    }


def _volumes(request: VmiRequest) -> list[dict[str, Any]]:
    disk = {"image": request.image}
    if request.image_pull_secret is not None:
        disk["imagePullSecret"] = request.image_pull_secret
    cloud_init = {"networkData": request.network_data, "userData": request.user_data}
    return [
        {"name": "containerdisk", "containerDisk": disk},
        {"name": "cloudinit", "cloudInitNoCloud": cloud_init},
    ]


def _affinity(request: VmiRequest) -> dict[str, Any]:
    affinity: dict[str, Any] = {}
    node_affinity = _node_affinity(request)
    if node_affinity:
        affinity["nodeAffinity"] = node_affinity
    if request.anti_affinity_label is not None:
        key, value = request.anti_affinity_label
        term = {
            "labelSelector": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]},
            "topologyKey": HOSTNAME,
        }
        affinity["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return affinity


def _node_affinity(request: VmiRequest) -> dict[str, Any]:
    if request.node is None:
        return {}
    if request.destinations is None:
        return _required(request.node)
    # It cannot be edited later: it must admit the destination from the start, and so cannot pin the VMI.
    preferred = [{"weight": _MOST_WEIGHT, "preference": term} for term in _node_terms(request.node)]
    required = _required(request.node, *request.destinations) if request.destinations else {}
    return {**required, "preferredDuringSchedulingIgnoredDuringExecution": preferred}


def _required(*nodes: str) -> dict[str, Any]:
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": _node_terms(*nodes)}}


def _node_terms(*nodes: str) -> list[dict[str, Any]]:
    """Terms of which any suffices: a node's label is its host name, which need not be its name.

    Kubernetes takes one value for a field.
    """
    names = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes
    ]
    label = {"key": HOSTNAME, "operator": "In", "values": list(nodes)}
    return [{"matchExpressions": [label]}, *names]
