"""The life of one VMI, from its creation until its object is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.guests.base import GuestRequest, HypervisorError
from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt import vmi as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS, VMIS, ApiStatusError
from pytest_kvlatency.lab.kubevirt.attach import Attached, SandboxError, attach, detach
from pytest_kvlatency.lab.kubevirt.cluster import RunningGuest
from pytest_kvlatency.lab.kubevirt.faultbook import Subject
from pytest_kvlatency.lab.kubevirt.running import Running

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_kvlatency.lab.guests.base import Guest
    from pytest_kvlatency.lab.kubevirt.cluster import Cluster
    from pytest_kvlatency.lab.spec import FaultSpec

#: Pauses between tries of what a controller or kubelet tries again; the last one repeats.
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
_NO_FIT: Final = "Insufficient devices.kubevirt.io/kvm"

_NO_BRIDGE: Final = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: "
    'plugin type="bridge" failed (add): could not lookup "br1": Link not found'
)


def _pause(attempt: int) -> float:
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]


class Life:
    """One VMI. ``run`` is its whole life; ``observe`` tells it what the API says of its object meanwhile."""

    def __init__(self, cluster: Cluster, vmi: dict[str, Any]) -> None:
        self.vmi = vmi
        self.pod: dict[str, Any] | None = None
        self.guest: Guest | None = None
        self.status: dict[str, Any] = dict(vmi.get("status") or {})
        self._cluster = cluster
        self._deleting = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._attached: list[Attached] = []
        self._node = ""
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
    def node(self) -> str:
        """Where it was placed, or nothing yet."""
        return self._node

    @property
    def awaits_addresses(self) -> bool:
        """Whether the guest is about to get addresses: by cloud-init, or by DHCP."""
        return any(item.nic.lease for item in self._attached) or any(
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
            for item in self._attached
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
        where = self._node if node is None else node
        return Subject(vmi=self.name, node=where, networks=tuple(vmis.networks(self.vmi).values()))

    # Its stages.

    async def _work(self) -> None:
        if self.status.get("phase") in vmis.FINAL_PHASES:
            return
        await self._begin()
        pod = await self._create_pod()
        await self._schedule(pod)
        await self._sandbox(pod)
        await self._pull(pod)
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

    async def _create_pod(self) -> dict[str, Any]:
        attempt = 0
        while True:
            manifest = pods.launcher_manifest(self.vmi)
            refusal = await self._try_pod(manifest)
            if refusal is None:
                break
            message = f"failed to create virtual machine pod: {refusal}"
            self.set_condition("Synchronized", "False", "FailedCreate", message)
            await self.publish()
            self._cluster.emit(self.vmi, "Warning", "FailedCreate", message, "virtualmachine-controller")
            await asyncio.sleep(_pause(attempt))
            attempt += 1
        self.drop_condition("Synchronized")
        assert self.pod is not None  # noqa: S101 (what _try_pod promises)
        text = f"Created virtual machine pod {self.pod['metadata']['name']}"
        self._cluster.emit(self.vmi, "Normal", "SuccessfulCreate", text, "virtualmachine-controller")
        await self.publish("Scheduling")
        return self.pod

    async def _try_pod(self, manifest: dict[str, Any]) -> str | None:
        """Create the pod, or return who refused it."""
        name = manifest["metadata"]["name"]
        fault = self.strike("pod-refused", self._cluster.choose(manifest).node or "")
        if fault is not None:
            default = "exceeded quota: lab, requested: pods=1, used: pods=10, limited: pods=10"
            return f'pods "{name}" is forbidden: {fault.parameters.get("message", default)}'
        try:
            created = await self._cluster.api.create(PODS, self.namespace, manifest)
        except ApiStatusError as error:
            return error.message
        self.pod = {"apiVersion": "v1", "kind": "Pod", **created}
        return None

    async def _schedule(self, pod: dict[str, Any]) -> None:
        attempt = 0
        while True:
            decision = self._cluster.choose(pod)
            message = decision.message
            fault = self.strike("unschedulable", decision.node or "")
            if fault is not None:
                total = len(self._cluster.nodes)
                message = (
                    f"0/{total} nodes are available: {total} {_NO_FIT}. preemption: 0/{total} nodes are "
                    f"available: {total} No preemption victims found for incoming pod."
                )
            elif decision.node is not None:
                self._node = decision.node
                break
            await self._report_unschedulable(pod, message)
            await self._cluster.wait_change(_pause(attempt) if fault is not None else None)
            attempt += 1
        self._cluster.place(self.uid, pod, self._node)
        self.drop_condition("PodScheduled")
        api = self._cluster.api
        name = pod["metadata"]["name"]
        await api.patch(PODS, self.namespace, name, {"spec": {"nodeName": self._node}})
        await self._pod_status("Pending")
        text = f"Successfully assigned {self.namespace}/{name} to {self._node}"
        self._cluster.emit(pod, "Normal", "Scheduled", text, "default-scheduler")

    async def _report_unschedulable(self, pod: dict[str, Any], message: str) -> None:
        before = self.status.get("conditions")
        self.set_condition("PodScheduled", "False", "Unschedulable", message)
        if self.status["conditions"] == before:
            return
        await self._pod_status("Pending", scheduled=False, unschedulable=message)
        await self.publish()
        self._cluster.emit(pod, "Warning", "FailedScheduling", message, "default-scheduler")

    async def _sandbox(self, pod: dict[str, Any]) -> None:
        """Have the networks attached; kubelet tries again and again."""
        attempt = 0
        while (failure := await self._try_sandbox(pod)) is not None:
            self._cluster.emit(pod, "Warning", "FailedCreatePodSandBox", failure, "kubelet", self._node)
            await asyncio.sleep(_pause(attempt))
            attempt += 1
        for item in self._attached:
            if item.nic.network != vmis.POD_NETWORK:
                text = f"Add {item.nic.name} [{item.cni_address or ''}] from {item.nic.network}"
                self._cluster.emit(pod, "Normal", "AddedInterface", text, "multus")

    async def _try_sandbox(self, pod: dict[str, Any]) -> str | None:
        """Attach the networks, or return why they cannot be."""
        fault = self.strike("sandbox-failed")
        if fault is not None:
            return str(fault.parameters.get("message", _NO_BRIDGE))
        try:
            self._attached = await attach(self._cluster, self.vmi, pod["metadata"]["name"])
        except SandboxError as error:
            return str(error)
        return None

    async def _pull(self, pod: dict[str, Any]) -> None:
        """Pull the container disk; as with kubelet, the second failure in a row is a back-off."""
        image = vmis.container_disk(self.vmi)
        attempt = 0
        while (fault := self.strike("image-pull")) is not None:
            reason = fault.parameters.get("reason") or (
                "ErrImagePull" if attempt == 0 else "ImagePullBackOff"
            )
            failed = (
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": not found'
            )
            default = failed if reason == "ErrImagePull" else f'Back-off pulling image "{image}"'
            message = str(fault.parameters.get("message", default))
            self.set_condition("Synchronized", "False", str(reason), message)
            await self._pod_status("Pending", waiting=(str(reason), message))
            await self.publish()
            kind = "Failed" if reason == "ErrImagePull" else "BackOff"
            self._cluster.emit(pod, "Warning", kind, message, "kubelet", self._node)
            await asyncio.sleep(_pause(attempt))
            attempt += 1
        self.drop_condition("Synchronized")

    async def _start(self, pod: dict[str, Any]) -> Guest | None:
        address = next(
            (item.cni_address for item in self._attached if item.nic.network == vmis.POD_NETWORK), None
        )
        await self._pod_status("Running", address=(address or "10.244.255.1").split("/")[0])
        await self._cluster.api.patch(
            PODS,
            self.namespace,
            pod["metadata"]["name"],
            {"metadata": {"annotations": self._network_status()}},
        )
        self.status |= {"nodeName": self._node, "activePods": {pod["metadata"]["uid"]: self._node}}
        self.set_condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
        await self._patch({"metadata": {"labels": {"kubevirt.io/nodeName": self._node}}})
        await self.publish("Scheduled")
        try:
            guest = self._cluster.hypervisor.create(self._request())
            self.guest = guest
            await guest.start()
        except (HypervisorError, ValueError) as error:
            self.guest = None
            self.set_condition("Synchronized", "False", "Synchronizing with the Domain failed.", str(error))
            await self.publish("Failed")
            self._cluster.emit(self.vmi, "Warning", "SyncFailed", str(error), "virt-handler", self._node)
            await self._final_pod()
            return None
        self._cluster.guests[self.namespace, self.name] = RunningGuest(
            uid=self.uid, node=self._node, networks=self.subject().networks, guest=guest
        )
        for reason, text in (("Created", "defined"), ("Started", "started")):
            message = f"VirtualMachineInstance {text}."
            self._cluster.emit(self.vmi, "Normal", reason, message, "virt-handler", self._node)
        return guest

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
            for item in self._attached
        ]
        return {"k8s.v1.cni.cncf.io/network-status": json.dumps(entries)}

    def _request(self) -> GuestRequest:
        user_data, network_data = vmis.cloud_init(self.vmi)
        return GuestRequest(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            node=self._node,
            hostname=vmis.hostname(self.vmi),
            nics=tuple(item.nic for item in self._attached),
            user_data=user_data,
            network_data=network_data,
            image=vmis.container_disk(self.vmi),
            memory_mib=vmis.memory_mib(self.vmi),
            faults=self._cluster.faults.strike_guest(self.subject()),
        )

    async def _pod_status(self, phase: str, **more: Any) -> None:
        if self.pod is not None:
            names = [container["name"] for container in self.pod["spec"]["containers"]]
            status = pods.pod_status(phase, names, **more)
            name = self.pod["metadata"]["name"]
            await self._cluster.api.patch(
                PODS, self.namespace, name, {"status": status}, subresource="status"
            )

    async def _final_pod(self) -> None:
        phase = self.status.get("phase")
        await self._pod_status("Failed" if phase == "Failed" else "Succeeded")

    # Its end.

    async def _end(self) -> None:
        """Stop the guest, remove the pod, then let the object go."""
        await self._stop_guest()
        self._cluster.guests.pop((self.namespace, self.name), None)
        stuck = self.strike("stuck-deletion") is not None
        if self.guest is not None and self.status.get("phase") not in vmis.FINAL_PHASES and not stuck:
            self.set_condition("Ready", "False", "PodTerminating", "virt-launcher pod is terminating")
            await self.publish("Succeeded")
        if self.pod is not None:
            meta = self.pod["metadata"]
            await self._cluster.api.delete(PODS, self.namespace, meta["name"], meta.get("uid", ""))
        detach(self._cluster, self._attached)
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
