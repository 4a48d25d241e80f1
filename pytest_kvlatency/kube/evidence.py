"""What may help to understand a failure: the VMI's object, events, its pod, its boot log; where they may be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle

_CONSOLE_CONTAINER: Final = "guest-console-log"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """None is: could not be had."""

    vmi: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] | None = None
    pod: Mapping[str, Any] | None = None
    console_log: str | None = None


def events_in(client: KubeClient, namespace: str, deadline: Deadline) -> list[dict[str, Any]] | None:
    """Return the events of a namespace, or None when they may not be read."""
    answer = client.optional(paths.namespaced(paths.CORE, namespace, "events"), deadline=deadline)
    return None if answer is None else answer.get("items") or []


def is_about(event: Mapping[str, Any], handle: VmiHandle) -> bool:
    """Whether an event is one of a VMI or of its pod."""
    name = str((event.get("involvedObject") or {}).get("name", ""))
    return name == handle.name or name.startswith(f"virt-launcher-{handle.name}-")


def collect(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> Evidence:
    """Collect what can be had within the deadline; raises nothing."""
    try:
        vmi = client.optional(paths.vmi(handle.namespace, handle.name), deadline=deadline)
        found = events_in(client, handle.namespace, deadline)
        pods = client.optional(
            paths.namespaced(paths.CORE, handle.namespace, "pods"),
            query={"labelSelector": f"kubevirt.io/created-by={handle.uid}"},
            deadline=deadline,
        )
        items = (pods or {}).get("items") or []
        pod = items[0] if items else None
        log = None
        if pod is not None:
            path = paths.namespaced(paths.CORE, handle.namespace, "pods", pod["metadata"]["name"], "log")
            log = client.optional_text(path, query={"container": _CONSOLE_CONTAINER}, deadline=deadline)
    except KvLatencyError:
        return Evidence()
    events = None if found is None else tuple(event for event in found if is_about(event, handle))
    return Evidence(vmi=vmi, events=events, pod=pod, console_log=log)
