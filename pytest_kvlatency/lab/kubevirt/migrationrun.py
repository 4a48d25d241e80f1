"""One live migration, as virt-controller and the two virt-handlers carry it out together.

The order of what changes in the migration, the VMI and the pods, and how its times relate, are those of a KubeVirt
1.6 that was watched; only that all goes faster here (``MigrationSpec.seconds``).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.kubevirt import migrationobject as migrations
from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import MIGRATIONS
from pytest_kvlatency.lab.kubevirt.attach import detach
from pytest_kvlatency.lab.kubevirt.migrationpod import TargetPod, TargetPodError
from pytest_kvlatency.lab.kubevirt.timestamp import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_kvlatency.lab.guests.base import Guest, Move
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord

#: How long each step takes, as a share of the whole (which ends with Succeeded).
_SEEN, _TURN, _POD, _HANDED_OVER, _PREPARED, _STARTED = 0.03, 0.02, 0.25, 0.02, 0.1, 0.05
_TOLD, _COMPLETED, _SUCCEEDED, _READY = 0.05, 0.03, 0.03, 0.2
#: After its final phase the migration gets its own ``migrationState``; always so late, for clients must wait for it.
_EPILOGUE_SECONDS: Final = 0.1
#: Between looks at a VMI that does not run yet.
_LOOK_SECONDS: Final = 0.05
#: How long the console cannot be opened after the guest has moved.
_CONSOLE_SECONDS: Final = (0.1, 0.5)
_FAILS: Final = (
    "Live migration failed: error encountered during MigrateToURI3 libvirt api call: "
    "operation failed: Unable to write to socket: Bad file descriptor"
)


class MigrationRun:
    """One migration from its creation to its final phase.

    ``turn`` waits until as few others are under way as the cluster allows.
    """

    def __init__(
        self,
        cluster: LabCluster,
        record: VmiRecord,
        migration: dict[str, Any],
        turn: Callable[[MigrationRun], Awaitable[None]],
    ) -> None:
        self.record = record
        self._migration = migration
        self._cluster = cluster
        self._turn = turn
        self._aborting = asyncio.Event()
        self._target = TargetPod(cluster, record, migration)
        self._move: Move | None = None
        self._transferring = self._moved = False
        self._source = ""
        self._seconds = cluster.spec.migration.seconds
        seed = cluster.spec.seed
        self._random = Random(None if seed is None else f"{seed}/{record.name}")  # noqa: S311 (a simulation, no secret)

    @property
    def uid(self) -> str:
        """The migration's uid."""
        return str(self._migration["metadata"]["uid"])

    @property
    def source(self) -> str:
        """The node that the guest leaves."""
        return self._source or self.record.node

    def abort(self) -> None:
        """Give up, unless the guest has moved; ``run`` returns when all is cleaned up."""
        self._aborting.set()

    def pod_vanished(self, uid: str) -> None:
        """Take note that a pod is gone: without its target a migration fails."""
        if uid and uid == self._target.uid and not self._moved:
            self._aborting.set()

    async def run(self) -> None:
        """Migrate. Returns after the final phase, whatever came of it."""
        record = self.record
        record.settled.clear()
        work = asyncio.create_task(self._work())
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(self._aborting.wait())]
        if record.guest is not None:
            ends.append(asyncio.create_task(_ended(record.guest)))
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            aborted = not work.done()
            try:
                if aborted:
                    await self._give_up(work)
                await work
            except asyncio.CancelledError:
                if not work.cancelled():
                    raise
            except (HypervisorError, TargetPodError) as error:
                if not aborted:
                    await self._fail(str(error))
            if aborted and not self._moved:
                await self._fail(migrations.ABORTED, aborted=True)
        finally:
            for task in (work, *ends):
                task.cancel()
            record.settled.set()

    async def _give_up(self, work: asyncio.Task[None]) -> None:
        """End the work, unless the guest has moved; one that is about to move may yet get there."""
        if self._transferring and self._move is not None:
            await self._move.cancel()
        else:
            work.cancel()

    async def _pause(self, share: float) -> None:
        await asyncio.sleep(share * self._seconds)

    async def _enter(self, phase: str) -> None:
        status = vmis.enter_phase(self._migration.get("status") or {}, phase)
        self._migration = {**self._migration, "status": status}
        await self._write({"status": status})

    async def _write(self, body: dict[str, Any], subresource: str = "status") -> None:
        meta = {**body.get("metadata", {}), "uid": self.uid}
        where = self._migration["metadata"]
        await self._cluster.api.patch(
            MIGRATIONS, where["namespace"], where["name"], {**body, "metadata": meta}, subresource
        )

    async def _work(self) -> None:
        record = self.record
        await self._pause(_SEEN)
        await self._enter("Pending")
        if record.strike("migration-pending") is not None:
            await asyncio.Event().wait()
        while record.guest is None or record.status.get("phase") != "Running":  # noqa: ASYNC110 (it polls)
            await asyncio.sleep(_LOOK_SECONDS)
        await self._turn(self)
        self._source = record.node
        await self._pause(_TURN)
        await self._target.create()
        await self._enter("Scheduling")
        await self._schedule()
        await self._pause(_POD)
        await self._target.start()
        await self._prepare()
        await self._transfer()
        await self._complete()

    async def _schedule(self) -> None:
        forced, self.record.next_node = self.record.next_node, ""
        placing = self._target.schedule(forced)
        try:
            await asyncio.wait_for(placing, self._cluster.spec.migration.pending_seconds)
        except asyncio.TimeoutError:
            raise TargetPodError("target pod has been unschedulable for too long") from None

    async def _prepare(self) -> None:
        """From Scheduled to TargetReady: the target is set up, and the VMI says that it migrates."""
        record, target = self.record, self._target
        await self._enter("Scheduled")
        source_pod = "" if record.pod is None else record.pod["metadata"]["name"]
        record.status["migrationState"] = migrations.first_state(
            self._migration,
            self._cluster.spec.migration,
            source=record.node,
            source_pod=source_pod,
            target=target.node,
            target_pod=target.name,
        )
        record.status["activePods"] = {**(record.status.get("activePods") or {}), target.uid: target.node}
        await record.patch({"metadata": {"labels": {"kubevirt.io/migrationTargetNodeName": target.node}}})
        await record.publish()
        await self._pause(_HANDED_OVER)
        await self._enter("PreparingTarget")
        assert record.guest is not None  # noqa: S101 (_work waits for it)
        self._move = await record.guest.prepare_move(target.node)
        await self._pause(_PREPARED)
        await self._enter("TargetReady")
        await self._pause(_STARTED)
        # The guest does not move before the network has recovered from the set-up of the target.
        await asyncio.sleep(self._cluster.guest_seconds(self._cluster.spec.migration.preparation_gap_seconds))

    async def _transfer(self) -> None:
        """The phase Running, until the guest runs on the other node."""
        record = self.record
        assert self._move is not None  # noqa: S101 (what _prepare made)
        record.status["migrationState"] = {
            **record.status["migrationState"],
            "startTimestamp": now(),
            "mode": "PreCopy",
        }
        await record.publish()
        await self._enter("Running")
        slow = record.strike("migration-slow", self._target.node)
        if slow is not None:
            await asyncio.sleep(slow.after_seconds)
        fails = record.strike("migration-fails", self._target.node)
        if fails is not None:
            await self._pause(_PREPARED)
            raise HypervisorError(str(fails.parameters.get("message", _FAILS)))
        self._transferring = True
        await self._move.run()
        self._moved = True

    async def _complete(self) -> None:
        """The guest is on the other node: let everything follow it there."""
        record, cluster, target = self.record, self._cluster, self._target
        old = record.pod
        record.node, record.pod = target.node, target.pod
        assert target.pod is not None  # noqa: S101 (the guest has moved to it)
        cluster.leave(target.uid)
        cluster.place(record.uid, target.pod, target.node)
        # The guest keeps the addresses that it has.
        detach(cluster, target.attached)
        running = cluster.guests.get((record.namespace, record.name))
        if running is not None:
            opens_at = asyncio.get_running_loop().time() + self._random.uniform(*_CONSOLE_SECONDS)
            cluster.guests[record.namespace, record.name] = replace(
                running, node=target.node, left=asyncio.Event(), opens_at=opens_at
            )
            running.left.set()
        await self._pause(_TOLD)
        record.status["nodeName"] = target.node
        record.set_condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
        await record.patch({"metadata": {"labels": {"kubevirt.io/nodeName": target.node}}})
        await record.publish()
        await self._pause(_COMPLETED)
        record.status["migrationState"] = migrations.ended_state(record.status["migrationState"])
        record.status["activePods"] = {target.uid: target.node}
        await record.publish()
        await self._pause(_SUCCEEDED)
        await self._enter("Succeeded")
        text = f"The VirtualMachineInstance migrated to node {target.node}."
        cluster.emit(record.vmi, "Normal", "Migrated", text, "virt-handler", self._source)
        cluster.spawn(self._afterwards())
        if old is not None:
            await cluster.write_pod_status(old, "Succeeded")
        await self._pause(_READY)
        if record.status.get("phase") == "Running":
            record.set_condition("Ready", "True")
            await record.publish()

    async def _fail(self, reason: str, *, aborted: bool = False) -> None:
        """Leave the guest where it is, and everything as it was."""
        record = self.record
        if self._move is not None:
            with contextlib.suppress(HypervisorError):
                await self._move.cancel()
        state = record.status.get("migrationState") or {}
        if state.get("migrationUid") == self.uid:
            record.status["migrationState"] = migrations.ended_state(
                state, failure_reason=reason, aborted=aborted
            )
            active = record.status.get("activePods") or {}
            record.status["activePods"] = {
                uid: node for uid, node in active.items() if uid != self._target.uid
            }
            await record.patch({"metadata": {"labels": {"kubevirt.io/migrationTargetNodeName": None}}})
            await record.publish()
        await self._target.remove()
        await self._enter("Failed")
        text = f"VirtualMachineInstance migration uid {self.uid} failed. reason:{reason}"
        self._cluster.emit(record.vmi, "Warning", "FailedMigration", text, "virtualmachine-controller")
        self._cluster.spawn(self._afterwards())

    async def _afterwards(self) -> None:
        """Copy what became of it from the VMI, and let it be deleted."""
        await asyncio.sleep(_EPILOGUE_SECONDS)
        state = self.record.status.get("migrationState") or {}
        if state.get("migrationUid") == self.uid:
            await self._write({"status": {"migrationState": state}})
        finalizers = self._migration["metadata"].get("finalizers") or []
        left = [one for one in finalizers if one != migrations.FINALIZER]
        await self._write({"metadata": {"finalizers": left}}, subresource="")


async def _ended(guest: Guest) -> None:
    await guest.wait_exit()
