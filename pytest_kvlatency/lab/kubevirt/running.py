"""A VMI while its guest runs: the phase, the guest agent's reports, faults that strike later, and the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import MIGRATIONS, VMIS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.lab.guests.base import Guest
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

#: Seconds between virt-launcher's questions to the agent after the connection; the last one repeats.
AGENT_PAUSES: Final = (10.0, 10.0, 20.0, 40.0, 40.0, 120.0)
#: Seconds between looks whether the agent is there already; growing, so that many guests cost little.
_CONNECT_PAUSES: Final = (0.05, 0.1, 0.2, 0.3, 0.5)
#: How long a report without addresses waits for a better one.
_SETTLE_SECONDS: Final = 20.0
_LATER: Final = ("vmi-failed", "vmi-deleted", "guest-crash", "migration")


class Running:
    """The time between Running and Succeeded or Failed."""

    def __init__(self, record: VmiRecord, cluster: LabCluster, guest: Guest) -> None:
        self._record = record
        self._cluster = cluster
        self._guest = guest
        self._crashed = ""

    async def watch(self) -> None:
        """Publish Running, and return when the guest has exited and the final phase is published."""
        record = self._record
        record.set_interfaces(None)
        record.set_condition("Ready", "True")
        self._judge_migratable()
        await record.publish("Running")
        tasks = [asyncio.create_task(self._agent())]
        for name in _LATER:
            fault = record.strike(name)
            if fault is not None:
                tasks.append(asyncio.create_task(self._later(fault)))
        try:
            exit_ = await self._guest.wait_exit()
        finally:
            for task in tasks:
                task.cancel()
        failed = exit_.how == "crash" or bool(self._crashed) or exit_.how == "stopped"
        record.set_condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
        record.drop_condition("AgentConnected")
        await record.publish("Failed" if failed else "Succeeded")
        reason, text = (
            ("Stopped", "The VirtualMachineInstance crashed.")
            if failed
            else (
                "Stopped",
                "The VirtualMachineInstance was shut down.",
            )
        )
        self._cluster.emit(
            record.vmi, "Warning" if failed else "Normal", reason, text, "virt-handler", record.node
        )

    async def _agent(self) -> None:
        """Report what the guest agent says, once it is there, at the intervals of virt-launcher."""
        record = self._record
        if not self._cluster.spec.agent or record.strike("no-agent") is not None:
            return
        addresses = await self._connected()
        record.set_condition("AgentConnected", "True")
        record.status["guestOSInfo"] = vmis.guest_os_info(record.vmi)
        attempt = 0
        while True:
            before = record.status.get("interfaces")
            record.set_interfaces({mac.lower(): list(found) for mac, found in addresses.items()})
            if attempt == 0 or record.status["interfaces"] != before:
                await record.publish()
            await asyncio.sleep(AGENT_PAUSES[min(attempt, len(AGENT_PAUSES) - 1)])
            attempt += 1
            addresses = await self._guest.addresses()

    async def _connected(self) -> Mapping[str, Sequence[str]]:
        """Wait for the agent, and return its first report.

        In a real image the agent's service starts after the network's: a report without an address that somebody
        gave some interface is taken for the first one only when none came for a while.
        """
        loop = asyncio.get_running_loop()
        settled: float | None = None
        attempt = 0
        while True:
            addresses = await self._guest.addresses()
            if addresses:
                settled = settled or loop.time() + (_SETTLE_SECONDS if self._record.awaits_addresses else 0)
                if all(map(_configured, addresses.values())) or loop.time() >= settled:
                    return addresses
            await asyncio.sleep(_CONNECT_PAUSES[min(attempt, len(_CONNECT_PAUSES) - 1)])
            attempt += 1

    async def _later(self, fault: FaultSpec) -> None:
        await asyncio.sleep(fault.after_seconds)
        record = self._record
        if fault.fault == "vmi-deleted":
            await self._cluster.api.delete(VMIS, record.namespace, record.name, record.uid)
        elif fault.fault == "migration":
            await self._migrate(str(fault.parameters.get("to") or ""))
        else:
            self._crashed = fault.fault
            await self._guest.kill()

    async def _migrate(self, to: str) -> None:
        """Migrate the VMI as the drain of its node does: ``to`` a node, whatever the VMI asks for, if given."""
        record = self._record
        # As the drain does, whose eviction is tried again.
        await record.settled.wait()
        record.next_node = to
        body = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstanceMigration",
            "metadata": {"generateName": "kubevirt-evacuation-"},
            "spec": {"vmiName": record.name},
        }
        await self._cluster.api.create(MIGRATIONS, record.namespace, body)

    def _judge_migratable(self) -> None:
        """Say whether the guest can be migrated, which says nothing of a node that it could go to."""
        record = self._record
        fault = record.strike("not-migratable")
        obstacle = vmis.migration_obstacle(record.vmi)
        if fault is not None:
            default = "VMI uses a PCI host devices"
            obstacle = "HostDeviceNotLiveMigratable", str(fault.parameters.get("message", default))
        if obstacle is not None:
            record.set_condition("LiveMigratable", "False", *obstacle)
            return
        record.set_condition("LiveMigratable", "True")
        record.status["migrationMethod"] = "BlockMigration"


def _configured(addresses: Sequence[str]) -> bool:
    """Whether an interface has more than the link-local address that it gave itself."""
    return any(not address.lower().startswith("fe80:") for address in addresses)
