"""Connects a VMI's interfaces to its networks, as Multus and the CNI do when the pod's sandbox is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.guests.base import Nic
from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import NADS
from pytest_kvlatency.lab.kubevirt.nads import POD_RANGE, Attachment, read_nad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster

_SANDBOX: Final = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: "
)


class SandboxError(Exception):
    """The pod's network cannot be made; the text is the event's."""


@dataclass(frozen=True, kw_only=True)
class Attached:
    """An interface as connected: ``cni_address`` (CIDR) is what IPAM gave, whether or not the guest asks for it.

    ``giver`` is the node whose IPAM gave it, empty where all nodes have one together.
    """

    nic: Nic
    cni_address: str | None
    giver: str = ""


async def attach(cluster: LabCluster, vmi: Mapping[str, Any], pod_name: str, node: str) -> list[Attached]:
    """Return the interfaces as connected on ``node``. Raises ``SandboxError``; addresses taken till then are free."""
    known = vmis.networks(vmi)
    found: list[Attached] = []
    try:
        for interface in vmis.interfaces(vmi):
            network = known.get(interface["name"], vmis.POD_NETWORK)
            attachment = await _attachment(cluster, vmi, network, pod_name)
            giver = node if attachment.is_per_node else ""
            address = cluster.addresses.take(attachment.ipam_range, giver) if attachment.ipam_range else None
            leased = address if "bridge" in interface or "masquerade" in interface else None
            if leased and ":" in leased:
                leased = None  # KubeVirt's DHCP server speaks IPv4 only.
            mtu = next((item.guest_mtu for item in cluster.spec.networks if item.name == network), None)
            found.append(
                Attached(
                    nic=Nic(
                        name=interface["name"],
                        mac=vmis.mac_of(vmi, interface),
                        network=network,
                        mtu=mtu or attachment.mtu or 1500,
                        lease=leased,
                        has_container_interface=attachment.has_container_interface,
                    ),
                    cni_address=address,
                    giver=giver,
                )
            )
    except SandboxError:
        detach(cluster, found)
        raise
    except ValueError as error:
        detach(cluster, found)
        raise SandboxError(f'{_SANDBOX}plugin type="whereabouts" failed (add): {error}') from error
    return found


def detach(cluster: LabCluster, attached: list[Attached]) -> None:
    """Give the addresses back."""
    for item in attached:
        if item.cni_address:
            cluster.addresses.give_back(item.cni_address, item.giver)


async def _attachment(cluster: LabCluster, vmi: Mapping[str, Any], network: str, pod_name: str) -> Attachment:
    if network == vmis.POD_NETWORK:
        return Attachment(ipam_range=POD_RANGE)
    namespace, name = network.split("/", 1)
    nad = await cluster.api.get(NADS, namespace, name)
    pod = f"{vmi['metadata']['namespace']}/{pod_name}"
    prefix = f'{_SANDBOX}plugin type="multus" name="multus-cni-network" failed (add): Multus: [{pod}]: error '
    if nad is None:
        raise SandboxError(
            f"{prefix}loading k8s delegates k8s args: TryLoadPodDelegates: error in getting k8s network for pod: "
            f"GetNetworkDelegates: failed getting the delegate: getKubernetesDelegate: cannot find a "
            f"network-attachment-definition ({name}) in namespace ({namespace}): "
            f'network-attachment-definitions.k8s.cni.cncf.io "{name}" not found'
        )
    try:
        return read_nad(nad)
    except ValueError as error:
        raise SandboxError(f"{prefix}adding container to network: {error}") from error
