"""The life of one VMI, from its creation until its object is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.guests.base import GuestRequest, HypervisorError
from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS, VMIS
from pytest_kvlatency.lab.kubevirt.attach import Attached, detach
from pytest_kvlatency.lab.kubevirt.faultbook import Subject
from pytest_kvlatency.lab.kubevirt.labcluster import RunningGuest
from pytest_kvlatency.lab.kubevirt.podsetup import PodSetup
from pytest_kvlatency.lab.kubevirt.running import Running

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_kvlatency.lab.guests.base import Guest
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

_SYNC_FAILED: Final = 'server error. command SyncVMI failed: "failed to create SR-IOV hostdevices"'
#: virt-handler tries again after so many seconds.
_SYNC_PAUSE: Final = 1.0


class Life:
    """One VMI. ``run`` is its whole life; ``observe`` tells it what the API says of its object meanwhile.

    ``node`` is where it was placed, empty before; ``pod``, ``guest`` and ``attached`` come to be on the way.
    """

    def __init__(self, cluster: LabCluster, vmi: dict[str, Any]) -> None:
        self.vmi = vmi
        self.pod: dict[str, Any] | None = None
        self.guest: Guest | None = None
        self.status: dict[str, Any] = dict(vmi.get("status") or {})
        self._cluster = cluster
        self._deleting = asyncio.Event()
        self._publishing = asyncio.Lock()
        self.attached: list[Attached] = []
        self.node = ""
        self.observe(vmi)

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

    def observe(self, vmi: dict[str, Any]) -> None:
        """Take note of the object's latest state."""
        self.vmi = vmi
        if vmi["metadata"].get("deletionTimestamp"):
            self._deleting.set()

    def vanished(self) -> None:
        """Take note that the object is gone, finalizer or not."""
        self._deleting.set()

    def pod_vanished(self) -> None:
        """Somebody deleted the pod: the guest dies with it."""
        if self.guest is not None and not self._deleting.is_set():
            self._cluster.spawn(self.guest.kill())

    async def run(self) -> None:
        """Live, until the object is gone."""
        work = asyncio.create_task(self._work())
        deleting = asyncio.create_task(self._deleting.wait())
        try:
            await asyncio.wait({work, deleting}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            await deleting
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            await self._end()
        finally:
            work.cancel()
            deleting.cancel()

    # What others write of it.

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
            await self._patch({"status": self.status})

    async def _patch(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Change this VMI's object, never one of the same name that came after it."""
        meta = {**body.get("metadata", {}), "uid": self.uid}
        return await self._cluster.api.patch(VMIS, self.namespace, self.name, {**body, "metadata": meta})

    def strike(self, name: str, node: str | None = None) -> FaultSpec | None:
        """Ask whether a fault strikes this VMI now."""
        return self._cluster.faults.strike(name, self.subject(node))

    def subject(self, node: str | None = None) -> Subject:
        """Return this VMI as faults see it."""
        where = self.node if node is None else node
        return Subject(vmi=self.name, node=where, networks=tuple(vmis.networks(self.vmi).values()))

    # Its stages.

    async def _work(self) -> None:
        if self.status.get("phase") in vmis.FINAL_PHASES:
            return
        await self._begin()
        pod = await PodSetup(self, self._cluster).run()
        guest = await self._start(pod)
        if guest is not None:
            await Running(self, self._cluster, guest).watch()
            await self._final_pod()

    async def _begin(self) -> None:
        self.status = vmis.enter_phase(self.status, "Pending")
        text = "virt-launcher pod has not yet been scheduled"
        self.set_condition("Ready", "False", "PodNotExists", text)
        patch = vmis.defaults(self.vmi) | {"status": self.status}
        updated = await self._patch(patch)
        if updated is None:
            self.vanished()
        else:
            self.observe(updated)

    async def _start(self, pod: dict[str, Any]) -> Guest | None:
        address = next(
            (item.cni_address for item in self.attached if item.nic.network == vmis.POD_NETWORK), None
        )
        await self.write_pod_status("Running", address=(address or "10.244.255.1").split("/")[0])
        await self._cluster.api.patch(
            PODS,
            self.namespace,
            pod["metadata"]["name"],
            {"metadata": {"annotations": self._network_status()}},
        )
        self.status |= {"nodeName": self.node, "activePods": {pod["metadata"]["uid"]: self.node}}
        self.set_condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
        await self._patch({"metadata": {"labels": {"kubevirt.io/nodeName": self.node}}})
        await self.publish("Scheduled")
        while (fault := self.strike("sync-failed")) is not None:
            self._report_unsynchronized(str(fault.parameters.get("message", _SYNC_FAILED)))
            await self.publish()
            await asyncio.sleep(_SYNC_PAUSE)
        self.drop_condition("Synchronized")
        try:
            guest = self._cluster.hypervisor.create(self._request())
            self.guest = guest
            await guest.start()
        except (HypervisorError, ValueError) as error:
            self.guest = None
            self._report_unsynchronized(str(error))
            await self.publish("Failed")
            await self._final_pod()
            return None
        self._cluster.guests[self.namespace, self.name] = RunningGuest(
            uid=self.uid, node=self.node, networks=self.subject().networks, guest=guest
        )
        for reason, text in (("Created", "defined"), ("Started", "started")):
            message = f"VirtualMachineInstance {text}."
            self._cluster.emit(self.vmi, "Normal", reason, message, "virt-handler", self.node)
        return guest

    def _report_unsynchronized(self, message: str) -> None:
        self.set_condition("Synchronized", "False", "Synchronizing with the Domain failed.", message)
        self._cluster.emit(self.vmi, "Warning", "SyncFailed", message, "virt-handler", self.node)

    def _network_status(self) -> dict[str, str]:
        entries = [
            {
                "name": item.nic.network,
                "interface": vmis.interface_status(
                    item.nic.name, "", item.nic.network, lease=None, agent=None
                )["podInterfaceName"],
                "ips": [item.cni_address.split("/")[0]] if item.cni_address else [],
                "mac": item.nic.mac,
                "default": item.nic.network == vmis.POD_NETWORK,
                "dns": {},
            }
            for item in self.attached
        ]
        return {"k8s.v1.cni.cncf.io/network-status": json.dumps(entries)}

    def _request(self) -> GuestRequest:
        user_data, network_data = vmis.cloud_init(self.vmi)
        return GuestRequest(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            node=self.node,
            hostname=vmis.hostname(self.vmi),
            nics=tuple(item.nic for item in self.attached),
            user_data=user_data,
            network_data=network_data,
            image=vmis.container_disk(self.vmi),
            memory_mib=vmis.memory_mib(self.vmi),
            faults=self._cluster.faults.strike_guest(self.subject()),
        )

    async def write_pod_status(self, phase: str, **more: Any) -> None:
        """Write the pod's status, if there is a pod; ``more`` is as for ``pod_status``."""
        if self.pod is not None:
            names = [container["name"] for container in self.pod["spec"]["containers"]]
            status = pods.pod_status(phase, names, **more)
            name = self.pod["metadata"]["name"]
            await self._cluster.api.patch(
                PODS, self.namespace, name, {"status": status}, subresource="status"
            )

    async def _final_pod(self) -> None:
        phase = self.status.get("phase")
        await self.write_pod_status("Failed" if phase == "Failed" else "Succeeded")

    # Its end.

    async def _end(self) -> None:
        """Stop the guest, remove the pod, then let the object go."""
        if self.guest is not None and self.strike("handler-dead") is not None:
            return
        await self._stop_guest()
        self._cluster.guests.pop((self.namespace, self.name), None)
        stuck = self.strike("stuck-deletion") is not None
        if self.guest is not None and self.status.get("phase") not in vmis.FINAL_PHASES:
            self.set_condition("Ready", "False", "PodTerminating", "virt-launcher pod is terminating")
            await self.publish("Succeeded")
        if self.pod is not None:
            await asyncio.sleep(self._cluster.spec.deletion_seconds)
            meta = self.pod["metadata"]
            await self._cluster.api.delete(PODS, self.namespace, meta["name"], meta.get("uid", ""))
        detach(self._cluster, self.attached)
        self._cluster.leave(self.uid)
        if stuck:
            return
        left = [item for item in self.vmi["metadata"].get("finalizers") or [] if item != vmis.FINALIZER]
        await self._patch({"metadata": {"finalizers": left}})

    async def _stop_guest(self) -> None:
        if self.guest is None:
            return
        exited = self._cluster.spawn(_ignore(self.guest.wait_exit()))
        grace = vmis.grace_seconds(self.vmi)
        if grace > 0 and not exited.done():
            await self.guest.shutdown()
            await asyncio.wait({exited}, timeout=grace)
        if not exited.done():
            await self.guest.kill()
            await exited


async def _ignore(work: Coroutine[Any, Any, object]) -> None:
    await work
