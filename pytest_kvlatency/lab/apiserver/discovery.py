"""Discovery documents: what the server serves, in the classic and in the aggregated form. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.resources import ALL_VERBS, RESOURCES, VIRTUAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

#: What KubeVirt serves through the aggregated API, of which the console is all that matters here.
SUBRESOURCES_GROUP = "subresources.kubevirt.io"
_AGGREGATED_RESOURCES = {
    SUBRESOURCES_GROUP: [
        {
            "name": "virtualmachineinstances/console",
            "singularName": "",
            "namespaced": True,
            "kind": "",
            "verbs": ["get"],
        },
        {"name": "version", "singularName": "", "namespaced": False, "kind": "", "verbs": ["get", "list"]},
    ]
}


class Discovery:
    """Answers discovery. ``hidden`` names groups that are not there (for this caller)."""

    def __init__(self) -> None:
        self._aggregated: dict[str, list[str]] = {}

    def add_aggregated(self, group: str, version: str) -> None:
        """Announce a group that another server answers for."""
        self._aggregated.setdefault(group, []).append(version)

    def _groups(self, hidden: frozenset[str]) -> dict[str, list[str]]:
        found = {**resources.groups(), **self._aggregated}
        return {group: versions for group, versions in found.items() if group not in hidden}

    @staticmethod
    def _api_group(group: str, versions: Sequence[str]) -> dict[str, Any]:
        listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
        return {"name": group, "versions": listed, "preferredVersion": listed[0]}

    @staticmethod
    def api_versions(server: str) -> dict[str, Any]:
        """Answer ``/api``."""
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
        }

    def group_list(self, hidden: frozenset[str]) -> dict[str, Any]:
        """Answer ``/apis``."""
        listed = [self._api_group(group, versions) for group, versions in self._groups(hidden).items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}

    def group(self, name: str, hidden: frozenset[str]) -> dict[str, Any] | None:
        """Answer ``/apis/GROUP``."""
        versions = self._groups(hidden).get(name)
        if versions is None:
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", **self._api_group(name, versions)}

    def resource_list(self, group: str, version: str, hidden: frozenset[str]) -> dict[str, Any] | None:
        """Answer ``/api/v1`` and ``/apis/GROUP/VERSION``."""
        if group and version not in self._groups(hidden).get(group, ()):
            return None
        if not group and version != "v1":
            return None
        listed: list[dict[str, Any]] = []
        for resource in RESOURCES:
            if resource.group == group and version in resource.versions:
                listed.extend(_entries(resource))
        listed.extend(
            {
                "name": item.plural,
                "singularName": "",
                "namespaced": item.namespaced,
                "kind": item.kind,
                "verbs": ["create"],
            }
            for item in VIRTUAL
            if item.group == group and item.version == version
        )
        if group in self._aggregated:
            listed.extend(_AGGREGATED_RESOURCES.get(group, ()))
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": resources.group_version(group, version),
            "resources": listed,
        }

    def aggregated(self, *, core: bool, hidden: frozenset[str]) -> dict[str, Any]:
        """Answer ``/api`` or ``/apis`` for a client that wants all of discovery in one document."""
        groups: Mapping[str, Sequence[str]] = {"": ["v1"]} if core else self._groups(hidden)
        items = []
        for group, versions in groups.items():
            listed = []
            for version in versions:
                flat = self.resource_list(group, version, hidden) or {"resources": []}
                listed.append(
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": _nested(flat["resources"], group, version),
                    }
                )
            meta: dict[str, Any] = {"creationTimestamp": None}
            if group:
                meta["name"] = group
            items.append({"metadata": meta, "versions": listed})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }


def _entries(resource: resources.Resource) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(ALL_VERBS),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    found = [entry]
    common = {"singularName": "", "namespaced": resource.namespaced}
    if resource.status:
        verbs = ["get", "patch", "update"]
        found.append({"name": f"{resource.plural}/status", **common, "kind": resource.kind, "verbs": verbs})
    if resource is resources.PODS:
        found.append({"name": "pods/log", **common, "kind": "Pod", "verbs": ["get"]})
    if resource is resources.SERVICEACCOUNTS:
        token = {
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        }
        found.append({"name": "serviceaccounts/token", **common, **token})
    return found


def _nested(flat: list[dict[str, Any]], group: str, version: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in flat:
        name, _, subresource = entry["name"].partition("/")
        kind = {
            "group": entry.get("group", group),
            "version": entry.get("version", version),
            "kind": entry["kind"],
        }
        scope = "Namespaced" if entry["namespaced"] else "Cluster"
        parent = found.setdefault(
            name,
            {"resource": name, "scope": scope, "singularResource": "", "verbs": [], "responseKind": None},
        )
        if subresource:
            parent.setdefault("subresources", []).append(
                {"subresource": subresource, "responseKind": kind, "verbs": entry["verbs"]}
            )
            continue
        parent.update(responseKind=kind, singularResource=entry["singularName"], verbs=entry["verbs"])
        for key in ("shortNames", "categories"):
            if key in entry:
                parent[key] = entry[key]
    for parent in found.values():
        if parent["responseKind"] is None:
            parent["responseKind"] = {"group": "", "version": "", "kind": ""}
    return list(found.values())
