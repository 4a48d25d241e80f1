"""The VMIs of a run: created, looked at, deleted. Everything made is on record until it is gone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError, ProvisionError
from pytest_kvlatency.kube import migration, paths
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, KubeApiError, MacRefused
from pytest_kvlatency.kube.deletion import Deletion
from pytest_kvlatency.kube.diagnosis import is_mac_refusal, refusal_hint, same_for_all
from pytest_kvlatency.kube.ledger import Ledger
from pytest_kvlatency.kube.lookup import find
from pytest_kvlatency.kube.manifest import fresh_name, vmi_manifest
from pytest_kvlatency.kube.state import VmiHandle, VmiState, vmi_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.ledger import Journal
    from pytest_kvlatency.kube.manifest import VmiRequest

_NAME_ATTEMPTS: Final = 5
#: How admission answers what it does not let pass.
_REFUSALS: Final = (400, 403, 422)


class Vmis:
    """The VMIs of one run. Thread-safe. ``journal`` is told of each as well; ``clock`` gives seconds that pass."""

    def __init__(
        self,
        client: KubeClient,
        *,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._ledger = Ledger(journal, clock)
        self._deletion = Deletion(client, self._ledger)

    def outstanding(self) -> list[VmiHandle]:
        """What was made, or may have been made, and was not yet seen to be gone."""
        return self._ledger.outstanding()

    def forget(self, handle: VmiHandle) -> None:
        """Take a VMI off the record: it is gone, or it is to be kept."""
        self._ledger.forget(handle)

    def adopt(self, handle: VmiHandle) -> None:
        """Take a VMI on record that another process created, or was just creating when it ended."""
        if not handle.uid:
            self._ledger.note_doubt(handle)
        self._ledger.record(handle)

    def create(
        self,
        request: VmiRequest,
        deadline: Deadline,
        *,
        change: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> VmiHandle:
        """Create a VMI; ``change`` may alter its manifest. Sent again when the answer was lost, never made twice.

        A name that another VMI has gets a new suffix. Raises ``MacRefused`` (try another MAC),
        ``ProvisionError`` (quota, policy, invalid, no KubeVirt), ``PermissionDeniedError``.
        """
        for _ in range(_NAME_ATTEMPTS):
            handle = VmiHandle(
                namespace=request.namespace, name=request.name, token=request.token, nad=request.nad
            )
            manifest = vmi_manifest(request)
            if change is not None:
                manifest = change(manifest)
            self._ledger.record(handle)
            created = self._post(handle, manifest, deadline)
            if created is not None:
                made = replace(handle, uid=str(created["metadata"]["uid"]))
                self._ledger.record(made)
                return made
            self.forget(handle)
            request = replace(request, name=fresh_name(request.name.rpartition("-")[0] or request.name))
        raise ProvisionError(f"no free name like {request.name} in namespace {request.namespace}")

    def rehearse(
        self, request: VmiRequest, deadline: Deadline, *, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Have the API server judge a VMI as ``create`` would send it, by a dry run: nothing is created.

        Raises as ``create``; what admission says is the reason, as it says it.
        """
        try:
            self._client.request(
                "POST",
                paths.vmi(request.namespace),
                body=change(vmi_manifest(request)),
                query={"dryRun": "All"},
                deadline=deadline,
            )
        except KubeApiError as error:
            handle = VmiHandle(namespace=request.namespace, name=request.name, nad=request.nad)
            refused = self._refusal(handle, error)
            if error.status in _REFUSALS:
                refused.reason = error.message
            raise refused from error

    def _post(
        self, handle: VmiHandle, manifest: Mapping[str, Any], deadline: Deadline
    ) -> dict[str, Any] | None:
        """Return the VMI as created, by this or a repeated request; None when the name is taken."""
        reached: list[bool] = []
        try:
            return self._client.request(
                "POST",
                paths.vmi(handle.namespace),
                body=manifest,
                deadline=deadline,
                on_doubt=lambda: self._ledger.note_doubt(handle),
                on_reached=lambda: reached.append(True),
            )
        except KubeApiError as error:
            is_taken = error.status == 409 and error.api_reason == "AlreadyExists"
            if is_taken or error.was_repeated:
                # Refused may be the repetition of a request whose answer was lost: for its name, or for the quota
                # or the MAC that its own VMI has taken.
                found = find(self._client, handle, deadline)
                if found is not None:
                    self._ledger.settle_doubt(handle)
                    return found
            if not reached or not isinstance(error, ApiUnavailableError):
                self.forget(handle)
            if is_taken:
                return None
            raise self._refusal(handle, error) from error
        except KvLatencyError as error:
            if not reached or error.kind == "permission":
                self.forget(handle)
            raise

    def _refusal(self, handle: VmiHandle, error: KubeApiError) -> ProvisionError:
        """Why a VMI is not created, with the way out; ``MacRefused`` where another MAC may do."""
        what = f"cannot create VMI {handle}"
        if is_mac_refusal(error.message):
            return MacRefused(f"{what}: {error.message}")
        if error.status in _REFUSALS:
            return ProvisionError(
                f"{what}: {error.message}",
                hint=refusal_hint(error.message, handle.namespace),
                summary=f"cannot create a VMI: {same_for_all(error.message)}",
            )
        if error.api_missing:
            return ProvisionError(
                f"{what}: {self._client.server} does not serve VirtualMachineInstances. Is KubeVirt installed?",
                hint=error.hint,
                summary="the cluster does not serve VirtualMachineInstances. Is KubeVirt installed?",
            )
        said = error.message or error.reason
        return ProvisionError(f"{what}: {said}", hint=error.hint, summary=f"cannot create a VMI: {said}")

    def get_state(self, handle: VmiHandle, deadline: Deadline) -> VmiState | None:
        """Return what the VMI's object says now, or None when it is gone."""
        found = find(self._client, handle, deadline)
        return vmi_state(found) if found else None

    def migrate(
        self,
        handle: VmiHandle,
        deadline: Deadline,
        *,
        run_id: str,
        node_labels: Mapping[str, str] | None = None,
    ) -> migration.MigrationState:
        """Create the live migration of a VMI, to a node with these labels; it is deleted with the VMI at the latest.

        Raises ``ProvisionError`` with the cluster's words, and as ``KubeClient.request``.
        """
        self._ledger.record(replace(handle, migrates=True))
        manifest = migration.migration_manifest(handle, run_id=run_id, node_labels=node_labels)
        return migration.create(
            self._client, handle, manifest, deadline, on_doubt=lambda: self._ledger.note_doubt(handle)
        )

    def get_migration(
        self, handle: VmiHandle, uid: str, deadline: Deadline
    ) -> migration.MigrationState | None:
        """Return what a VMI's live migration says now, or None when it (by its uid) is gone."""
        return migration.look(self._client, handle, uid, deadline)

    def get_moved(
        self, handle: VmiHandle, deadline: Deadline
    ) -> tuple[VmiState, migration.Moved | None] | None:
        """Return what the VMI's object says now, and of its latest live migration; None when it is gone."""
        found = find(self._client, handle, deadline)
        return (vmi_state(found), migration.latest_migration(found)) if found else None

    def remove_migration(self, handle: VmiHandle, deadline: Deadline) -> None:
        """Ask for the deletion of a VMI's live migration: one that is under way ends, and the guest stays."""
        migration.remove(self._client, handle, deadline)

    def delete_all(self, handles: Sequence[VmiHandle], deadline: Deadline) -> dict[VmiHandle, KvLatencyError]:
        """Ask for all deletions at once, in parallel, each only of this very VMI; fine where it is gone.

        Return those that could not be asked for.
        """
        return self._deletion.delete_all(handles, deadline)

    def wait_gone(
        self,
        handles: Sequence[VmiHandle],
        deadline: Deadline,
        on_gone: Callable[[VmiHandle], None] | None = None,
    ) -> None:
        """Wait until all are gone; raise ``TeardownError`` that names the others and what holds them."""
        self._deletion.wait_gone(handles, deadline, on_gone)
