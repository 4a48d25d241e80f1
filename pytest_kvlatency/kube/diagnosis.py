"""From what a VMI's object and events say to the cause why it does not run. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.kube.evidence import is_about
from pytest_kvlatency.kube.pulling import pull_after
from pytest_kvlatency.kube.unschedulable import KVM_HINT, why

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.kube.pulling import Pull
    from pytest_kvlatency.kube.state import VmiHandle, VmiState

# Seconds that a trouble must last to be the cause: a node may be scaling up; quota may be given back by a VMI
# that is just being deleted.
UNSCHEDULABLE_LASTS: Final = 10.0
FAILED_CREATE_LASTS: Final = 5.0
# virt-handler tries again and again, and what it waits for may come.
UNSYNCHRONIZED_LASTS: Final = 30.0
PULL_HINT: Final = (
    "Name an image that the nodes can pull with --kv-image, and its credentials with --kv-image-pull-secret. "
    "If other nodes can pull it, check this node's way to the registry, its mirrors and its disk."
)

# What differs from one refusal to the next of one quota, and the names of pods and webhooks' requests.
_VARYING: Final = re.compile(
    r', requested: .*?(?=, limited: )|(?<=, )used: .*?(?=, limited: )|(?:pods|virtualmachineinstances[.a-z]*) "[^"]*" ',
    re.DOTALL,
)
_FAILED_CREATE: Final = ("FailedCreate", "FailedCreateValidation")
#: What the words of a refusal mean for its user; the first that matches.
_WAYS_OUT: Final = tuple(
    (re.compile(words, re.IGNORECASE), way)
    for words, way in (
        (
            "exceeded quota|must specify",
            "See `kubectl describe resourcequota -n {namespace}`, or choose another --kv-namespace.",
        ),
        (
            "podsecurity",
            (
                "Label namespace {namespace} with pod-security.kubernetes.io/enforce=privileged, "
                "or choose another --kv-namespace."
            ),
        ),
        (
            r"usage per|limit to request ratio|must be less than or equal to \S+ limit",
            "See `kubectl describe limitrange -n {namespace}`, or choose another --kv-namespace.",
        ),
        ("being terminated", "The namespace is being deleted: choose another with --kv-namespace."),
        (
            "network binding",
            (
                "Register the binding plugin in the KubeVirt object (spec.configuration.network.binding), "
                "or choose another with --kv-binding."
            ),
        ),
        (
            r'failed to render launch manifest|webhook "[^"]*\bkubevirt\.io" denied',
            "KubeVirt itself rejects this VMI: check --kv-nad, --kv-binding, and any hook that changes its manifest.",
        ),
        (
            "denied|forbidden",
            "A policy of the cluster rejects it in namespace {namespace}: choose another with --kv-namespace.",
        ),
    )
)
_SEE_EVENTS: Final = "See `kubectl get events -n {namespace}`."


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What may be the cause: it is, once it has lasted ``lasts`` seconds (None: only a time-out makes it one).

    ``summary``, ``node`` and ``is_local`` are those of ``KvLatencyError``.
    """

    key: str
    reason: str
    summary: str = ""
    node: str = ""
    hint: str = ""
    is_local: bool = True
    lasts: float | None = 0.0


def trouble(handle: VmiHandle, state: VmiState | None, pull: Pull | None = None) -> Trouble | None:
    """Say what keeps a VMI from running, if its object shows anything; ``state`` None: there is no such VMI.

    ``pull`` is what earlier states have shown of the image's pull, this one included.
    """
    if state is None or (handle.uid and state.uid != handle.uid):
        return Trouble(
            key="gone",
            reason=f"VMI {handle} is gone: another client deleted it",
            summary="another client deleted a VMI",
            is_local=False,
            hint=f"Find out what deletes VMIs in namespace {handle.namespace}. If POD_UID is set, it may be "
            "Kubernetes: it deletes VMIs at once if their pod (POD_UID, with POD_NAME or HOSTNAME) does not exist.",
        )
    if state.deleting:
        return Trouble(
            key="deleting",
            reason=f"VMI {handle} is being deleted by another client",
            summary="another client deleted a VMI",
            is_local=False,
        )
    if state.phase in ("Failed", "Succeeded"):
        return _ended(handle, state)
    if state.running:
        # Whatever a condition still says.
        return None
    pull = pull_after(None, state) if pull is None else pull
    if pull is not None:
        return _unpulled(handle, state, pull)
    return _unscheduled(handle, state) or _unsynchronized(handle, state)


def _ended(handle: VmiHandle, state: VmiState) -> Trouble:
    words = [
        f"{condition.reason}: {condition.message}".strip(": ")
        for condition in state.conditions.values()
        if condition.status == "False" and (condition.message or condition.reason)
    ]
    told = f" ({'; '.join(dict.fromkeys(words))})" if words else ""
    where = f" on node {state.node}" if state.node else ""
    what = "has failed" if state.phase == "Failed" else "has ended: its guest powered off"
    return Trouble(
        key=state.phase,
        reason=f"VMI {handle} {what}{where}{told}",
        summary=f"a VMI {what}{told}",
        hint=f"See `kubectl describe vmi -n {handle.namespace} {handle.name}` with --kv-keep failed.",
    )


def _unscheduled(handle: VmiHandle, state: VmiState) -> Trouble | None:
    condition = state.denied("PodScheduled")
    if condition is None or condition.reason != "Unschedulable":
        return None
    message = condition.message or "the scheduler gives no reason"
    cause = why(message, state.wanted_node)
    told = f"{cause.summary} ({message})" if cause.is_read else message
    if cause.hint == KVM_HINT:
        # It concerns every VMI: worth saying in the one line that every report has.
        told = f"{cause.summary}: {cause.hint} ({message})"
    return Trouble(
        key="Unschedulable",
        reason=f"VMI {handle} cannot be scheduled: {told}",
        summary=cause.summary,
        node=cause.node,
        hint=cause.hint,
        is_local=False,
        lasts=UNSCHEDULABLE_LASTS,
    )


def _unpulled(handle: VmiHandle, state: VmiState, pull: Pull) -> Trouble:
    node = state.node or state.wanted_node or f"the node of VMI {handle}"
    image = f" {state.image}" if state.image else ""
    return Trouble(
        key="pull",
        reason=f"{node} cannot pull the guest image{image}: {pull}",
        summary=f"cannot pull the guest image{image}: {pull.last_words}",
        hint=PULL_HINT,
        lasts=pull.lasts,
    )


def _unsynchronized(handle: VmiHandle, state: VmiState) -> Trouble | None:
    condition = state.denied("Synchronized")
    if condition is None:
        return None
    reason, message = condition.reason, condition.message
    if reason in _FAILED_CREATE:
        return Trouble(
            key="FailedCreate",
            reason=f"the pod of VMI {handle} was rejected: {message or 'no reason given'}",
            summary=f"a VMI's pod was rejected: {same_for_all(message) or 'no reason given'}",
            hint=refusal_hint(message, handle.namespace),
            is_local=False,
            lasts=FAILED_CREATE_LASTS,
        )
    # virt-handler's reason is a sentence: "Synchronizing with the Domain failed."
    what = f"{reason.rstrip('.')}: {message}".strip(": ")
    where = f" on node {state.node}" if state.node else ""
    return Trouble(
        key=reason,
        reason=f"VMI {handle} does not start{where}: {what or 'no reason given'}",
        summary=f"a VMI does not start: {what or 'no reason given'}",
        hint=f"See `kubectl describe vmi -n {handle.namespace} {handle.name}` with --kv-keep failed.",
        lasts=UNSYNCHRONIZED_LASTS,
    )


def same_for_all(message: str) -> str:
    """A refusal without what differs from one VMI to the next: its name, and what a quota has left."""
    return _VARYING.sub("", message)


def refusal_hint(message: str, namespace: str) -> str:
    """Say the way out of a refusal: by quota, limit range, Pod Security, another policy, or KubeVirt itself."""
    hint = next((way for words, way in _WAYS_OUT if words.search(message)), _SEE_EVENTS)
    return hint.format(namespace=namespace)


def is_mac_refusal(message: str) -> bool:
    """Whether an admission webhook's words say that the MAC is taken or out of range (KubeMacPool)."""
    lowered = message.lower()
    return "denied the request" in lowered and ("kubemacpool" in lowered or "mac address" in lowered)


def warnings_of(events: Iterable[Mapping[str, Any]], handle: VmiHandle) -> list[str]:
    """The warnings about a VMI and its pod as ``Reason: message``, the latest last, each once."""
    found: list[tuple[str, str]] = []
    for event in events:
        if event.get("type") != "Warning" or not is_about(event, handle):
            continue
        time = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""
        words = " ".join(str(event.get("message", "")).split())
        found.append((str(time), f"{event.get('reason', '')}: {words}"))
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda entry: entry[0])))


def stuck(
    handle: VmiHandle,
    state: VmiState | None,
    seconds: float,
    warnings: Sequence[str] | None,
    pull: Pull | None = None,
) -> str:
    """Say where a VMI stood when time was over. ``warnings`` None: its events may not be read."""
    if state is None:
        return f"VMI {handle} has not been seen"
    phase = state.phase or "without a phase"
    node = f" on node {state.node}" if state.node else ""
    parts = [f"VMI {handle} has been {phase}{node} for {seconds:.0f} s"]
    known = trouble(handle, state, pull)
    if known is not None:
        parts.append(known.reason)
    if warnings:
        parts.append(" | ".join(warnings[-2:]))
    elif warnings is None and state.phase in ("Scheduling", "Scheduled"):
        parts.append(candidates(handle))
    return "; ".join(parts)


def candidates(handle: VmiHandle) -> str:
    """What a VMI that stays Scheduling usually suffers from, where the pod's events may not be read."""
    nad = handle.nad
    if nad is None:
        return "its pod does not start"
    text = f"its pod does not start: the network of NAD {nad} may be missing on the node"
    if nad.namespace not in (handle.namespace, "default"):
        text += (
            f", or Multus' namespace isolation keeps NAD {nad} from namespace {handle.namespace} "
            f"(use a NAD of {handle.namespace} or default)"
        )
    return text
