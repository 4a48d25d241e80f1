"""The pod to which a VMI migrates: created, scheduled, connected, its image pulled, and gone if nothing comes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS, ApiStatusError
from pytest_kvlatency.lab.kubevirt.attach import SandboxError, attach, detach
from pytest_kvlatency.lab.kubevirt.migrationobject import target_manifest

if TYPE_CHECKING:
    from pytest_kvlatency.lab.kubevirt.attach import Attached
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord

_AGAIN: Final = 1.0
_NO_FIT: Final = "Insufficient devices.kubevirt.io/kvm"


class TargetPodError(Exception):
    """There will be no target pod; the text is the API's."""


class TargetPod:
    """One target pod. ``node`` is where it was placed, empty before; ``pod`` its object, None before."""

    def __init__(self, cluster: LabCluster, record: VmiRecord, migration: dict[str, Any]) -> None:
        self.node = ""
        self.pod: dict[str, Any] | None = None
        self.attached: list[Attached] = []
        self._cluster = cluster
        self._record = record
        self._migration = migration

    @property
    def name(self) -> str:
        """The pod's name, empty before there is one."""
        return "" if self.pod is None else str(self.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid, empty before there is one."""
        return "" if self.pod is None else str(self.pod["metadata"]["uid"])

    async def create(self) -> None:
        """Create it. Raises ``TargetPodError``."""
        version = self._cluster.spec.kubevirt_version
        manifest = target_manifest(self._record.vmi, self._migration, version=version)
        try:
            created = await self._cluster.api.create(PODS, self._record.namespace, manifest)
        except ApiStatusError as error:
            raise TargetPodError(error.message) from error
        self.pod = {"apiVersion": "v1", "kind": "Pod", **created}
        text = f"Created migration target pod {self.name}"
        self._cluster.emit(self._migration, "Normal", "SuccessfulCreate", text, "virtualmachine-controller")

    async def schedule(self, forced: str = "") -> None:
        """Place it; wait for a node as long as it takes. ``forced`` is taken whatever the pod asks for."""
        assert self.pod is not None  # noqa: S101 (create comes first)
        said = ""
        while True:
            decision = self._cluster.choose(self.pod)
            message, node = decision.message, forced or decision.node
            fault = self._record.strike("migration-unschedulable", node or "")
            if fault is not None:
                total = len(self._cluster.nodes)
                message = str(
                    fault.parameters.get("message", f"0/{total} nodes are available: {total} {_NO_FIT}.")
                )
            elif node:
                break
            if message != said:
                said = message
                await self._report_unschedulable(message)
            await self._cluster.wait_change(_AGAIN if fault is not None else None)
        self.node = self._elsewhere(node)
        await self._cluster.bind(self.uid, self.pod, self.node)

    def _elsewhere(self, node: str) -> str:
        """Return where a guest lands that was sent to ``node``: another node where the fault says so."""
        fault = self._record.strike("migration-elsewhere", node)
        if fault is None:
            return node
        others = sorted(name for name in self._cluster.nodes if name not in (node, self._record.node))
        return str(fault.parameters.get("to") or (others[0] if others else node))

    async def _report_unschedulable(self, message: str) -> None:
        assert self.pod is not None  # noqa: S101 (create comes first)
        await self._write_status("Pending", scheduled=False, unschedulable=message)
        self._cluster.emit(self.pod, "Warning", "FailedScheduling", message, "default-scheduler")
        vmi = f"{self._record.namespace}/{self._record.name}"
        text = f"Migration target pod for VMI [{vmi}] is currently unschedulable."
        self._cluster.emit(
            self._migration, "Warning", "migrationTargetPodUnschedulable", text, "virtualmachine-controller"
        )

    async def start(self) -> None:
        """Connect it and start its containers; both are tried until they succeed."""
        assert self.pod is not None  # noqa: S101 (create comes first)
        while (failure := await self._try_sandbox()) is not None:
            self._cluster.emit(self.pod, "Warning", "FailedCreatePodSandBox", failure, "kubelet", self.node)
            await asyncio.sleep(_AGAIN)
        while (fault := self._record.strike("image-pull", self.node)) is not None:
            image = vmis.container_disk(self._record.vmi)
            reason = str(fault.parameters.get("reason", "ImagePullBackOff"))
            message = str(fault.parameters.get("message") or f'Back-off pulling image "{image}"')
            await self._write_status("Pending", waiting=(reason, message))
            self._cluster.emit(self.pod, "Warning", "BackOff", message, "kubelet", self.node)
            await asyncio.sleep(_AGAIN)
        await self._write_status("Running", address="10.244.255.2")

    async def _try_sandbox(self) -> str | None:
        fault = self._record.strike("sandbox-failed", self.node)
        if fault is not None:
            return str(fault.parameters.get("message", "Failed to create pod sandbox"))
        try:
            self.attached = await attach(self._cluster, self._record.vmi, self.name, self.node)
        except SandboxError as error:
            return str(error)
        return None

    async def _write_status(self, phase: str, **more: Any) -> None:
        """Write the pod's status; ``more`` is as for ``pod_status``."""
        assert self.pod is not None  # noqa: S101 (create comes first)
        await self._cluster.write_pod_status(self.pod, phase, **more)

    async def remove(self) -> None:
        """Have it gone, with all that it holds."""
        if self.pod is None:
            return
        self._cluster.leave(self.uid)
        detach(self._cluster, self.attached)
        self.attached = []
        await self._cluster.api.delete(PODS, self._record.namespace, self.name, self.uid)
