"""What is known of one VMI: its object, status, pod, interfaces and guest. Its stages write to it, and publish it."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import VMIS
from pytest_kvlatency.lab.kubevirt.faultbook import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.guests.base import Guest
    from pytest_kvlatency.lab.kubevirt.attach import Attached
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.spec.labspec import FaultSpec


class VmiRecord:
    """One VMI as its stages have it in common; it does nothing of its own accord.

    ``vmi`` is the latest object, ``status`` what the next ``publish`` writes. ``node`` is where it was placed, empty
    before; ``pod``, ``guest`` and ``attached`` come to be on the way. ``settled`` is set while no migration is under
    way; ``next_node`` is where the next one goes, whatever its VMI asks for.
    """

    def __init__(self, cluster: LabCluster, vmi: dict[str, Any]) -> None:
        self.vmi = vmi
        self.status: dict[str, Any] = dict(vmi.get("status") or {})
        self.node = ""
        self.pod: dict[str, Any] | None = None
        self.attached: list[Attached] = []
        self.guest: Guest | None = None
        self.next_node = ""
        self.settled = asyncio.Event()
        self.settled.set()
        self._cluster = cluster
        self._publishing = asyncio.Lock()
        self._published: dict[str, Any] = {}

    @property
    def uid(self) -> str:
        """The VMI's uid."""
        return str(self.vmi["metadata"]["uid"])

    @property
    def name(self) -> str:
        """The VMI's name."""
        return str(self.vmi["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The VMI's namespace."""
        return str(self.vmi["metadata"]["namespace"])

    @property
    def awaits_addresses(self) -> bool:
        """Whether the guest is about to get addresses: by cloud-init, or by DHCP."""
        return any(item.nic.lease for item in self.attached) or any(
            source.get("networkData") or source.get("networkDataBase64")
            for volume in (self.vmi.get("spec") or {}).get("volumes") or []
            for source in (volume.get("cloudInitNoCloud"), volume.get("cloudInitConfigDrive"))
            if source
        )

    def set_condition(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        """Change a condition; ``publish`` writes it."""
        new = vmis.condition(kind, status, reason, message)
        self.status["conditions"] = vmis.with_condition(self.status.get("conditions") or [], new)

    def drop_condition(self, kind: str) -> None:
        """Remove a condition; ``publish`` writes it."""
        self.status["conditions"] = vmis.without_condition(self.status.get("conditions") or [], kind)

    def set_interfaces(self, agent: dict[str, list[str]] | None) -> None:
        """Change ``status.interfaces``; ``agent`` maps MACs to addresses, None without an agent."""
        self.status["interfaces"] = [
            vmis.interface_status(
                item.nic.name,
                item.nic.mac,
                item.nic.network,
                lease=item.cni_address,
                agent=None if agent is None else agent.get(item.nic.mac.lower(), []),
            )
            for item in self.attached
        ]

    async def publish(self, phase: str | None = None) -> None:
        """Write the status, entering ``phase`` if given."""
        if phase is not None:
            self.status = vmis.enter_phase(self.status, phase)
        async with self._publishing:
            status = copy.deepcopy(self.status)
            await self.patch({"status": merging(self._published, status)})
            self._published = status

    async def patch(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Change this VMI's object, and never one of the same name that came after it."""
        meta = {**body.get("metadata", {}), "uid": self.uid}
        return await self._cluster.api.patch(VMIS, self.namespace, self.name, {**body, "metadata": meta})

    async def write_pod_status(self, phase: str, **more: Any) -> None:
        """Write the pod's status, if there is a pod; ``more`` is as for ``pod_status``."""
        if self.pod is not None:
            await self._cluster.write_pod_status(self.pod, phase, **more)

    def strike(self, name: str, node: str | None = None) -> FaultSpec | None:
        """Ask whether a fault strikes this VMI now."""
        return self._cluster.faults.strike(name, self.subject(node))

    def subject(self, node: str | None = None) -> Subject:
        """Return this VMI as faults see it."""
        where = self.node if node is None else node
        return Subject(vmi=self.name, node=where, networks=tuple(vmis.networks(self.vmi).values()))


def merging(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that leaves ``new`` where ``old`` was: with null for each key that is gone."""
    found: dict[str, Any] = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found[key] = merging(before, value)
        else:
            found[key] = value
    return found
