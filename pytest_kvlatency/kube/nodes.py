"""The nodes: which a VM can start on, and why not on the others (needs permission to list or get nodes)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import ConfigError, InterruptedRunError, KvLatencyError, ProvisionError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.model import NodeChoice, some
from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient

#: What KubeVirt puts on a node where it runs, and what virt-launcher pods select: only ``"true"`` counts.
SCHEDULABLE: Final = "kubevirt.io/schedulable"
KVM: Final = "devices.kubevirt.io/kvm"
_CORDON: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
#: Taints that only repeat what the node says by other means.
_REPEATED: Final = tuple(f"node.kubernetes.io/{one}" for one in ("unschedulable", "not-ready", "unreachable"))
#: Taints of Kubernetes' own, which come and go with a node's condition.
_OF_CONDITIONS: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_NAME_OTHERS: Final = "Name nodes that exist with --kv-nodes or --kv-node-set."
_AT_ONCE: Final = 8
#: Seconds for a list that only makes a message better.
_PATIENCE_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node. ``has_kvm``: whether it offers ``/dev/kvm`` to VMs."""

    name: str
    is_cordoned: bool = False
    is_ready: bool = True
    has_kvm: bool = True
    architecture: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Why no VM can start on a node: ``is cordoned``, and the way out.

    ``may_pass`` is what is known to go by itself, such as a node that is not ready.
    """

    what: str
    hint: str
    may_pass: bool = False


@dataclass(frozen=True, kw_only=True)
class SeenNodes:
    """What was read of the nodes.

    ``by_name`` holds those that were read, with None for one that does not exist; what may not be read is not in it.
    ``listed`` has the names of all nodes, None where they could not be listed. ``is_whole``: all were read.
    """

    by_name: Mapping[str, NodeFacts | None] = field(default_factory=dict)
    listed: tuple[str, ...] | None = None
    is_whole: bool = False


def list_nodes(
    client: KubeClient, deadline: Deadline, *, label_selector: str | None = None
) -> list[NodeFacts]:
    """Return the nodes, worker2 before worker10. Raises ``PermissionDeniedError`` with the ClusterRole's rule."""
    query = {"limit": "500", **({"labelSelector": label_selector} if label_selector else {})}
    found = map(node_facts, client.items(f"{paths.CORE}/nodes", query=query, deadline=deadline))
    return sorted(found, key=lambda node: natural_key(node.name))


def choose(nodes: Sequence[NodeFacts], *, tolerations: Sequence[Mapping[str, Any]]) -> NodeChoice:
    """Choose the nodes on which a VM with these tolerations can start."""
    hindered = {node.name: obstacles(node, tolerations=tolerations) for node in nodes}
    return NodeChoice(
        names=tuple(name for name, found in hindered.items() if not found),
        left_out=tuple(f"{name} {_joined(found)}" for name, found in hindered.items() if found),
    )


def look_at(
    client: KubeClient,
    names: Iterable[str],
    deadline: Deadline,
    *,
    tolerations: Sequence[Mapping[str, Any]],
    before: Sequence[NodeFacts] = (),
    is_whole: bool = False,
) -> SeenNodes:
    """Read the nodes that are named, as far as that is permitted; what cannot be read is left out.

    ``before`` are nodes that were read some time ago, ``is_whole`` says that they were all: such a node is read again
    only where a VM could not start on it then. One request for each node, several at once, and one for all nodes where
    they may only be listed, or where one that is named does not exist.
    """
    old = {node.name: node for node in before}
    wanted = tuple(dict.fromkeys(names))
    found: dict[str, NodeFacts | None] = {
        name: old[name]
        for name in wanted
        if name in old and not obstacles(old[name], tolerations=tolerations)
    }
    threads = Threads(_AT_ONCE, "kvlatency-nodes")
    asked = [(name, threads.submit(look, client, name, deadline)) for name in wanted if name not in found]
    found |= {name: seen[0] for name, answer in asked if (seen := answer.result())}
    unread = [name for name in wanted if name not in found]
    if not unread and all(found.values()):
        return SeenNodes(by_name=found)
    if not is_whole:
        try:
            old = {node.name: node for node in list_nodes(client, deadline.limit(_PATIENCE_SECONDS))}
        except InterruptedRunError:
            raise
        except KvLatencyError:
            return SeenNodes(by_name=found)
    found |= {name: old.get(name) for name in unread}
    return SeenNodes(by_name=found, listed=tuple(old))


def seen_of(nodes: Iterable[NodeFacts], names: Iterable[str]) -> SeenNodes:
    """Take all nodes that there are; what else is named does not exist."""
    there = {node.name: node for node in nodes}
    return SeenNodes(by_name={**dict.fromkeys(names), **there}, listed=tuple(there), is_whole=True)


def look(client: KubeClient, name: str, deadline: Deadline) -> tuple[NodeFacts | None, ...]:
    """Read one node: its facts, or None where there is none; empty where it could not be read."""
    item = client.optional(f"{paths.CORE}/nodes/{name}", deadline=deadline, ok_missing=True)
    if item is None:
        return ()
    return (node_facts(item) if item else None,)


def refusal(
    seen: SeenNodes, names: Iterable[str], *, tolerations: Sequence[Mapping[str, Any]]
) -> KvLatencyError | None:
    """Why no VM can start on one of these nodes, as far as that is known and will not pass."""
    wanted = tuple(dict.fromkeys(names))
    missing = [name for name in wanted if name in seen.by_name and seen.by_name[name] is None]
    if missing:
        return ConfigError(
            no_such(missing, seen.listed),
            hint=_NAME_OTHERS if seen.listed else "See `kubectl get nodes`.",
            summary=no_such(missing[:1], None),
            node=missing[0],
        )
    reasons, hints, summary, blamed = [], [], "", ""
    for name in wanted:
        node = seen.by_name.get(name)
        found = [] if node is None else obstacles(node, tolerations=tolerations)
        lasting = [one for one in found if not one.may_pass]
        if lasting:
            ways = "; ".join(one.hint for one in lasting)
            reasons.append(f"{name} {_joined(lasting)}, so no VM can start there: {ways}")
            hints.append(ways)
            summary, blamed = summary or f"{name} {_joined(lasting)}", blamed or name
    if not reasons:
        return None
    return ProvisionError("; ".join(reasons), hint="\n".join(hints), summary=summary, node=blamed)


def no_such(missing: Sequence[str], listed: Sequence[str] | None) -> str:
    """Say that nodes do not exist, and which do."""
    words = ", ".join(map(repr, missing))
    there_is = f"there is no node {words}" if len(missing) == 1 else f"there are no nodes {words}"
    return f"{there_is} (nodes: {some(sorted(listed, key=natural_key))})" if listed else there_is


def _joined(found: Sequence[Obstacle]) -> str:
    return " and ".join(one.what for one in found)


def obstacles(
    node: NodeFacts, *, tolerations: Sequence[Mapping[str, Any]], needs_kvm: bool = False
) -> list[Obstacle]:
    """Why no VM with these tolerations can start on a node now; ``needs_kvm``: KubeVirt emulates none."""
    return list(_obstacles(node, tolerations, needs_kvm=needs_kvm))


def _obstacles(
    node: NodeFacts, tolerations: Sequence[Mapping[str, Any]], *, needs_kvm: bool
) -> Iterator[Obstacle]:
    name = node.name
    if node.is_cordoned and not tolerates([_CORDON], tolerations):
        yield Obstacle(what="is cordoned", hint=f"kubectl uncordon {name}, or leave it out of --kv-node-set")
    if not node.is_ready:
        yield Obstacle(what="is not ready", hint=f"see kubectl describe node {name}", may_pass=True)
    for taint in node.taints:
        if tolerates([taint], tolerations) or taint.get("key") in _REPEATED:
            continue
        value = f"={taint['value']}" if taint.get("value") else ""
        text = f"{taint['key']}{value}:{taint['effect']}"
        yield Obstacle(
            what=f"has the untolerated taint {text}",
            hint=f"--kv-toleration {text}",
            may_pass=str(taint["key"]).startswith(_OF_CONDITIONS),
        )
    label = node.labels.get(SCHEDULABLE)
    if label != "true":
        # It is "false" while virt-handler does not answer, and absent where KubeVirt does not run at all.
        said = f"has no label {SCHEDULABLE}" if label is None else f'has the label {SCHEDULABLE}="{label}"'
        yield Obstacle(
            what=said,
            hint="KubeVirt does not run there: see kubectl get pods -A -l kubevirt.io=virt-handler -o wide",
            may_pass=label is not None,
        )
    if needs_kvm and not node.has_kvm:
        yield Obstacle(
            what=f"offers no /dev/kvm ({KVM})",
            hint="enable nested virtualization, or useEmulation in the KubeVirt object",
            may_pass=True,
        )


def tolerates(taints: Sequence[Mapping[str, Any]], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every taint that keeps pods off (``NoSchedule``, ``NoExecute``) is covered, as the scheduler does it."""
    return all(
        any(_covers(toleration, taint) for toleration in tolerations)
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") != taint.get("key"):
        return False
    return bool(
        toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.get("value") or "")
    )


def node_facts(item: Mapping[str, Any]) -> NodeFacts:
    """Read one Node object."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {entry.get("type"): entry.get("status") for entry in status.get("conditions") or []}
    allocatable = status.get("allocatable") or {}
    return NodeFacts(
        name=metadata["name"],
        is_cordoned=bool(spec.get("unschedulable")),
        is_ready=conditions.get("Ready") == "True",
        has_kvm=str(allocatable.get(KVM) or "0") != "0",
        architecture=(status.get("nodeInfo") or {}).get("architecture") or labels.get("kubernetes.io/arch"),
        labels=labels,
        taints=tuple(spec.get("taints") or ()),
    )
