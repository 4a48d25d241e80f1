"""The life of one VMI, from its creation until its object is gone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import PODS
from pytest_kvlatency.lab.kubevirt.attach import detach
from pytest_kvlatency.lab.kubevirt.gueststart import GuestStart
from pytest_kvlatency.lab.kubevirt.podsetup import PodSetup
from pytest_kvlatency.lab.kubevirt.record import VmiRecord
from pytest_kvlatency.lab.kubevirt.running import Running

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster


class Life:
    """One VMI. ``run`` is its whole life; ``observe`` tells it what the API says of its object meanwhile."""

    def __init__(self, cluster: LabCluster, vmi: dict[str, Any]) -> None:
        self.record = VmiRecord(cluster, vmi)
        self._cluster = cluster
        self._deleting = asyncio.Event()
        self.observe(vmi)

    def observe(self, vmi: dict[str, Any]) -> None:
        """Take note of the object's latest state."""
        self.record.vmi = vmi
        if vmi["metadata"].get("deletionTimestamp"):
            self._deleting.set()

    def vanished(self) -> None:
        """Take note that the object is gone, finalizer or not."""
        self._deleting.set()

    def pod_vanished(self) -> None:
        """Somebody deleted the pod: the guest dies with it."""
        if self.record.guest is not None and not self._deleting.is_set():
            self._cluster.spawn(self.record.guest.kill())

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

    async def _work(self) -> None:
        if self.record.status.get("phase") in vmis.FINAL_PHASES:
            return
        await self._begin()
        pod = await PodSetup(self.record, self._cluster).run()
        guest = await GuestStart(self.record, self._cluster).run(pod)
        if guest is not None:
            await Running(self.record, self._cluster, guest).watch()
        final = "Failed" if self.record.status.get("phase") == "Failed" else "Succeeded"
        await self.record.write_pod_status(final)

    async def _begin(self) -> None:
        record = self.record
        record.status = vmis.enter_phase(record.status, "Pending")
        text = "virt-launcher pod has not yet been scheduled"
        record.set_condition("Ready", "False", "PodNotExists", text)
        patch = vmis.defaults(record.vmi) | {"status": record.status}
        updated = await record.patch(patch)
        if updated is None:
            self.vanished()
        else:
            self.observe(updated)

    async def _end(self) -> None:
        """Stop the guest, remove the pod, then let the object go."""
        record = self.record
        if record.guest is not None and record.strike("handler-dead") is not None:
            return
        await record.settled.wait()
        await self._stop_guest()
        self._cluster.guests.pop((record.namespace, record.name), None)
        stuck = record.strike("stuck-deletion") is not None
        if record.guest is not None and record.status.get("phase") not in vmis.FINAL_PHASES:
            record.set_condition("Ready", "False", "PodTerminating", "virt-launcher pod is terminating")
            await record.publish("Succeeded")
        if record.pod is not None:
            await asyncio.sleep(self._cluster.spec.deletion_seconds)
            meta = record.pod["metadata"]
            await self._cluster.api.delete(PODS, record.namespace, meta["name"], meta.get("uid", ""))
        detach(self._cluster, record.attached)
        self._cluster.leave(record.uid)
        if stuck:
            return
        left = [item for item in record.vmi["metadata"].get("finalizers") or [] if item != vmis.FINALIZER]
        await record.patch({"metadata": {"finalizers": left}})

    async def _stop_guest(self) -> None:
        if self.record.guest is None:
            return
        exited = self._cluster.spawn(_ignore(self.record.guest.wait_exit()))
        grace = vmis.grace_seconds(self.record.vmi)
        if grace > 0 and not exited.done():
            await self.record.guest.shutdown()
            await asyncio.wait({exited}, timeout=grace)
        if not exited.done():
            await self.record.guest.kill()
            await exited


async def _ignore(work: Coroutine[Any, Any, object]) -> None:
    await work
