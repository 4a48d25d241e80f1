"""The nodes, for whoever must choose among them (needs permission to list nodes)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node. ``schedulable``: not cordoned, ready, and KubeVirt runs there."""

    name: str
    schedulable: bool
    architecture: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()


def list_nodes(
    client: KubeClient, deadline: Deadline, *, label_selector: str | None = None
) -> list[NodeFacts]:
    """Return the nodes by name. Raises ``PermissionDeniedError`` with the ClusterRole's rule."""
    query = {"limit": "500"}
    if label_selector:
        query["labelSelector"] = label_selector
    found: list[NodeFacts] = []
    while True:
        page = client.request("GET", f"{paths.CORE}/nodes", query=query, deadline=deadline)
        found += [node_facts(item) for item in page.get("items") or []]
        more = (page.get("metadata") or {}).get("continue")
        if not more:
            return sorted(found, key=lambda node: node.name)
        query["continue"] = more


def schedulable_nodes(
    client: KubeClient,
    deadline: Deadline,
    *,
    label_selector: str | None = None,
    tolerations: Sequence[Mapping[str, str]] = (),
) -> tuple[str, ...]:
    """Names of the nodes on which a VMI with these tolerations can run. Raises as ``list_nodes``."""
    nodes = list_nodes(client, deadline, label_selector=label_selector)
    return tuple(node.name for node in nodes if node.schedulable and tolerates(node.taints, tolerations))


def tolerates(taints: Sequence[Mapping[str, Any]], tolerations: Sequence[Mapping[str, str]]) -> bool:
    """Whether every taint that keeps pods off (``NoSchedule``, ``NoExecute``) is covered, as the scheduler does it."""
    return all(
        any(_covers(toleration, taint) for toleration in tolerations)
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _covers(toleration: Mapping[str, str], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.get("value") or "")


def node_facts(item: Mapping[str, Any]) -> NodeFacts:
    """Read one Node object."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {entry.get("type"): entry.get("status") for entry in status.get("conditions") or []}
    schedulable = (
        not spec.get("unschedulable")
        and conditions.get("Ready", "True") == "True"
        and labels.get("kubevirt.io/schedulable", "true") == "true"
    )
    return NodeFacts(
        name=metadata["name"],
        schedulable=schedulable,
        architecture=(status.get("nodeInfo") or {}).get("architecture") or labels.get("kubernetes.io/arch"),
        labels=labels,
        taints=tuple(spec.get("taints") or ()),
    )
