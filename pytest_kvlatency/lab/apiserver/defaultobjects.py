"""What is there before the first request: namespaces, cluster roles, and the CRDs of Multus and KubeVirt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.rbac import AUTHENTICATED, MASTERS

if TYPE_CHECKING:
    from pytest_kvlatency.lab.apiserver.registry import Registry

NAMESPACES = ("default", "kube-system", "kube-public", "kubevirt")

_RBAC = "rbac.authorization.k8s.io/v1"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_DISCOVERY = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
]
_NAMESPACED_CORE = ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "services"]
_VIEWED = [
    *_NAMESPACED_CORE,
    "limitranges",
    "namespaces",
    "pods/log",
    "pods/status",
    "resourcequotas",
    "serviceaccounts",
]

Rule = dict[str, Any]


def _rule(groups: list[str], names: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": groups, "resources": names, "verbs": verbs}


def _view() -> list[Rule]:
    return [
        _rule([""], _VIEWED, _READ),
        _rule(["apps", "batch", "k8s.cni.cncf.io"], ["*"], _READ),
        _rule(["kubevirt.io"], ["virtualmachineinstances", "virtualmachineinstancemigrations"], _READ),
    ]


def _edit() -> list[Rule]:
    return [
        *_view(),
        _rule([""], [*_NAMESPACED_CORE, "secrets", "serviceaccounts"], [*_READ, *_WRITE]),
        _rule([""], ["serviceaccounts/token"], ["create"]),
        _rule(["apps", "batch"], ["*"], _WRITE),
        _rule(["kubevirt.io"], ["virtualmachineinstances"], _WRITE),
        _rule(["subresources.kubevirt.io"], ["virtualmachineinstances/console"], ["get"]),
    ]


def _roles() -> dict[str, list[Rule]]:
    everything = [_rule(["*"], ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    return {
        "cluster-admin": everything,
        "admin": [
            *_edit(),
            _rule(["rbac.authorization.k8s.io"], ["roles", "rolebindings"], [*_READ, *_WRITE]),
        ],
        "edit": _edit(),
        "view": _view(),
        "system:basic-user": [
            _rule(["authorization.k8s.io"], reviews, ["create"]),
            _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
        ],
        "system:discovery": [{"nonResourceURLs": _DISCOVERY, "verbs": ["get"]}],
        # Since KubeVirt 1.5 neither admin nor edit may migrate: this role is not aggregated into them.
        "kubevirt.io:migrate": [
            _rule(["kubevirt.io"], ["virtualmachineinstancemigrations"], [*_READ, *_WRITE]),
        ],
        # Since KubeVirt 1.2 all authenticated users may read its versions.
        "kubevirt.io:default": [
            _rule(["subresources.kubevirt.io"], ["version", "guestfs"], ["get", "list"]),
            _rule(["kubevirt.io"], ["kubevirts"], ["get", "list"]),
        ],
    }


_BINDINGS = {
    "cluster-admin": MASTERS,
    "system:basic-user": AUTHENTICATED,
    "system:discovery": AUTHENTICATED,
    "kubevirt.io:default": AUTHENTICATED,
}


def _definition(resource: resources.Resource, now: str) -> dict[str, Any]:
    """Return the CRD of a custom kind."""
    names: dict[str, Any] = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular or resource.kind.lower(),
        "shortNames": list(resource.short),
    }
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions: list[dict[str, Any]] = [
        {"name": version, "served": True, "storage": version == resource.versions[0], "schema": schema}
        for version in resource.versions
    ]
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now}
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": versions,
        },
        "status": {
            "acceptedNames": names,
            "conditions": conditions,
            "storedVersions": [resource.versions[0]],
        },
    }


def populate(registry: Registry) -> None:
    """Create what every cluster has."""
    for name in NAMESPACES:
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        registry.create(resources.NAMESPACES, "", body)
    for name, rules in _roles().items():
        body = {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
        registry.create(resources.CLUSTERROLES, "", body)
    for name, group in _BINDINGS.items():
        body = {
            "apiVersion": _RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }
        registry.create(resources.CLUSTERROLEBINDINGS, "", body)
    now = registry.now()
    for resource in resources.RESOURCES:
        if resource.custom:
            body = _definition(resource, now)
            registry.create(resources.CRDS, "", body)
            registry.update(resources.CRDS, "", body["metadata"]["name"], body, subresource="status")
