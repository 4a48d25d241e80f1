"""Each node of the plan, where nodes may be read: whether a VM can start there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.nodes import no_such, node_facts, obstacles
from pytest_kvlatency.model import Finding, some
from pytest_kvlatency.plan.moves import is_open
from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.nodes import Obstacle
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "node"
_AT_ONCE: Final = 8

_Nodes = dict[str, "dict[str, Any] | None"]


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """A line for each node that is named, and one for each choice that is left to the scheduler."""
    named = tuple(dict.fromkeys(node for check in scope.checks for node in check.pair.nodes))
    choices = {
        "for auto": ("A pair", any(key.is_auto for key in scope.vmis)),
        "for a migration to any": ("It", any(map(is_open, scope.checks))),
    }
    sets = tuple(dict.fromkeys((check.pair.target, check.among) for check in scope.checks if check.among))
    listed = _listed(scope, deadline)
    wanted = dict.fromkeys((*named, *(name for _, names in sets for name in names)))
    found = _each(scope, wanted, deadline) if listed is None else listed
    if found is None:
        yield Finding(check="nodes", outcome="skipped", message="not permitted to read")
        return
    for name in named:
        yield _node(scope, name, found, known=listed)
    for subject, (what, is_left) in choices.items():
        if is_left:
            yield _choice(scope, listed, subject, f"{what} needs two different nodes", least=2)
    for start, names in sets:
        others = {name: found.get(name) for name in names if name != start}
        yield _choice(
            scope, others, f"for a migration from {start}", "It needs another node of the node set", least=1
        )


def _listed(scope: Scope, deadline: Deadline) -> _Nodes | None:
    """All nodes by one request, where they may be listed."""
    try:
        answer = scope.get(f"{paths.CORE}/nodes", deadline) or {}
    except PermissionDeniedError:
        return None
    return {str(one["metadata"]["name"]): one for one in answer.get("items") or []}


def _each(scope: Scope, names: Iterable[str], deadline: Deadline) -> _Nodes | None:
    """The nodes one by one: to get one may be permitted where to list them is not. None: neither is."""
    threads = Threads(_AT_ONCE, "kvlatency-nodes")
    asked = [(name, threads.submit(scope.get, f"{paths.CORE}/nodes/{name}", deadline)) for name in names]
    try:
        return {name: answer.result() for name, answer in asked} or None
    except PermissionDeniedError:
        return None


def _node(scope: Scope, name: str, found: _Nodes, *, known: _Nodes | None) -> Finding:
    item = found.get(name)
    if item is None:
        message = no_such([name], None if known is None else tuple(known))
        return Finding(check=CHECK, subject=name, outcome="failed", message=message)
    reasons = _obstacles(scope, item)
    if reasons:
        return Finding(
            check=CHECK,
            subject=name,
            outcome="failed",
            message=f"no VM can start there: {'; '.join(f'it {one.what}' for one in reasons)}",
            hint="\n".join(one.hint for one in reasons),
        )
    return Finding(check=CHECK, subject=name, outcome="ok", message="ready; VMs can start there")


def _choice(scope: Scope, nodes: _Nodes | None, subject: str, needs: str, *, least: int) -> Finding:
    """Whether there are at least so many nodes to choose from."""
    if nodes is None:
        return Finding(check="nodes", subject=subject, outcome="skipped", message="not permitted to list")
    names = sorted(nodes, key=natural_key)
    able = [name for name in names if (item := nodes[name]) is not None and not _obstacles(scope, item)]
    left = [name for name in names if name not in able]
    message = f"VMs can start on {len(able)} of {len(nodes)}: {some(able) or 'none'}"
    if left:
        message += f"; not on {some(left)}"
    return Finding(
        check="nodes",
        subject=subject,
        outcome="ok" if len(able) >= least else "failed",
        message=message if len(able) >= least else f"{message}. {needs}",
    )


def _obstacles(scope: Scope, item: Mapping[str, Any]) -> list[Obstacle]:
    """Why no VM of the plan can start on a node now."""
    return obstacles(node_facts(item), tolerations=scope.tolerations, needs_kvm=not scope.emulates)
