"""The start of a VMI's guest in its pod, as virt-handler does it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.guests.base import GuestRequest, HypervisorError
from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS
from pytest_kvlatency.lab.kubevirt.labcluster import RunningGuest

if TYPE_CHECKING:
    from pytest_kvlatency.lab.guests.base import Guest
    from pytest_kvlatency.lab.kubevirt.attach import Attached
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord

_SYNC_FAILED: Final = 'server error. command SyncVMI failed: "failed to create SR-IOV hostdevices"'
#: virt-handler tries again after so many seconds.
_SYNC_PAUSE: Final = 1.0


class GuestStart:
    """The time between Scheduling and Running."""

    def __init__(self, record: VmiRecord, cluster: LabCluster) -> None:
        self._record = record
        self._cluster = cluster

    async def run(self, pod: dict[str, Any]) -> Guest | None:
        """Start the guest in ``pod`` and return it, or None when the VMI has failed instead."""
        record = self._record
        address = next(
            (item.cni_address for item in record.attached if item.nic.network == vmis.POD_NETWORK), None
        )
        await record.write_pod_status("Running", address=(address or "10.244.255.1").split("/")[0])
        await self._cluster.api.patch(
            PODS,
            record.namespace,
            pod["metadata"]["name"],
            {"metadata": {"annotations": _network_status(record.attached)}},
        )
        record.status |= {"nodeName": record.node, "activePods": {pod["metadata"]["uid"]: record.node}}
        record.set_condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
        await record.patch({"metadata": {"labels": {"kubevirt.io/nodeName": record.node}}})
        await record.publish("Scheduled")
        while (fault := record.strike("sync-failed")) is not None:
            self._report_unsynchronized(str(fault.parameters.get("message", _SYNC_FAILED)))
            await record.publish()
            await asyncio.sleep(_SYNC_PAUSE)
        record.drop_condition("Synchronized")
        try:
            guest = self._cluster.hypervisor.create(self._request())
            record.guest = guest
            await guest.start()
        except (HypervisorError, ValueError) as error:
            record.guest = None
            self._report_unsynchronized(str(error))
            await record.publish("Failed")
            return None
        self._cluster.guests[record.namespace, record.name] = RunningGuest(
            uid=record.uid, node=record.node, networks=record.subject().networks, guest=guest
        )
        for reason, text in (("Created", "defined"), ("Started", "started")):
            message = f"VirtualMachineInstance {text}."
            self._cluster.emit(record.vmi, "Normal", reason, message, "virt-handler", record.node)
        return guest

    def _report_unsynchronized(self, message: str) -> None:
        self._record.set_condition("Synchronized", "False", "Synchronizing with the Domain failed.", message)
        self._cluster.emit(
            self._record.vmi, "Warning", "SyncFailed", message, "virt-handler", self._record.node
        )

    def _request(self) -> GuestRequest:
        user_data, network_data = vmis.cloud_init(self._record.vmi)
        return GuestRequest(
            namespace=self._record.namespace,
            name=self._record.name,
            uid=self._record.uid,
            node=self._record.node,
            hostname=vmis.hostname(self._record.vmi),
            nics=tuple(item.nic for item in self._record.attached),
            user_data=user_data,
            network_data=network_data,
            image=vmis.container_disk(self._record.vmi),
            memory_mib=vmis.memory_mib(self._record.vmi),
            faults=self._cluster.faults.strike_guest(self._record.subject()),
        )


def _network_status(attached: list[Attached]) -> dict[str, str]:
    entries = [
        {
            "name": item.nic.network,
            "interface": vmis.interface_status(item.nic.name, "", item.nic.network, lease=None, agent=None)[
                "podInterfaceName"
            ],
            "ips": [item.cni_address.split("/")[0]] if item.cni_address else [],
            "mac": item.nic.mac,
            "default": item.nic.network == vmis.POD_NETWORK,
            "dns": {},
        }
        for item in attached
    ]
    return {"k8s.v1.cni.cncf.io/network-status": json.dumps(entries)}
