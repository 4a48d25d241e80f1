"""Chooses the node of a pod as kube-scheduler does, in its words. Pure; resources are not looked at.

The order in which a node's filters are tried, and the text of each refusal, are those of kube-scheduler's default
plugins: NodeUnschedulable, TaintToleration, NodeAffinity, InterPodAffinity.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.plan.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
CORDONED = "node(s) were unschedulable"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
POD_AFFINITY = "node(s) didn't match pod affinity rules"
POD_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A pod that runs on a node. ``spec`` is the pod's (or VMI's), for its anti-affinity."""

    node: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """``node``, or None and the ``message`` why not."""

    node: str | None = None
    message: str = ""


def schedule(
    pod: Placed, nodes: Sequence[Mapping[str, Any]], placed: Sequence[Placed], seed: int | None = None
) -> Decision:
    """Choose among ``nodes`` (API objects) for ``pod``, whose ``node`` is ignored.

    Of the nodes that fit, the one that the pod prefers wins, then the one with the fewest pods, then the first by name;
    with a ``seed``, the order among equals is drawn from it instead.
    """
    by_name = {node["metadata"]["name"]: node for node in nodes}
    refusals: Counter[str] = Counter()
    fitting: list[str] = []
    for name, node in by_name.items():
        refusal = _refusal(pod, node, by_name, placed)
        if refusal is None:
            fitting.append(name)
        else:
            refusals[refusal] += 1
    if not fitting:
        return Decision(message=refusal_message(refusals, len(by_name)))
    load = Counter(other.node for other in placed)
    order = sorted(fitting, key=natural_key)
    if seed is not None:
        random.Random(seed).shuffle(order)  # noqa: S311 (a reproducible choice, no secret)
    weights = {name: _preference(pod.spec, by_name[name]) for name in order}
    # As in kube-scheduler, what a pod prefers outweighs how full a node is.
    return Decision(node=min(order, key=lambda name: (-weights[name], load[name])))


def refusal_message(refusals: Mapping[str, int], total: int) -> str:
    """Compose kube-scheduler's message from the refusals and how many nodes gave each."""
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in refusals.items()))
    if not total:
        return "no nodes available to schedule pods"
    return (
        f"0/{total} nodes are available: {reasons}. "
        f"preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    )


def _refusal(
    pod: Placed,
    node: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    placed: Sequence[Placed],
) -> str | None:
    spec = node.get("spec", {})
    tolerations = pod.spec.get("tolerations") or []
    cordon = {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    if spec.get("unschedulable") and not _tolerated(cordon, tolerations):
        return CORDONED
    for taint in spec.get("taints") or []:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _node_matches(pod.spec, node):
        return AFFINITY
    return _pod_refusal(pod, node, nodes, placed)


def _tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        operator = toleration.get("operator") or "Equal"
        if not toleration.get("key"):
            if operator == "Exists":
                return True
            continue
        if toleration["key"] != taint["key"]:
            continue
        if operator == "Exists" or (toleration.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def _node_matches(spec: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(_term_matches(term, labels, fields) for term in required.get("nodeSelectorTerms") or [])


def _preference(spec: Mapping[str, Any], node: Mapping[str, Any]) -> int:
    """The sum of the weights of the preferred terms that a node matches."""
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return sum(
        int(one.get("weight") or 0)
        for one in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        if _term_matches(one.get("preference") or {}, labels, fields)
    )


def _term_matches(term: Mapping[str, Any], labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    """Whether all of a term holds; an empty term matches nothing."""
    expressions = term.get("matchExpressions") or []
    field_expressions = term.get("matchFields") or []
    return bool(expressions or field_expressions) and (
        all(matches(expression, labels) for expression in expressions)
        and all(matches(expression, fields) for expression in field_expressions)
    )


def matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector requirement (``key``, ``operator``, ``values``) holds for ``labels``."""
    value = labels.get(expression["key"])
    values = expression.get("values") or []
    operator = expression["operator"]
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt"):
        try:
            left, right = int(value or ""), int(values[0])
        except (ValueError, IndexError):
            return False
        return left > right if operator == "Gt" else left < right
    return False


def _selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    if selector is None:
        return False
    return all(
        labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()
    ) and all(matches(expression, labels) for expression in selector.get("matchExpressions") or [])


def _pod_terms(spec: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    found = ((spec.get("affinity") or {}).get(kind) or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return list(found or [])


def _concerns(term: Mapping[str, Any], owner: str, other: Placed) -> bool:
    """Whether the term of a pod in the namespace ``owner`` selects ``other``."""
    namespaces = term.get("namespaces") or ([] if term.get("namespaceSelector") is not None else [owner])
    everywhere = term.get("namespaceSelector") == {}
    return (everywhere or other.namespace in namespaces) and _selects(term.get("labelSelector"), other.labels)


def _pod_refusal(
    pod: Placed,
    node: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    placed: Sequence[Placed],
) -> str | None:
    here = node["metadata"].get("labels") or {}

    def same_domain(other: Placed, key: str) -> bool:
        there = (nodes.get(other.node, {}).get("metadata") or {}).get("labels") or {}
        return key in here and here[key] == there.get(key)

    for term in _pod_terms(pod.spec, "podAffinity"):
        chosen = [other for other in placed if _concerns(term, pod.namespace, other)]
        if not chosen and _concerns(term, pod.namespace, pod) and term["topologyKey"] in here:
            continue  # The first of a group that wants to be together may go anywhere.
        if not any(same_domain(other, term["topologyKey"]) for other in chosen):
            return POD_AFFINITY
    for term in _pod_terms(pod.spec, "podAntiAffinity"):
        if any(
            _concerns(term, pod.namespace, other) and same_domain(other, term["topologyKey"])
            for other in placed
        ):
            return POD_ANTI_AFFINITY
    for other in placed:
        for term in _pod_terms(other.spec, "podAntiAffinity"):
            if _concerns(term, other.namespace, pod) and same_domain(other, term["topologyKey"]):
                return EXISTING_ANTI_AFFINITY
    return None
