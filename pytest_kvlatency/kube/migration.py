"""Live migrations of VMIs of ours: created, looked at, deleted. Only get, create and delete are needed.

A guest of ours migrates at most once, so its migration has the VMI's name: who knows the VMI can find and delete it,
whatever has become of the process that created it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError, ProvisionError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.manifest import (
    ANNOTATION_REQUEST,
    LABEL_MANAGED_BY,
    NAME,
    delete_options,
    own_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
#: How the webhook of KubeVirt answers what it does not let pass.
_REFUSALS: Final = (400, 403, 409, 422)
REMOVAL_SECONDS: Final = 5.0
#: The first version of KubeVirt that knows ``spec.addedNodeSelector``.
_NODE_SELECTOR_SINCE: Final = (1, 6)


@dataclass(frozen=True, kw_only=True)
class MigrationState:
    """What a migration's object said. ``timestamps`` are those of its phases, in whole seconds.

    ``has_outcome``: KubeVirt has filled in what came of it, which happens some time after the final phase.
    """

    uid: str
    phase: str = ""
    timestamps: Mapping[str, str] = field(default_factory=dict)
    has_outcome: bool = False
    failure_reason: str = ""
    mode: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its phase is final."""
        return self.phase in (SUCCEEDED, FAILED)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a VMI's object said of its latest migration; ``uid`` is that migration's.

    ``completed`` means that it has ended, however it did.
    """

    uid: str
    completed: bool = False
    failed: bool = False
    failure_reason: str = ""
    mode: str | None = None


def knows_node_selector(version: str | None) -> bool:
    """Whether KubeVirt of this version (``v1.6.2``) knows ``spec.addedNodeSelector``; not where it is unknown."""
    parts = (version or "").removeprefix("v").split(".")
    try:
        return (int(parts[0]), int(parts[1])) >= _NODE_SELECTOR_SINCE
    except (ValueError, IndexError):
        return False


def migration_manifest(
    handle: VmiHandle, *, run_id: str, node_labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The migration of a VMI as KubeVirt's API takes it; ``node_labels`` are those of its destination."""
    spec: dict[str, Any] = {"vmiName": handle.name}
    if node_labels:
        spec["addedNodeSelector"] = dict(node_labels)
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {
            "name": handle.name,
            "namespace": handle.namespace,
            "labels": own_labels(handle.name, run_id),
            "annotations": {ANNOTATION_REQUEST: handle.token},
        },
        "spec": spec,
    }


def create(
    client: KubeClient,
    handle: VmiHandle,
    manifest: Mapping[str, Any],
    deadline: Deadline,
    *,
    on_doubt: Callable[[], None] = lambda: None,
) -> MigrationState:
    """Create the migration of a VMI. Sent again when the answer was lost, never made twice.

    Raises ``ProvisionError`` with the cluster's words for what it refuses, and as ``KubeClient.request``.
    """
    path = paths.migration(handle.namespace)
    try:
        return migration_state(
            client.request("POST", path, body=manifest, deadline=deadline, on_doubt=on_doubt)
        )
    except KubeApiError as error:
        if error.was_repeated or (error.status == 409 and error.api_reason == "AlreadyExists"):
            # Refused may be the repetition of a request whose answer was lost.
            found = _get(client, handle, deadline)
            if found and _is_ours(found, handle):
                return migration_state(found)
        if error.api_missing:
            raise ProvisionError(
                f"cannot migrate VMI {handle}: {client.server} does not serve VirtualMachineInstanceMigrations",
                hint=error.hint,
                summary="the cluster does not serve VirtualMachineInstanceMigrations",
                stage="run",
            ) from error
        said = error.message or error.reason
        if error.status in _REFUSALS:
            raise ProvisionError(
                f"cannot migrate VMI {handle}: {said}",
                hint=error.hint,
                summary=f"cannot migrate a VMI: {said.replace(handle.name, 'NAME')}",
                stage="run",
            ) from error
        raise


def look(client: KubeClient, handle: VmiHandle, uid: str, deadline: Deadline) -> MigrationState | None:
    """What the object of a VMI's migration says now; None when it (by its uid) is gone."""
    found = _get(client, handle, deadline)
    return migration_state(found) if found and found["metadata"].get("uid") == uid else None


def remove(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> bool:
    """Ask for the deletion of a VMI's migration, which ends one that is under way; whether it is there yet.

    Raises as ``KubeClient.request``.
    """
    found = _get(client, handle, deadline)
    if not found or not _is_ours(found, handle):
        return False
    metadata = found["metadata"]
    if metadata.get("deletionTimestamp"):
        return True
    body = delete_options(uid=metadata["uid"], is_immediate=False)
    path = paths.migration(handle.namespace, handle.name)
    try:
        return bool(client.request("DELETE", path, body=body, deadline=deadline, ok_missing=True))
    except KubeApiError as error:
        # Somebody wrote to it at this moment, or it is another one by now: the next look tells.
        if error.status != 409:
            raise
        return True


def remove_with_vmi(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> bool:
    """As ``remove``, within a few seconds, for a VMI that is to be deleted: that must not fail because of this.

    Where a migration may not be looked at it goes with its VMI, or a later look tells.
    """
    try:
        return remove(client, handle, deadline.limit(REMOVAL_SECONDS))
    except KvLatencyError:
        return False


def migration_state(found: Mapping[str, Any]) -> MigrationState:
    """Read a migration's object."""
    metadata, status = found.get("metadata") or {}, found.get("status") or {}
    outcome = status.get("migrationState") or {}
    return MigrationState(
        uid=str(metadata.get("uid") or ""),
        phase=str(status.get("phase") or ""),
        timestamps={
            str(one.get("phase")): str(one.get("phaseTransitionTimestamp"))
            for one in status.get("phaseTransitionTimestamps") or []
            if one.get("phaseTransitionTimestamp")
        },
        has_outcome=bool(outcome),
        failure_reason=str(outcome.get("failureReason") or ""),
        mode=outcome.get("mode") or None,
    )


def latest_migration(vmi: Mapping[str, Any]) -> Moved | None:
    """Read what a VMI's object says of its latest migration; None where it has had none."""
    state = (vmi.get("status") or {}).get("migrationState") or {}
    if not state:
        return None
    return Moved(
        uid=str(state.get("migrationUid") or ""),
        completed=bool(state.get("completed")),
        failed=bool(state.get("failed")),
        failure_reason=str(state.get("failureReason") or ""),
        mode=state.get("mode") or None,
    )


def _get(client: KubeClient, handle: VmiHandle, deadline: Deadline) -> dict[str, Any]:
    path = paths.migration(handle.namespace, handle.name)
    return client.request("GET", path, deadline=deadline, ok_missing=True)


def _is_ours(found: Mapping[str, Any], handle: VmiHandle) -> bool:
    """Whether it is the migration that we made of this VMI; a sweep does not know the token."""
    metadata, spec = found.get("metadata") or {}, found.get("spec") or {}
    if (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) != NAME or spec.get("vmiName") != handle.name:
        return False
    return not handle.token or (metadata.get("annotations") or {}).get(ANNOTATION_REQUEST) == handle.token
