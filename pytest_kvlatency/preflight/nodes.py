"""Each node of the plan, where nodes may be read: whether a VM can start there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.nodes import tolerates
from pytest_kvlatency.model import Finding
from pytest_kvlatency.preflight.reading import NotPermitted, read
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "node"
SCHEDULABLE: Final = "kubevirt.io/schedulable"
KVM: Final = "devices.kubevirt.io/kvm"
_AT_ONCE: Final = 8
_NAMED: Final = 5

_Nodes = dict[str, "dict[str, Any] | None"]


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """A line for each node that is named, and one for the choice that ``auto`` leaves to the scheduler."""
    named = tuple(dict.fromkeys(key.node for key in scope.vmis if key.node is not None))
    has_auto = any(key.is_auto for key in scope.vmis)
    listed = _listed(scope, deadline)
    try:
        found = _each(scope, named, deadline) if listed is None else listed
    except NotPermitted:
        yield Finding(check="nodes", outcome="skipped", message="not permitted to read")
        return
    for name in named:
        yield _node(scope, name, found, known=listed)
    if has_auto:
        yield _choice(scope, listed)


def _listed(scope: Scope, deadline: Deadline) -> _Nodes | None:
    """All nodes by one request, where they may be listed."""
    try:
        answer = read(scope, f"{paths.CORE}/nodes", deadline) or {}
    except NotPermitted:
        return None
    return {str(one["metadata"]["name"]): one for one in answer.get("items") or []}


def _each(scope: Scope, names: Sequence[str], deadline: Deadline) -> _Nodes:
    """The nodes one by one: to get one may be permitted where to list them is not. Raises ``NotPermitted``."""
    if not names:
        raise NotPermitted
    threads = Threads(_AT_ONCE, "kvlatency-nodes")
    asked = [(name, threads.submit(read, scope, f"{paths.CORE}/nodes/{name}", deadline)) for name in names]
    return {name: answer.result() for name, answer in asked}


def _node(scope: Scope, name: str, found: _Nodes, *, known: _Nodes | None) -> Finding:
    item = found.get(name)
    if item is None:
        others = f" (nodes: {_some(sorted(known))})" if known else ""
        message = f"there is no node {name!r}{others}"
        return Finding(check=CHECK, subject=name, outcome="failed", message=message)
    reasons = obstacles(scope, item)
    if reasons:
        return Finding(
            check=CHECK,
            subject=name,
            outcome="failed",
            message=f"no VM can start there: {'; '.join(reason for reason, _ in reasons)}",
            hint="\n".join(hint for _, hint in reasons),
        )
    return Finding(check=CHECK, subject=name, outcome="ok", message="ready; VMs can start there")


def _choice(scope: Scope, listed: _Nodes | None) -> Finding:
    """Whether there are two nodes for an ``auto`` pair."""
    if listed is None:
        return Finding(check="nodes", subject="for auto", outcome="skipped", message="not permitted to list")
    able = [name for name, item in sorted(listed.items()) if item is not None and not obstacles(scope, item)]
    left = [name for name in sorted(listed) if name not in able]
    message = f"VMs can start on {len(able)} of {len(listed)}: {_some(able) or 'none'}"
    if left:
        message += f"; not on {_some(left)}"
    return Finding(
        check="nodes",
        subject="for auto",
        outcome="ok" if len(able) > 1 else "failed",
        message=message if len(able) > 1 else f"{message}. A pair needs two different nodes",
    )


def obstacles(scope: Scope, item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Why no VM of the plan can start on a node now, each reason with the way out."""
    name = item["metadata"]["name"]
    spec, status = item.get("spec") or {}, item.get("status") or {}
    found = []
    if spec.get("unschedulable"):
        found.append(("it is cordoned", f"kubectl uncordon {name}, or leave it out of --kv-node-set"))
    if _condition(status, "Ready") != "True":
        found.append(("it is not ready", f"See `kubectl describe node {name}`."))
    taints = [
        one
        for one in spec.get("taints") or ()
        if not (tolerates([one], scope.tolerations) or _is_of_a_cordon(one))
    ]
    for taint in taints:
        text = taint["key"] + (f"={taint['value']}" if taint.get("value") else "") + f":{taint['effect']}"
        found.append((f"its taint {text} is not tolerated", f"--kv-toleration {text}"))
    if (item["metadata"].get("labels") or {}).get(SCHEDULABLE) != "true":
        found.append(
            (
                f'its label {SCHEDULABLE} is not "true"',
                "See `kubectl get pods -A -l kubevirt.io=virt-handler -o wide`: KubeVirt does not run there.",
            )
        )
    if not scope.emulates and not _amount((status.get("allocatable") or {}).get(KVM)):
        found.append(
            (
                f"it offers no /dev/kvm ({KVM})",
                "Enable nested virtualization, or useEmulation in the KubeVirt object.",
            )
        )
    return found


def _is_of_a_cordon(taint: Mapping[str, Any]) -> bool:
    """Whether it only repeats what the node says by other means."""
    return taint.get("key") in ("node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready")


def _condition(status: Mapping[str, Any], kind: str) -> str | None:
    return next(
        (one.get("status") for one in status.get("conditions") or () if one.get("type") == kind), None
    )


def _amount(text: object) -> bool:
    """Whether a quantity of a device plugin is more than none."""
    return str(text or "0") != "0"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
