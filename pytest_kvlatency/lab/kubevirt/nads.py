"""NetworkAttachmentDefinitions: how the lab's are made, what one means, and the addresses that its IPAM gives. Pure."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.spec.labspec import NetworkSpec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: What the pod network's own CNI gives out.
POD_RANGE = "10.244.0.0/16"
_BRIDGES = ("bridge", "cnv-bridge")


def nad_manifest(network: NetworkSpec) -> dict[str, Any]:
    """Return the NAD object of a lab's network."""
    namespace, name = network.name.split("/")
    config = network.config if network.config is not None else json.dumps(_config(network, name))
    annotations = {}
    if network.type == "sriov":
        annotations["k8s.v1.cni.cncf.io/resourceName"] = f"lab.kvlatency/{name.replace('-', '_')}"
    made = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
    }
    return {**made, "spec": {"config": config}} if config else made


def _config(network: NetworkSpec, name: str) -> dict[str, Any]:
    config: dict[str, Any] = {"cniVersion": "0.3.1", "name": name, "type": network.type}
    if network.type == "bridge":
        config["bridge"] = f"br-{name}"[:15]
    elif network.type in ("macvlan", "ipvlan"):
        config["master"] = "eth1"
    elif network.type == "ovn-k8s-cni-overlay":
        config |= {"topology": "layer2", "netAttachDefName": network.name}
    if network.guest_mtu != 1500:
        config["mtu"] = network.guest_mtu
    if network.dhcp_range is not None and network.type == "ovn-k8s-cni-overlay":
        config["subnets"] = network.dhcp_range
    elif network.dhcp_range is not None:
        config["ipam"] = {"type": "whereabouts", "range": network.dhcp_range}
    return config


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """What a NAD means to a pod: its range of addresses where it has IPAM, and the MTU where it names one.

    ``is_per_node``: each node gives out the whole range on its own, as host-local does. ``has_container_interface``:
    a bridge whose plugin gives the pod an interface of its own (``disableContainerInterface`` prevents it).
    """

    ipam_range: str | None = None
    is_per_node: bool = False
    mtu: int | None = None
    has_container_interface: bool = False


def read_nad(nad: Mapping[str, Any]) -> Attachment:
    """Read a NAD object as a CNI would. Raises ``ValueError`` where its config is none.

    Where it has none, Multus reads the file of that network on the node; the lab's nodes have one of a plain bridge.
    """
    text = (nad.get("spec") or {}).get("config") or ""
    if not text:
        return Attachment(has_container_interface=True)
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"error parsing the delegate's config: {error}") from error
    if not isinstance(config, dict):
        raise ValueError("error parsing the delegate's config: it is not an object")  # noqa: TRY004
    plugins = config.get("plugins") or [config]
    mtu = next((plugin["mtu"] for plugin in plugins if isinstance(plugin.get("mtu"), int)), None)
    return Attachment(
        ipam_range=next(filter(None, map(_range_of, plugins)), None),
        is_per_node=any((plugin.get("ipam") or {}).get("type") == "host-local" for plugin in plugins),
        mtu=mtu,
        has_container_interface=any(
            plugin.get("type") in _BRIDGES and plugin.get("disableContainerInterface") is not True
            for plugin in plugins
        ),
    )


def _range_of(plugin: Mapping[str, Any]) -> str | None:
    """Return the CIDR that a plugin's IPAM takes addresses from: whereabouts, host-local, static, or OVN."""
    if plugin.get("type") == "ovn-k8s-cni-overlay" and plugin.get("subnets"):
        return _cidr(str(plugin["subnets"]).split(",")[0])
    ipam = plugin.get("ipam") or {}
    if not ipam.get("type"):
        return None
    if ipam.get("range"):
        return _cidr(str(ipam["range"]))
    if ipam.get("subnet"):
        return _cidr(str(ipam["subnet"]))
    for group in ipam.get("ranges") or []:
        for item in group:
            return _cidr(str(item.get("subnet", "")))
    for item in ipam.get("addresses") or []:
        return _cidr(str(item.get("address", "")))
    return None


def _cidr(text: str) -> str | None:
    """Return the network of a CIDR; OVN writes ``10.0.0.0/16/24``, whereabouts ``10.0.0.5-10.0.0.9/24``."""
    parts = text.strip().split("/")
    try:
        return str(ipaddress.ip_network("/".join([parts[0].rpartition("-")[2], *parts[1:2]]), strict=False))
    except ValueError:
        return None


class AddressPool:
    """Gives out the addresses of ranges, lowest first, from the second host on (the first is the gateway's).

    ``node`` is the one that gives them out on its own; empty: all nodes do it together.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], set[str]] = {}

    def take(self, cidr: str, node: str = "") -> str:
        """Return a free address with its prefix length. Raises ``ValueError`` when the range is used up."""
        network = ipaddress.ip_network(cidr)
        taken = self._taken.setdefault((node, cidr), set())
        hosts = iter(network.hosts())
        next(hosts)
        for host in hosts:
            address = f"{host}/{network.prefixlen}"
            if address not in taken:
                taken.add(address)
                return address
        raise ValueError(f"no more addresses in {cidr}")

    def give_back(self, address: str, node: str = "") -> None:
        """Free an address that ``take`` gave out."""
        for (giver, _), taken in self._taken.items():
            if giver == node:
                taken.discard(address)
