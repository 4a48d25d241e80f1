"""The way of a VMI to a pod that may start its guest: created, scheduled, connected, its image pulled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS, ApiStatusError
from pytest_kvlatency.lab.kubevirt.attach import SandboxError, attach
from pytest_kvlatency.units import parse_duration

if TYPE_CHECKING:
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord

#: Pauses between tries of what a controller or kubelet tries again; the last one repeats.
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
#: kubelet's pauses between pulls, and how soon it says that it makes one.
_FIRST_BACK_OFF: Final = "10s"
_LONGEST_BACK_OFF: Final = 300.0
_BACKS_OFF_AFTER: Final = 0.5
_WAITS: Final = 5.0
_NO_FIT: Final = "Insufficient devices.kubevirt.io/kvm"

_NO_BRIDGE: Final = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: "
    'plugin type="bridge" failed (add): could not lookup "br1": Link not found'
)


def _pause(attempt: int) -> float:
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]


class PodSetup:
    """What the virt-controller, the scheduler, Multus and the kubelet do for one VMI."""

    def __init__(self, record: VmiRecord, cluster: LabCluster) -> None:
        self._record = record
        self._cluster = cluster

    async def run(self) -> dict[str, Any]:
        """Return the pod when all is done; each stage is tried until it succeeds, and tells the API why not."""
        pod = await self._create_pod()
        await self._schedule(pod)
        await self._sandbox(pod)
        await self._create_containers()
        await self._pull(pod)
        return pod

    async def _create_pod(self) -> dict[str, Any]:
        attempt = 0
        while True:
            message = await self._try_pod()
            if message is None:
                break
            self._record.set_condition("Synchronized", "False", "FailedCreate", message)
            await self._record.publish()
            self._cluster.emit(
                self._record.vmi, "Warning", "FailedCreate", message, "virtualmachine-controller"
            )
            await asyncio.sleep(_pause(attempt))
            attempt += 1
        self._record.drop_condition("Synchronized")
        assert self._record.pod is not None  # noqa: S101 (what _try_pod promises)
        text = f"Created virtual machine pod {self._record.pod['metadata']['name']}"
        self._cluster.emit(self._record.vmi, "Normal", "SuccessfulCreate", text, "virtualmachine-controller")
        await self._record.publish("Scheduling")
        return self._record.pod

    async def _try_pod(self) -> str | None:
        """Create the pod, or return why there is none."""
        for plugin in vmis.binding_plugins(self._record.vmi):
            if plugin not in self._cluster.spec.bindings:
                return f"failed to render launch manifest: couldn't find configuration for network binding: {plugin}"
        manifest = pods.launcher_manifest(self._record.vmi)
        name = manifest["metadata"]["name"]
        fault = self._record.strike("pod-refused", self._cluster.choose(manifest).node or "")
        if fault is not None:
            default = "exceeded quota: lab, requested: pods=1, used: pods=10, limited: pods=10"
            refusal = f'pods "{name}" is forbidden: {fault.parameters.get("message", default)}'
            return f"failed to create virtual machine pod: {refusal}"
        try:
            created = await self._cluster.api.create(PODS, self._record.namespace, manifest)
        except ApiStatusError as error:
            return f"failed to create virtual machine pod: {error.message}"
        self._record.pod = {"apiVersion": "v1", "kind": "Pod", **created}
        return None

    async def _schedule(self, pod: dict[str, Any]) -> None:
        attempt = 0
        while True:
            decision = self._cluster.choose(pod)
            message = decision.message
            fault = self._record.strike("unschedulable", decision.node or "")
            if fault is not None:
                total = len(self._cluster.nodes)
                message = (
                    f"0/{total} nodes are available: {total} {_NO_FIT}. preemption: 0/{total} nodes are "
                    f"available: {total} No preemption victims found for incoming pod."
                )
            elif decision.node is not None:
                self._record.node = decision.node
                break
            await self._report_unschedulable(pod, message)
            await self._cluster.wait_change(_pause(attempt) if fault is not None else None)
            attempt += 1
        self._record.drop_condition("PodScheduled")
        await self._cluster.bind(self._record.uid, pod, self._record.node)

    async def _report_unschedulable(self, pod: dict[str, Any], message: str) -> None:
        before = self._record.status.get("conditions")
        self._record.set_condition("PodScheduled", "False", "Unschedulable", message)
        if self._record.status["conditions"] == before:
            return
        await self._record.write_pod_status("Pending", scheduled=False, unschedulable=message)
        await self._record.publish()
        self._cluster.emit(pod, "Warning", "FailedScheduling", message, "default-scheduler")

    async def _sandbox(self, pod: dict[str, Any]) -> None:
        """Have the networks attached; kubelet tries again and again."""
        attempt = 0
        while (failure := await self._try_sandbox(pod)) is not None:
            self._cluster.emit(
                pod, "Warning", "FailedCreatePodSandBox", failure, "kubelet", self._record.node
            )
            await asyncio.sleep(_pause(attempt))
            attempt += 1
        for item in self._record.attached:
            if item.nic.network != vmis.POD_NETWORK:
                text = f"Add {item.nic.name} [{item.cni_address or ''}] from {item.nic.network}"
                self._cluster.emit(pod, "Normal", "AddedInterface", text, "multus")

    async def _try_sandbox(self, pod: dict[str, Any]) -> str | None:
        """Attach the networks, or return why they cannot be."""
        fault = self._record.strike("sandbox-failed")
        if fault is not None:
            return str(fault.parameters.get("message", _NO_BRIDGE))
        try:
            name = pod["metadata"]["name"]
            self._record.attached = await attach(self._cluster, self._record.vmi, name, self._record.node)
        except SandboxError as error:
            return str(error)
        return None

    async def _create_containers(self) -> None:
        while (fault := self._record.strike("container-waiting")) is not None:
            reason = str(fault.parameters.get("state", "CreateContainerError"))
            words = str(fault.parameters.get("message", "context deadline exceeded"))
            await self._record.write_pod_status("Pending", waiting=(reason, words))
            await asyncio.sleep(_WAITS)

    async def _pull(self, pod: dict[str, Any]) -> None:
        """Pull the container disk; as with kubelet, a failure is followed by a back-off that grows."""
        image = vmis.container_disk(self._record.vmi)
        tries = 0
        while (fault := self._record.strike("image-pull")) is not None:
            only, words = fault.parameters.get("reason"), fault.parameters.get("message")
            if only != "ImagePullBackOff":
                failed = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": not found'
                await self._report_pull(pod, "ErrImagePull", "Failed", str(words or failed))
            if only is None:
                await asyncio.sleep(_BACKS_OFF_AFTER)
            if only != "ErrImagePull":
                backed_off = (only and words) or f'Back-off pulling image "{image}"'
                await self._report_pull(pod, "ImagePullBackOff", "BackOff", str(backed_off))
            first = parse_duration(str(fault.parameters.get("back_off", _FIRST_BACK_OFF))) / 1e9
            await asyncio.sleep(min(_LONGEST_BACK_OFF, first * 2**tries))
            tries += 1
        self._record.drop_condition("Synchronized")

    async def _report_pull(self, pod: dict[str, Any], reason: str, event: str, message: str) -> None:
        self._record.set_condition("Synchronized", "False", reason, message)
        await self._record.write_pod_status("Pending", waiting=(reason, message))
        await self._record.publish()
        image = vmis.container_disk(self._record.vmi)
        told = f'Failed to pull image "{image}": {message}' if event == "Failed" else message
        self._cluster.emit(pod, "Warning", event, told, "kubelet", self._record.node)
