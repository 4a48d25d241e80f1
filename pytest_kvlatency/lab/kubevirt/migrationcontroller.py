"""All live migrations of the lab: which is under way, which waits for its turn, and which go with their VMI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt import migrationobject as migrations
from pytest_kvlatency.lab.kubevirt.api import MIGRATIONS, VMIS
from pytest_kvlatency.lab.kubevirt.migrationrun import MigrationRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.lab.kubevirt.api import WatchEvent
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord

_LOOK_SECONDS: Final = 0.05


class MigrationController:
    """Follows the migrations; ``record_of`` finds a VMI by namespace and name."""

    def __init__(self, cluster: LabCluster, record_of: Callable[[str, str], VmiRecord | None]) -> None:
        self._cluster = cluster
        self._record_of = record_of
        self._known: dict[str, dict[str, Any]] = {}
        self._running: dict[str, MigrationRun] = {}
        self._waiting: list[tuple[MigrationRun, asyncio.Event]] = []
        self._active: list[MigrationRun] = []

    def observe(self, event: WatchEvent) -> None:
        """Take note of a migration's latest state."""
        uid = event.object["metadata"]["uid"]
        running = self._running.get(uid)
        if event.type == "DELETED":
            self._known.pop(uid, None)
        else:
            is_new = uid not in self._known
            self._known[uid] = event.object
            if is_new and migrations.phase_of(event.object) not in migrations.FINAL_PHASES:
                self._cluster.spawn(self._run(event.object))
                return
        if running is not None and (
            event.type == "DELETED" or event.object["metadata"].get("deletionTimestamp")
        ):
            running.abort()

    def vmi_leaves(self, uid: str) -> None:
        """Give up the migration of a VMI that is deleted."""
        for one in tuple(self._running.values()):
            if one.record.uid == uid:
                one.abort()

    def vmi_gone(self, namespace: str, name: str) -> None:
        """Delete the migrations of a VMI that is gone."""
        for one in tuple(self._known.values()):
            meta = one["metadata"]
            if meta["namespace"] == namespace and migrations.vmi_name(one) == name:
                self._cluster.spawn(
                    self._cluster.api.delete(MIGRATIONS, namespace, meta["name"], meta["uid"])
                )

    def pod_vanished(self, uid: str) -> None:
        """Take note that a pod is gone."""
        for one in tuple(self._running.values()):
            one.pod_vanished(uid)

    async def _run(self, migration: dict[str, Any]) -> None:
        meta = migration["metadata"]
        name = migrations.vmi_name(migration)
        while (record := self._record_of(meta["namespace"], name)) is None:
            # The VMI itself may be news that is still on its way.
            if await self._cluster.api.get(VMIS, meta["namespace"], name) is None:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if record is None:
            # Its VMI went meanwhile.
            where = MIGRATIONS, meta["namespace"], meta["name"]
            left = [one for one in meta.get("finalizers") or [] if one != migrations.FINALIZER]
            await self._cluster.api.patch(*where, {"metadata": {"uid": meta["uid"], "finalizers": left}})
            await self._cluster.api.delete(*where, meta["uid"])
            return
        one = self._running[meta["uid"]] = MigrationRun(self._cluster, record, migration, self._turn)
        try:
            await one.run()
        finally:
            self._running.pop(meta["uid"], None)
            if one in self._active:
                self._active.remove(one)
            self._waiting = [item for item in self._waiting if item[0] is not one]
            self._admit()

    async def _turn(self, one: MigrationRun) -> None:
        """Wait until few enough others are under way."""
        admitted = asyncio.Event()
        self._waiting.append((one, admitted))
        self._admit()
        await admitted.wait()

    def _admit(self) -> None:
        limits = self._cluster.spec.migration
        for item in tuple(self._waiting):
            one, admitted = item
            leaving = sum(other.source == one.source for other in self._active)
            if len(self._active) < limits.parallel and leaving < limits.parallel_outbound:
                self._waiting.remove(item)
                self._active.append(one)
                admitted.set()
