"""What all VMIs' lives share: the API, the nodes, who is placed where, the running guests, the faults."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt.api import EVENTS, PODS, Api, ApiStatusError
from pytest_kvlatency.lab.kubevirt.faultbook import FaultBook
from pytest_kvlatency.lab.kubevirt.nads import AddressPool
from pytest_kvlatency.lab.kubevirt.scheduler import Decision, Placed, schedule

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from pytest_kvlatency.lab.guests.base import Guest, Hypervisor
    from pytest_kvlatency.lab.spec.labspec import LabSpec

log = logging.getLogger("pytest_kvlatency.lab")


@dataclass(frozen=True, kw_only=True)
class RunningGuest:
    """A guest that was started, and the VMI that it belongs to.

    ``left`` is set when it has migrated from this node; ``opens_at`` (the loop's clock) is when its console can be
    opened here.
    """

    uid: str
    node: str
    networks: tuple[str, ...]
    guest: Guest
    left: asyncio.Event = field(default_factory=asyncio.Event)
    opens_at: float = 0.0


@dataclass
class LabCluster:
    """The shared state; lives in one event loop."""

    api: Api
    spec: LabSpec
    hypervisor: Hypervisor
    faults: FaultBook = field(init=False)
    addresses: AddressPool = field(default_factory=AddressPool)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    placed: dict[str, Placed] = field(default_factory=dict)
    guests: dict[tuple[str, str], RunningGuest] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.faults = FaultBook(self.spec.faults)

    def guest_seconds(self, seconds: float) -> float:
        """Return how long ``seconds`` of a guest's time take: simulated guests' may be compressed."""
        return seconds / (self.spec.time_scale if self.hypervisor.kind == "sim" else 1.0)

    def choose(self, pod: Mapping[str, Any]) -> Decision:
        """Say where a pod would be placed now."""
        meta, spec = pod["metadata"], pod["spec"]
        wanted = Placed(node="", namespace=meta["namespace"], labels=meta.get("labels") or {}, spec=spec)
        return schedule(wanted, list(self.nodes.values()), list(self.placed.values()), self.spec.seed)

    def place(self, uid: str, pod: Mapping[str, Any], node: str) -> None:
        """Put a VMI's pod on a node."""
        meta = pod["metadata"]
        self.placed[uid] = Placed(
            node=node, namespace=meta["namespace"], labels=meta.get("labels") or {}, spec=pod["spec"]
        )

    async def bind(self, uid: str, pod: Mapping[str, Any], node: str) -> None:
        """Put a pod on a node as kube-scheduler does, and report it; ``uid`` is what ``leave`` takes."""
        meta = pod["metadata"]
        self.place(uid, pod, node)
        await self.api.patch(PODS, meta["namespace"], meta["name"], {"spec": {"nodeName": node}})
        await self.write_pod_status(pod, "Pending")
        text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        self.emit(pod, "Normal", "Scheduled", text, "default-scheduler")

    def leave(self, uid: str) -> None:
        """Take a VMI's pod from its node: others may fit now."""
        if self.placed.pop(uid, None):
            self.nodes_changed()

    def nodes_changed(self) -> None:
        """Let the scheduler look again at what it could not place."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_change(self, seconds: float | None) -> None:
        """Wait until nodes or placements change, at most so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def write_pod_status(self, pod: Mapping[str, Any], phase: str, **more: Any) -> None:
        """Write a pod's status; ``more`` is as for ``pod_status``."""
        meta = pod["metadata"]
        names = [container["name"] for container in pod["spec"]["containers"]]
        body = {"status": pods.pod_status(phase, names, **more)}
        await self.api.patch(PODS, meta["namespace"], meta["name"], body, subresource="status")

    def emit(
        self, involved: Mapping[str, Any], kind: str, reason: str, message: str, source: str, host: str = ""
    ) -> None:
        """Record an event, without waiting for it; a control plane that refuses it does not matter."""
        body = pods.event(involved, kind, reason, message, source=source, host=host)
        self.spawn(self._emit(involved["metadata"]["namespace"], body))

    async def _emit(self, namespace: str, body: Mapping[str, Any]) -> None:
        try:
            await self.api.create(EVENTS, namespace, body)
        except ApiStatusError as error:
            log.debug("event not recorded: %s", error)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` on the side; an exception of it is logged, and ends nothing else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the lab failed", exc_info=task.exception())

    async def cancel_all(self) -> None:
        """End everything that runs on the side."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
