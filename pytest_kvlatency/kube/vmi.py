"""The life of our VMIs: create, look, delete, wait until they are gone. Everything made is on record until then."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    KvLatencyError,
    PermissionDeniedError,
    ProvisionError,
    TeardownError,
)
from pytest_kvlatency.kube import evidence, paths
from pytest_kvlatency.kube.diagnosis import is_mac_refusal, refusal_hint
from pytest_kvlatency.kube.failures import ApiUnavailableError, KubeApiError, MacRefused
from pytest_kvlatency.kube.manifest import (
    ANNOTATION_REQUEST,
    INTERFACE,
    fresh_name,
    vmi_manifest,
)
from pytest_kvlatency.kube.polls import polls
from pytest_kvlatency.kube.state import VmiHandle, VmiState, vmi_state
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.manifest import VmiRequest

__all__ = ["MacRefused", "VmiHandle", "VmiState", "Vmis", "deletion_hint"]

_NAME_ATTEMPTS: Final = 5
_THREADS: Final = 32
#: How admission answers what it does not let pass.
_REFUSALS: Final = (400, 403, 422)
PAUSES: Final = Backoff(first=0.05, longest=1.0)
# A request that was given up may still be on its way, held by a slow webhook (which may take 30 s): so long may a VMI
# come of it, even after the one that came of its repetition has gone.
ON_ITS_WAY_SECONDS: Final = 30.0
# What KubeVirt's controllers put on a VMI and take off when its pod has gone.
_KUBEVIRT_FINALIZER: Final = "foregroundDeleteVirtualMachine"


class Journal(Protocol):
    """A record of VMIs that outlives this process."""

    def made(self, handle: VmiHandle) -> None:
        """Know of a VMI before it is created, and again with its uid. Raises ``KvLatencyError``: none is created."""

    def gone(self, handle: VmiHandle) -> None:
        """Forget a VMI: it is gone, or to be kept."""


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
        self._clock = clock
        self._journal = journal
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], VmiHandle] = {}
        #: When attempts to create a VMI ended that may yet be obeyed, by its token.
        self._doubts: dict[str, list[float]] = {}

    def outstanding(self) -> list[VmiHandle]:
        """What was made, or may have been made, and was not yet seen to be gone."""
        with self._lock:
            return list(self._made.values())

    def forget(self, handle: VmiHandle) -> None:
        """Take a VMI off the record: it is gone, or it is to be kept."""
        with self._lock:
            self._made.pop((handle.namespace, handle.name), None)
        if self._journal is not None:
            self._journal.gone(handle)

    def adopt(self, handle: VmiHandle) -> None:
        """Take a VMI on record that another process created, or was just creating when it ended."""
        if not handle.uid:
            self._note_doubt(handle)
        self._record(handle)

    def create(
        self,
        request: VmiRequest,
        deadline: Deadline,
        *,
        change: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> VmiHandle:
        """Create a VMI; ``change`` may alter its manifest. Sent again when the answer was lost, never made twice.

        A name that a stranger's VMI has gets a new suffix. Raises ``MacRefused`` (try another MAC),
        ``ProvisionError`` (quota, policy, invalid, no KubeVirt), ``PermissionDeniedError``.
        """
        for _ in range(_NAME_ATTEMPTS):
            handle = VmiHandle(
                namespace=request.namespace, name=request.name, token=request.token, nad=request.nad
            )
            manifest = vmi_manifest(request)
            if change is not None:
                manifest = change(manifest)
            self._record(handle)
            created = self._post(handle, manifest, deadline)
            if created is not None:
                made = replace(handle, uid=str(created["metadata"]["uid"]))
                self._record(made)
                return made
            self.forget(handle)
            request = replace(request, name=fresh_name(request.name.rpartition("-")[0] or request.name))
        raise ProvisionError(f"no free name like {request.name} in namespace {request.namespace}")

    def rehearse(
        self,
        request: VmiRequest,
        deadline: Deadline,
        *,
        change: Callable[[dict[str, Any]], dict[str, Any]],
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

    def _record(self, handle: VmiHandle) -> None:
        with self._lock:
            self._made[handle.namespace, handle.name] = handle
        if self._journal is not None:
            self._journal.made(handle)

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
                on_doubt=lambda: self._note_doubt(handle),
                on_reached=lambda: reached.append(True),
            )
        except KubeApiError as error:
            is_taken = error.status == 409 and error.api_reason == "AlreadyExists"
            if is_taken or error.was_repeated:
                # Refused may be the repetition of a request whose answer was lost: for its name, or for the quota
                # or the MAC that its own VMI has taken.
                found = self.get(handle, deadline)
                if found is not None:
                    if doubts := self._doubts.get(handle.token):
                        # One of those attempts was obeyed.
                        doubts.pop()
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
                f"{what}: {error.message}", hint=refusal_hint(error.message, handle.namespace)
            )
        if error.api_missing:
            return ProvisionError(
                f"{what}: {self._client.server} does not serve VirtualMachineInstances. Is KubeVirt installed?",
                hint=error.hint,
            )
        return ProvisionError(f"{what}: {error.message or error.reason}", hint=error.hint)

    def _note_doubt(self, handle: VmiHandle) -> None:
        """Remember an attempt to create a VMI that got no answer."""
        self._doubts.setdefault(handle.token, []).append(self._clock())

    def get(self, handle: VmiHandle, deadline: Deadline) -> dict[str, Any] | None:
        """Return the VMI's object, or None when it (by its uid) is gone."""
        found = self._get(handle, deadline)
        return found if found and _is_ours(found, handle) else None

    def _get(self, handle: VmiHandle, deadline: Deadline) -> dict[str, Any]:
        path = paths.vmi(handle.namespace, handle.name)
        return self._client.request("GET", path, deadline=deadline, ok_missing=True)

    def get_state(self, handle: VmiHandle, deadline: Deadline) -> VmiState | None:
        """Return what the VMI's object says now, or None when it is gone."""
        found = self.get(handle, deadline)
        return vmi_state(found, interface=INTERFACE) if found else None

    def delete(self, handle: VmiHandle, deadline: Deadline) -> None:
        """Ask for the deletion, at once and only of this very VMI; fine when it is gone.

        Where its uid is unknown (the answer to its creation was lost) it is looked for first.
        """
        if not handle.uid:
            found = self.get(handle, deadline)
            if not found:
                return
            handle = replace(handle, uid=str(found["metadata"]["uid"]))
            self._record(handle)
        pauses = iter(PAUSES)
        while True:
            try:
                self._ask_to_go(handle, deadline)
            except KubeApiError as error:
                # A namesake with another uid (ours is gone), or somebody wrote to it at this moment.
                if error.status != 409:
                    raise
            else:
                return
            if self.get(handle, deadline) is None:
                return
            deadline.pause(next(pauses), f"VMI {handle} to be deleted")

    def _ask_to_go(self, handle: VmiHandle, deadline: Deadline) -> bool:
        """Ask for the deletion of this very VMI, by its uid; whether it is there yet. Raises ``KubeApiError`` (409)."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": handle.uid},
        }
        path = paths.vmi(handle.namespace, handle.name)
        return bool(self._client.request("DELETE", path, body=body, deadline=deadline, ok_missing=True))

    def delete_all(self, handles: Sequence[VmiHandle], deadline: Deadline) -> dict[VmiHandle, KvLatencyError]:
        """Ask for all deletions at once, in parallel; return those that could not be asked for."""
        failed: dict[VmiHandle, KvLatencyError] = {}

        def one(handle: VmiHandle) -> None:
            try:
                self.delete(handle, deadline)
            except KvLatencyError as error:
                failed[handle] = error

        if handles:
            threads = Threads(_THREADS, "kvlatency-delete")
            for asked in [threads.submit(one, handle) for handle in handles]:
                asked.result()
        return failed

    def wait_gone(
        self,
        handles: Sequence[VmiHandle],
        deadline: Deadline,
        on_gone: Callable[[VmiHandle], None] | None = None,
    ) -> None:
        """Wait until all are gone; raise ``TeardownError`` that names the others and what holds them.

        One whose creation got no answer is waited for as well, and deleted when it comes.
        """
        left: dict[VmiHandle, VmiState | None] = dict.fromkeys(handles)
        try:
            for handle, state in polls(self._get_leaving, handles, deadline, "VMIs to be deleted"):
                if state is None:
                    self.forget(handle)
                    del left[handle]
                    if on_gone is not None:
                        on_gone(handle)
                else:
                    left[handle] = state
                if not left:
                    return
        except CheckupTimeoutError as error:
            stuck = ", ".join(_held(handle, state) for handle, state in left.items())
            raise TeardownError(
                f"not gone after {deadline.spent():.0f} s: {stuck}", hint=_release_hint(left)
            ) from error
        except (ApiUnavailableError, PermissionDeniedError) as error:
            names = ", ".join(map(str, left))
            why = error.reason
            if isinstance(error, ApiUnavailableError):
                why = f"cannot ask the API server: {error.message}"
            raise TeardownError(
                f"these VMIs may still exist: {names}; {why}",
                hint="\n".join(filter(None, [_release_hint(left), error.hint])),
            ) from error

    def _get_leaving(self, handle: VmiHandle, deadline: Deadline) -> VmiState | None:
        """As ``get_state``, of a VMI whose deletion was asked for; what comes of its request later is deleted too."""
        try:
            found = self._get(handle, deadline)
        except PermissionDeniedError:
            if not handle.uid:
                raise
            return self._ask_whether_gone(handle, deadline)
        if found and _is_ours(found, handle, by_request=True):
            state = vmi_state(found, interface=INTERFACE)
            if state.uid != handle.uid and not state.deleting:
                self.delete(replace(handle, uid=state.uid), deadline)
            return state
        doubts = self._doubts.get(handle.token)
        if doubts and self._clock() - doubts[-1] < ON_ITS_WAY_SECONDS:
            return VmiState(uid="", deleting=True)
        return None

    def _ask_whether_gone(self, handle: VmiHandle, deadline: Deadline) -> VmiState | None:
        """Learn by another deletion whether a VMI that may not be read is gone."""
        try:
            is_there = self._ask_to_go(handle, deadline)
        except KubeApiError as error:
            if error.status != 409:
                raise
            # A namesake, or a write at this moment: the next look tells.
            is_there = "precondition" not in error.message.lower()
        return VmiState(uid=handle.uid, deleting=True) if is_there else None

    def evidence(self, handle: VmiHandle, deadline: Deadline) -> evidence.Evidence:
        """Collect what can be had for artifacts of a failure; never raises for what cannot."""
        return evidence.collect(self._client, handle, deadline)


def _is_ours(found: Mapping[str, Any], handle: VmiHandle, *, by_request: bool = False) -> bool:
    """Whether it is this very VMI; or, ``by_request``, another one that came of the same request."""
    metadata = found.get("metadata") or {}
    if handle.uid and (metadata.get("uid") == handle.uid or not by_request):
        return bool(metadata.get("uid") == handle.uid)
    return bool(handle.token and (metadata.get("annotations") or {}).get(ANNOTATION_REQUEST) == handle.token)


def deletion_hint(handles: Iterable[VmiHandle]) -> str:
    """The commands that delete VMIs, a line each."""
    return "\n".join(f"kubectl delete vmi -n {handle.namespace} {handle.name}" for handle in handles)


def _release_hint(left: Mapping[VmiHandle, VmiState | None]) -> str:
    """What lets VMIs go that are not gone, a line each."""
    waiting = [handle for handle, state in left.items() if state is not None and _awaits_handler(state)]
    hints = [deletion_hint(handle for handle in left if handle not in waiting)]
    if waiting:
        # They were asked to go, and another request changes nothing.
        hints.append("kubectl get pods -A -l kubevirt.io=virt-handler -o wide")
    return "\n".join(filter(None, hints))


def _awaits_handler(state: VmiState) -> bool:
    """Whether virt-handler has not yet stopped the guest of a VMI that is being deleted."""
    is_held = any(_KUBEVIRT_FINALIZER in finalizer for finalizer in state.finalizers)
    return state.deleting and is_held and state.phase in ("Scheduled", "Running") and bool(state.node)


def _held(handle: VmiHandle, state: VmiState | None) -> str:
    if state is None:
        return f"VMI {handle}"
    if not state.deleting:
        return f"VMI {handle} (its deletion was not accepted)"
    if not state.finalizers:
        return f"VMI {handle} (no finalizer blocks it)"
    if _awaits_handler(state):
        whose = f"it is still {state.phase}, waiting for virt-handler on node {state.node}"
    elif any(_KUBEVIRT_FINALIZER in finalizer for finalizer in state.finalizers):
        whose = "its pod has not ended"
    else:
        whose = "a controller keeps it"
    return f"VMI {handle} (finalizers {', '.join(state.finalizers)}: {whose})"
