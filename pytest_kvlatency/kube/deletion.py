"""VMIs on their way out: asked to go, each by its uid, and waited for until they are gone; else what holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, KvLatencyError, PermissionDeniedError, TeardownError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, KubeApiError
from pytest_kvlatency.kube.lookup import find, is_ours, namesake
from pytest_kvlatency.kube.manifest import delete_options
from pytest_kvlatency.kube.migration import remove_with_vmi
from pytest_kvlatency.kube.polls import polls
from pytest_kvlatency.kube.state import VmiHandle, VmiState, vmi_state
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.ledger import Ledger

# What KubeVirt's controllers put on a VMI and take off when its pod has gone.
_KUBEVIRT_FINALIZER: Final = "foregroundDeleteVirtualMachine"
PAUSES: Final = Backoff(first=0.05, longest=1.0)
_THREADS: Final = 32


class Deletion:
    """Deletes the VMIs of a run. Thread-safe."""

    def __init__(self, client: KubeClient, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger

    def delete(self, handle: VmiHandle, deadline: Deadline) -> None:
        """Ask for the deletion, at once and only of this very VMI; fine when it is gone.

        Where its uid is unknown (the answer to its creation was lost) it is looked for first.
        """
        if not handle.uid:
            found = find(self._client, handle, deadline)
            if not found:
                return
            handle = replace(handle, uid=str(found["metadata"]["uid"]))
            self._ledger.record(handle)
        if self._ledger.migrates(handle):
            # First, for it outlives its VMI otherwise, and keeps the VMI's pods meanwhile.
            remove_with_vmi(self._client, handle, deadline)
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
            if find(self._client, handle, deadline) is None:
                return
            deadline.pause(next(pauses), f"VMI {handle} to be deleted")

    def _ask_to_go(self, handle: VmiHandle, deadline: Deadline) -> bool:
        """Ask for the deletion of this very VMI, by its uid; whether it is there yet. Raises ``KubeApiError`` (409)."""
        path, body = paths.vmi(handle.namespace, handle.name), delete_options(uid=handle.uid)
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

        One whose creation got no answer is waited for as well, and deleted when it comes. So is a live migration.
        """
        left: dict[VmiHandle, VmiState | None] = dict.fromkeys(handles)
        try:
            for handle, state in polls(self._get_leaving, handles, deadline, "VMIs to be deleted"):
                if state is None:
                    self._ledger.forget(handle)
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
                f"not gone after {deadline.spent():.0f} s: {stuck}",
                hint=_release_hint(left),
                summary=f"{_vmis(len(left))} not gone",
            ) from error
        except (ApiUnavailableError, PermissionDeniedError) as error:
            names = ", ".join(map(str, left))
            why = error.reason
            if isinstance(error, ApiUnavailableError):
                why = f"cannot ask the API server: {error.message}"
            raise TeardownError(
                f"these VMIs may still exist: {names}; {why}",
                hint="\n".join(filter(None, [_release_hint(left), error.hint])),
                summary=f"could not tell whether VMIs are gone: {why}",
            ) from error

    def _get_leaving(self, handle: VmiHandle, deadline: Deadline) -> VmiState | None:
        """The state of a VMI whose deletion was asked for; what comes of its request later is deleted too."""
        try:
            found = namesake(self._client, handle, deadline)
        except PermissionDeniedError:
            if not handle.uid:
                raise
            return self._ask_whether_gone(handle, deadline)
        if found and is_ours(found, handle, by_request=True):
            state = vmi_state(found)
            if state.uid != handle.uid and not state.deleting:
                self.delete(replace(handle, uid=state.uid), deadline)
            return state
        if self._ledger.migrates(handle) and remove_with_vmi(self._client, handle, deadline):
            return VmiState(uid="", deleting=True)
        return VmiState(uid="", deleting=True) if self._ledger.may_come(handle) else None

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


def _vmis(count: int) -> str:
    return "1 VMI is" if count == 1 else f"{count} VMIs are"


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
    """A VMI, with what holds it as far as that is known."""
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
