"""The KubeVirt half as a whole: watches the API, as virt-controller does, and gives each VMI its life."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt.api import (
    MIGRATIONS,
    NODES,
    PODS,
    VMIS,
    Api,
    ApiStatusError,
    ResourcePath,
    WatchEvent,
)
from pytest_kvlatency.lab.kubevirt.console import ConsoleServer
from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster
from pytest_kvlatency.lab.kubevirt.labobjects import create_lab_objects
from pytest_kvlatency.lab.kubevirt.life import Life
from pytest_kvlatency.lab.kubevirt.migrationcontroller import MigrationController

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.lab.guests.base import Hypervisor
    from pytest_kvlatency.lab.kubevirt.record import VmiRecord
    from pytest_kvlatency.lab.spec.labspec import LabSpec

log = logging.getLogger("pytest_kvlatency.lab")


class KubeVirt:
    """Everything that a cluster with KubeVirt adds to a control plane. ``secret`` is what it shows the console."""

    def __init__(self, api: Api, spec: LabSpec, hypervisor: Hypervisor, secret: str) -> None:
        self._cluster = LabCluster(api=api, spec=spec, hypervisor=hypervisor)
        self._console = ConsoleServer(self._cluster, secret)
        self._lives: dict[str, Life] = {}
        self._migrations = MigrationController(self._cluster, self._record_of)

    @property
    def console_url(self) -> str:
        """Where the aggregated API listens, once started."""
        return self._console.base_url

    async def start(self) -> None:
        """Fill the cluster, listen for consoles, and watch for VMIs from now on."""
        cluster = self._cluster
        filled = create_lab_objects(cluster.api, cluster.spec, cluster.hypervisor.description)
        await asyncio.gather(filled, self._console.start())
        for node in await self._cluster.api.list(NODES):
            self._cluster.nodes[node["metadata"]["name"]] = node
        self._cluster.spawn(self._follow(NODES, self._node_event))
        self._cluster.spawn(self._follow(PODS, self._pod_event))
        self._cluster.spawn(self._follow(VMIS, self._vmi_event))
        self._cluster.spawn(self._follow(MIGRATIONS, self._migrations.observe))

    async def stop(self) -> None:
        """End every life at once (the hypervisor kills the guests), and every console."""
        await self._cluster.cancel_all()
        await self._console.stop()

    async def pod_log(self, namespace: str, pod: str, container: str | None) -> bytes | None:
        """Return the log of a virt-launcher's container, None for a pod that is none."""
        for record in (life.record for life in self._lives.values()):
            if record.pod is None or (record.namespace, record.pod["metadata"]["name"]) != (namespace, pod):
                continue
            if container == pods.CONSOLE_LOG:
                return record.guest.serial_log if record.guest is not None else b""
            return (
                b'{"component":"virt-launcher","level":"info","msg":"the lab has no log of this container"}\n'
            )
        return None

    async def _follow(self, resource: ResourcePath, take: Callable[[WatchEvent], None]) -> None:
        try:
            async for event in self._cluster.api.watch(resource):
                take(event)
        except ApiStatusError as error:
            log.warning("cannot watch %s: %s", resource.plural, error)

    def _node_event(self, event: WatchEvent) -> None:
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            self._cluster.nodes.pop(name, None)
        else:
            before = self._cluster.nodes.get(name)
            self._cluster.nodes[name] = event.object
            if before is not None and _scheduling_view(before) == _scheduling_view(event.object):
                return
        self._cluster.nodes_changed()

    def _pod_event(self, event: WatchEvent) -> None:
        if event.type != "DELETED":
            return
        self._migrations.pod_vanished(event.object["metadata"]["uid"])
        for life in self._lives.values():
            pod = life.record.pod
            if pod is not None and pod["metadata"].get("uid") == event.object["metadata"]["uid"]:
                life.pod_vanished()

    def _vmi_event(self, event: WatchEvent) -> None:
        uid = event.object["metadata"]["uid"]
        life = self._lives.get(uid)
        if event.type == "DELETED" or event.object["metadata"].get("deletionTimestamp"):
            self._migrations.vmi_leaves(uid)
        if event.type == "DELETED":
            meta = event.object["metadata"]
            self._migrations.vmi_gone(meta["namespace"], meta["name"])
            if life is not None:
                life.vanished()
        elif life is not None:
            life.observe(event.object)
        else:
            life = self._lives[uid] = Life(self._cluster, event.object)
            self._cluster.spawn(self._live(uid, life))

    def _record_of(self, namespace: str, name: str) -> VmiRecord | None:
        records = (life.record for life in self._lives.values())
        return next((one for one in records if (one.namespace, one.name) == (namespace, name)), None)

    async def _live(self, uid: str, life: Life) -> None:
        try:
            await life.run()
        finally:
            self._lives.pop(uid, None)


def _scheduling_view(node: dict[str, Any]) -> tuple[Any, Any]:
    """Return what of a node the scheduler looks at."""
    return node["metadata"].get("labels"), node.get("spec")
