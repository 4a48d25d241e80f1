"""What keeps the target pod of a live migration from starting: neither the migration nor the VMI tells it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle

_MIGRATION: Final = "kubevirt.io/migrationJobUID"
_LOOK_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 2.0
#: Why a container waits that is about to start by itself.
_ON_ITS_WAY: Final = ("", "ContainerCreating", "PodInitializing")


@dataclass(frozen=True, kw_only=True)
class PodTrouble:
    """What is wrong with a target pod, in the cluster's words. ``is_placement``: no node takes it."""

    words: str
    is_placement: bool = False


class TargetPodWatch:
    """What keeps the target pod of the migration ``uid`` of a VMI from starting, where pods may be read.

    No node takes it for good once that has lasted for ``lasts`` seconds.
    """

    def __init__(self, client: KubeClient, handle: VmiHandle, uid: str, *, lasts: float) -> None:
        self._client = client
        self._handle = handle
        self._uid = uid
        self._lasts = lasts
        self._due = 0.0
        self._since = 0.0
        #: What the latest look showed; None where nothing is wrong.
        self.latest: PodTrouble | None = None

    def look(self, deadline: Deadline) -> bool:
        """Look now and then; whether no node takes the pod, and has not for a while. An image may yet be pulled."""
        if time.monotonic() >= self._due:
            found = None
            with suppress(KvLatencyError):
                found = target_pod_trouble(self._client, self._handle, self._uid, deadline)
            if found is None or self.latest is None or not self.latest.is_placement:
                self._since = time.monotonic()
            self.latest = found
            self._due = time.monotonic() + _PAUSE_SECONDS
        is_lasting = time.monotonic() - self._since >= self._lasts
        return self.latest is not None and self.latest.is_placement and is_lasting


def target_pod_trouble(
    client: KubeClient, handle: VmiHandle, uid: str, deadline: Deadline
) -> PodTrouble | None:
    """What is wrong with the target pod of the migration with this uid.

    None where nothing is, or where pods may not be read. Raises as ``KubeClient.optional``.
    """
    pods = client.optional(
        paths.namespaced(paths.CORE, handle.namespace, "pods"),
        query={"labelSelector": f"{_MIGRATION}={uid}"},
        deadline=deadline.limit(_LOOK_SECONDS),
    )
    return next(filter(None, map(_trouble, (pods or {}).get("items") or [])), None)


def _trouble(pod: Mapping[str, Any]) -> PodTrouble | None:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = condition.get("message") or "no reason given"
            return PodTrouble(words=f"its target pod is {condition.get('reason')}: {said}", is_placement=True)
    for container in (
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason not in _ON_ITS_WAY:
            node = (pod.get("spec") or {}).get("nodeName")
            where = f" on {node}" if node else ""
            return PodTrouble(
                words=f"its target pod{where} waits: {waiting.get('message') or reason} ({reason})"
            )
    return None
