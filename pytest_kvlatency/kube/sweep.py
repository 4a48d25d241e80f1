"""Removes the VMIs of runs that were killed, with their migrations, and nothing else (E60, E61).

No run can say that it still lives: it need not be allowed to write to its VMIs. So the rule takes only what no living
run can need. A VMI goes when all of this holds:

- it has every mark that this tool gives to what may be swept, and they name it: not a copy, and not one of a run with
  ``--kv-keep``, which never gives the last mark;
- its expiry is over by the API server's clock: until then its run may still be bringing it up, or cleaning up;
- its guest does not run, or not rightly: a run that lives keeps its guests' watchdogs ahead of it, but for
  ``LONGEST_RUN`` at most, and the guests of one that was killed power themselves off (``engine.lifetime``);
- the same holds for all VMIs of its run: else that run may live, and be about to say what became of this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError, TeardownError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.manifest import (
    ANNOTATION_EXPIRES,
    ANNOTATION_MIGRATION,
    ANNOTATION_REQUEST,
    ANNOTATION_SWEEP,
    EXPIRES_FORMAT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_RUN,
    LONGEST_RUN,
    NAME,
    delete_options,
)
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.kube.vmi import Vmis
from pytest_kvlatency.model import some
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient

_PAGE: Final = 500
_THREADS: Final = 16
_ATTEMPTS: Final = 5
_GONE: Final = 410
_NAMED: Final = 10
#: In these no guest runs: it has ended, or, once the VMI has expired, was given up before it began.
_AT_REST: Final = frozenset({"", "Pending", "Scheduling", "Scheduled", "Succeeded", "Failed"})

NOT_OURS: Final = "not marked as created by this tool under this name"
KEPT: Final = "created with --kv-keep, or by a version without --kv-sweep"
DELETING: Final = "already being deleted"
YOUNG: Final = "not expired yet: its run may still need it"
RUNNING: Final = "its guest is running, so its run may still be active"
COMPANION: Final = "another VMI of its run is running or has not expired, so its run may still be active"


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep did: VMIs that are gone, VMIs that stay and why, and what went wrong; each in order of the names."""

    removed: tuple[VmiHandle, ...] = ()
    left: tuple[tuple[VmiHandle, str], ...] = ()
    problems: tuple[KvLatencyError, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A VMI as the list had it. ``reason``: why it stays, as far as it alone is concerned; empty when it need not."""

    handle: VmiHandle
    version: str
    run_id: str
    reason: str = ""


def sweep(client: KubeClient, namespace: str, deadline: Deadline) -> Swept:
    """Remove what killed runs left in ``namespace``, and wait until it is gone.

    Raises ``PermissionDeniedError`` with the Role's rule when the VMIs may not be listed, and as ``KubeClient.request``
    does. What goes wrong afterwards is among the ``problems``, and hinders nothing else.
    """
    found = sorted(_judged(_list(client, namespace, deadline), client.now()), key=lambda one: str(one.handle))
    left = {one.handle: one.reason for one in found if one.reason}
    removed: list[VmiHandle] = []
    problems: list[KvLatencyError] = []
    asked: list[VmiHandle] = []
    threads = Threads(_THREADS, "kvlatency-sweep")
    answers = [(one, threads.submit(_delete, client, one, deadline)) for one in found if not one.reason]
    for one, answer in answers:
        try:
            if reason := answer.result():
                left[one.handle] = reason
            else:
                asked.append(one.handle)
        except KvLatencyError as error:
            problems.append(error)
    try:
        Vmis(client).wait_gone(asked, deadline, on_gone=removed.append)
    except KvLatencyError as error:
        problems.append(error)
    return Swept(
        removed=tuple(sorted(removed, key=str)),
        left=tuple((one.handle, left[one.handle]) for one in found if one.handle in left),
        problems=tuple(problems),
    )


def _list(client: KubeClient, namespace: str, deadline: Deadline) -> list[dict[str, Any]]:
    """All VMIs with our label; once more from the start when a page is no longer to be had."""
    query = {"labelSelector": f"{LABEL_MANAGED_BY}={NAME}", "limit": str(_PAGE)}
    for attempt in range(_ATTEMPTS):
        try:
            return client.items(paths.vmi(namespace), query=query, deadline=deadline)
        except KubeApiError as error:
            if error.status != _GONE or attempt == _ATTEMPTS - 1:
                raise
    raise TeardownError(f"the VMIs of namespace {namespace} keep changing, so they could not be listed")


def _judged(vmis: Iterable[Mapping[str, Any]], now: datetime) -> list[_Found]:
    found = [_found(vmi, now) for vmi in vmis]
    # A VMI that is being deleted is on its way out of its run already.
    alive = {one.run_id for one in found if one.run_id and one.reason in (YOUNG, RUNNING)}
    return [
        replace(one, reason=COMPANION) if not one.reason and one.run_id in alive else one for one in found
    ]


def _found(vmi: Mapping[str, Any], now: datetime) -> _Found:
    metadata = vmi["metadata"]
    return _Found(
        handle=VmiHandle(
            namespace=str(metadata["namespace"]),
            name=str(metadata["name"]),
            uid=str(metadata["uid"]),
            migrates=ANNOTATION_MIGRATION in (metadata.get("annotations") or {}),
        ),
        version=str(metadata.get("resourceVersion") or ""),
        run_id=str((metadata.get("labels") or {}).get(LABEL_RUN) or ""),
        reason=_reason(vmi, now),
    )


def _reason(vmi: Mapping[str, Any], now: datetime) -> str:
    """Why this VMI stays, as far as it alone is concerned; empty when it need not."""
    metadata = vmi["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    marks = (labels.get(LABEL_NAME), labels.get(LABEL_MANAGED_BY), labels.get(LABEL_INSTANCE))
    if marks != (NAME, NAME, metadata["name"]) or not (
        labels.get(LABEL_RUN) and annotations.get(ANNOTATION_REQUEST)
    ):
        return NOT_OURS
    mark = annotations.get(ANNOTATION_SWEEP)
    if mark is None:
        return KEPT
    expires = _time(annotations.get(ANNOTATION_EXPIRES))
    if mark != f"{metadata['namespace']}/{metadata['name']}" or expires is None:
        return NOT_OURS
    if metadata.get("deletionTimestamp"):
        return DELETING
    if now < expires:
        return YOUNG
    is_at_rest = str((vmi.get("status") or {}).get("phase") or "") in _AT_REST
    return "" if is_at_rest or now >= expires + LONGEST_RUN else RUNNING


def _time(text: object) -> datetime | None:
    try:
        return datetime.strptime(str(text), EXPIRES_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _delete(client: KubeClient, one: _Found, deadline: Deadline) -> str:
    """Ask for the deletion of this very VMI as it was judged; return why it stays when it has changed since."""
    path = paths.vmi(one.handle.namespace, one.handle.name)
    version = one.version
    for _ in range(_ATTEMPTS):
        body = delete_options(uid=one.handle.uid, resourceVersion=version)
        try:
            client.request("DELETE", path, body=body, deadline=deadline, ok_missing=True)
        except KubeApiError as error:
            if error.status != 409:
                raise
        else:
            return ""
        vmi = client.request("GET", path, deadline=deadline, ok_missing=True)
        if not vmi or vmi["metadata"].get("uid") != one.handle.uid:
            return ""
        if reason := _reason(vmi, client.now()):
            return reason
        version = str(vmi["metadata"].get("resourceVersion") or "")
        deadline.pause(0.1, f"VMI {one.handle} to be deleted")
    raise TeardownError(f"VMI {one.handle} keeps changing, so it could not be deleted")


def words(swept: Swept, namespace: str) -> list[str]:
    """What a sweep did, a line for each thing: what stays is named with its reason, and how to remove it by hand."""
    lines = [f"removed {len(swept.removed)} VMIs of killed runs from namespace {namespace}"]
    if swept.removed:
        lines[0] += f": {_names(swept.removed)}"
    reasons: dict[str, list[VmiHandle]] = {}
    for handle, reason in swept.left:
        reasons.setdefault(reason, []).append(handle)
    for reason, handles in reasons.items():
        first = f"kubectl delete vmi -n {namespace} {handles[0].name}{' …' if len(handles) > 1 else ''}"
        line = f"left {_names(handles)}: {reason}"
        if reason in (KEPT, NOT_OURS):
            line += f" (to remove by hand: {first})"
        elif reason in (RUNNING, COMPANION):
            line += f" (if you know that it is not: {first})"
        lines.append(line)
    return lines


def _names(handles: Sequence[VmiHandle]) -> str:
    return some([one.name for one in handles], _NAMED)
