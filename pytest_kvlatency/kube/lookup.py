"""A VMI by its handle: whether what has its name is the very one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.manifest import ANNOTATION_REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle


def namesake(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> dict[str, Any]:
    """Return the object of the VMI that has this name, ours or not; ``{}`` when there is none."""
    path = paths.vmi(handle.namespace, handle.name)
    return client.request("GET", path, deadline=deadline, ok_missing=True)


def find(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> dict[str, Any] | None:
    """Return the VMI's object, or None when it (by its uid) is gone."""
    found = namesake(client, handle, deadline)
    return found if found and is_ours(found, handle) else None


def is_ours(found: Mapping[str, Any], handle: VmiHandle, *, by_request: bool = False) -> bool:
    """Whether it is this very VMI; or, ``by_request``, another one that came of the same request."""
    metadata = found.get("metadata") or {}
    if handle.uid and (metadata.get("uid") == handle.uid or not by_request):
        return bool(metadata.get("uid") == handle.uid)
    return bool(handle.token and (metadata.get("annotations") or {}).get(ANNOTATION_REQUEST) == handle.token)
