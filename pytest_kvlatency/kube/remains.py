"""VMIs that were asked to go and have not gone: what holds them, and what lets them go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_kvlatency.kube.state import VmiHandle, VmiState

# What KubeVirt's controllers put on a VMI and take off when its pod has gone.
_KUBEVIRT_FINALIZER: Final = "foregroundDeleteVirtualMachine"


def deletion_hint(handles: Iterable[VmiHandle]) -> str:
    """The commands that delete VMIs, a line each."""
    return "\n".join(f"kubectl delete vmi -n {handle.namespace} {handle.name}" for handle in handles)


def release_hint(left: Mapping[VmiHandle, VmiState | None]) -> str:
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


def held(handle: VmiHandle, state: VmiState | None) -> str:
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
