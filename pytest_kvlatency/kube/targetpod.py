"""What keeps the target pod of a live migration from starting: neither the migration nor the VMI tells it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.podlook import waiting_containers
from pytest_kvlatency.kube.pulling import pull_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.pulling import Pull
    from pytest_kvlatency.kube.state import VmiHandle

_MIGRATION: Final = "kubevirt.io/migrationJobUID"
_LOOK_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 2.0
#: Why a container waits that is about to start by itself.
_ON_ITS_WAY: Final = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True, kw_only=True)
class PodTrouble:
    """What is wrong with a target pod, in the cluster's words. ``is_placement``: no node takes it.

    ``pull`` is that of an image which its ``node`` cannot pull; then ``summary`` is that of an error.
    """

    words: str
    is_placement: bool = False
    pull: Pull | None = None
    node: str = ""
    summary: str = ""


class TargetPodWatch:
    """What keeps the target pod of the migration ``uid`` of a VMI from starting, where pods may be read.

    No node takes it for good once that has lasted for ``lasts`` seconds; of an image its pull says how long.
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
        """Look now and then; whether what keeps the pod from starting will not pass."""
        if time.monotonic() >= self._due:
            found, before = None, self.latest
            with suppress(KvLatencyError):
                pull = None if before is None else before.pull
                found = target_pod_trouble(self._client, self._handle, self._uid, deadline, pull)
            if found is None or before is None or _kind(found) != _kind(before):
                self._since = time.monotonic()
            self.latest = found
            self._due = time.monotonic() + _PAUSE_SECONDS
        lasted = time.monotonic() - self._since
        if self.latest is None:
            return False
        if self.latest.pull is not None:
            return lasted >= self.latest.pull.lasts
        return self.latest.is_placement and lasted >= self._lasts


def target_pod_trouble(
    client: KubeClient, handle: VmiHandle, uid: str, deadline: Deadline, pull: Pull | None = None
) -> PodTrouble | None:
    """What is wrong with the target pod of the migration with this uid; ``pull`` is what was known of its image's.

    None where nothing is, or where pods may not be read. Raises as ``KubeClient.optional``.
    """
    pods = client.optional(
        paths.namespaced(paths.CORE, handle.namespace, "pods"),
        query={"labelSelector": f"{_MIGRATION}={uid}"},
        deadline=deadline.limit(_LOOK_SECONDS),
    )
    return next(filter(None, (_trouble(pod, pull) for pod in (pods or {}).get("items") or [])), None)


def _kind(trouble: PodTrouble) -> tuple[bool, bool]:
    return trouble.is_placement, trouble.pull is not None


def _trouble(pod: Mapping[str, Any], pull: Pull | None) -> PodTrouble | None:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = condition.get("message") or "no reason given"
            return PodTrouble(words=f"its target pod is {condition.get('reason')}: {said}", is_placement=True)
    node = str(spec.get("nodeName") or "")
    for container, reason, message in waiting_containers(pod):
        found = pull_of(pull, reason, message)
        if found is not None:
            what = f"cannot pull the image{_image_of(container, spec)}"
            return PodTrouble(
                words=f"{node} {what}: {found}", pull=found, node=node, summary=f"{what}: {found.last_words}"
            )
        if reason not in _ON_ITS_WAY:
            where = f" on {node}" if node else ""
            return PodTrouble(words=f"its target pod{where} waits: {message or reason} ({reason})")
    return None


def _image_of(container: str, spec: Mapping[str, Any]) -> str:
    """The image of a container, after a space; empty where the pod does not say it."""
    containers = (*(spec.get("initContainers") or []), *(spec.get("containers") or []))
    image = next((one.get("image") for one in containers if one.get("name") == container), None)
    return f" {image}" if image else ""
