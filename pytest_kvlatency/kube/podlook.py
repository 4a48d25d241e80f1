"""What the virt-launcher pods and their events say of VMIs that do not start: no condition of the VMI tells it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.diagnosis import PULL_HINT, Trouble, candidates
from pytest_kvlatency.kube.manifest import LABEL_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle

#: Seconds that what kubelet tries again and again must last to be the cause.
LASTS: Final = 15.0
_LOOK_SECONDS: Final = 3.0
_MOST_EVENTS: Final = "1000"
# Why a container waits. These two never reach the VMI, and another try gets the same answer.
_WRONG_IMAGE: Final = ("InvalidImageName", "ErrImageNeverPull")
_NOT_CREATED: Final = (
    "CreateContainerError",
    "CreateContainerConfigError",
    "RunContainerError",
    "CrashLoopBackOff",
)
# Warnings of a pod that has no containers yet.
_NOT_SET_UP: Final = ("FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume", "NetworkNotReady")
_PULL_FAILED: Final = re.compile(r'Failed to pull image "[^"]*": (?P<words>.*)', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class PodNews:
    """What one look found. ``pull_words`` are those of the last failed pull of an image.

    A state is current; of an event it is not known. So ``occurrence`` changes with each of them; it is empty for a
    state.
    """

    trouble: Trouble | None = None
    occurrence: str = ""
    pull_words: str = ""


def look_at_pods(
    client: KubeClient, namespace: str, run_id: str, handles: Sequence[VmiHandle], stop: Stop
) -> dict[str, PodNews]:
    """Look at the pods of one run, where that is permitted: two requests, however many VMIs there are.

    Return what is known, by the VMI's uid; raises as ``KubeClient.optional``.
    """
    deadline = Deadline(_LOOK_SECONDS, stop=stop)
    pods = client.optional(
        paths.namespaced(paths.CORE, namespace, "pods"),
        query={"labelSelector": f"{LABEL_RUN}={run_id}"},
        deadline=deadline,
    )
    events = client.optional(
        paths.namespaced(paths.CORE, namespace, "events"),
        query={"fieldSelector": "type=Warning,involvedObject.kind=Pod", "limit": _MOST_EVENTS},
        deadline=deadline,
    )
    if pods is None and events is None:
        return {}
    by_vmi = {_vmi_of(pod): pod for pod in (pods or {}).get("items") or []}
    by_pod = defaultdict(list)
    for event in (events or {}).get("items") or []:
        by_pod[str((event.get("involvedObject") or {}).get("name", "")).rpartition("-")[0]].append(event)
    return {
        one.uid: pod_news(one, by_vmi.get(one.uid), by_pod[f"virt-launcher-{one.name}"]) for one in handles
    }


def pod_news(
    handle: VmiHandle, pod: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]]
) -> PodNews:
    """Read a VMI's pod (None: not seen) and the warnings about it."""
    warnings = sorted(events, key=_time)
    pulls = [
        found["words"] for event in warnings if (found := _PULL_FAILED.fullmatch(str(event.get("message"))))
    ]
    words = pulls[-1] if pulls else ""
    waiting = _waiting(pod or {})
    if waiting is not None:
        return PodNews(trouble=_uncreated(handle, *waiting), pull_words=words)
    failures = [event for event in warnings if event.get("reason") in _NOT_SET_UP]
    # A pod has an address as soon as it is set up.
    if not failures or ((pod or {}).get("status") or {}).get("podIP"):
        return PodNews(pull_words=words)
    last = failures[-1]
    times = sum(_count(event) for event in failures)
    return PodNews(
        trouble=_not_set_up(handle, pod, last), occurrence=f"{times} {_time(last)}", pull_words=words
    )


def _uncreated(handle: VmiHandle, container: str, reason: str, message: str) -> Trouble:
    if reason in _WRONG_IMAGE:
        return Trouble(
            key=reason,
            reason=f"cannot use the guest image of VMI {handle}: {message or reason} ({reason})",
            summary=f"cannot use the guest image: {message or reason}",
            hint=PULL_HINT,
            is_local=False,
        )
    return Trouble(
        key=reason,
        reason=f"the pod of VMI {handle} cannot start its container {container}: {message or reason} ({reason})",
        summary=f"a VMI's pod cannot start its container {container}: {reason}",
        hint=f"See `kubectl describe pod -n {handle.namespace} -l kubevirt.io/created-by={handle.uid}` "
        "with --kv-keep failed.",
        lasts=LASTS,
    )


def _not_set_up(handle: VmiHandle, pod: Mapping[str, Any] | None, event: Mapping[str, Any]) -> Trouble:
    reason, message = str(event.get("reason")), " ".join(str(event.get("message", "")).split())
    node = ((pod or {}).get("spec") or {}).get("nodeName") or (event.get("source") or {}).get("host")
    where = f" on node {node}" if node else ""
    hint = f"See `kubectl get events -n {handle.namespace}`."
    if reason == "FailedCreatePodSandBox":
        hint = f"{candidates(handle)}.".replace("its pod", "Its pod", 1)
    return Trouble(
        key=reason,
        reason=f"the pod of VMI {handle} cannot be set up{where}: {message or reason} ({reason})",
        summary=f"a VMI's pod cannot be set up ({reason})",
        hint=hint,
        lasts=LASTS,
    )


def _waiting(pod: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Name, reason and message of the first container that waits for what may never come."""
    return next((one for one in waiting_containers(pod) if one[1] in (*_WRONG_IMAGE, *_NOT_CREATED)), None)


def waiting_containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, reason and message of each container that waits, those first that must end before the others start."""
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason"):
                yield str(container.get("name")), str(waiting["reason"]), str(waiting.get("message") or "")


def _vmi_of(pod: Mapping[str, Any]) -> str:
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return str(labels.get("kubevirt.io/created-by") or "")


def _time(event: Mapping[str, Any]) -> str:
    """When it happened last; comparable as text."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next(filter(None, times), ""))


def _count(event: Mapping[str, Any]) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)
