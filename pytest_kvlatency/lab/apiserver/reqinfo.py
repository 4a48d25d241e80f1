"""What a request's method and path mean, in Kubernetes' terms. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pytest_kvlatency.lab.apiserver.rbac import AccessRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


@dataclass(frozen=True, kw_only=True)
class RequestInfo:
    """``resource`` is empty for a request that is for no resource (discovery, health, version)."""

    method: str
    path: str
    verb: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    #: What follows the subresource in the path.
    rest: str = ""

    @property
    def access(self) -> AccessRequest:
        """What has to be allowed."""
        if not self.resource:
            return AccessRequest(verb=self.verb, path=self.path)
        return AccessRequest(
            verb=self.verb,
            group=self.group,
            resource=self.resource,
            subresource=self.subresource,
            namespace=self.namespace,
            name=self.name,
        )


def _truth(value: str | None) -> bool:
    return value is not None and value.lower() in {"", "1", "t", "true"}


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Split a raw (still quoted) path as the API server does."""
    parts = [unquote(part) for part in path.split("/") if part]
    plain = RequestInfo(method=method, path=unquote(path), verb=method.lower())
    if parts[:1] == ["api"]:
        group, version, rest = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return plain
    if not rest:
        return plain
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    verb = _VERBS.get(method, "")
    if verb == "get" and not name:
        verb = "watch" if _truth(query.get("watch")) else "list"
    elif verb == "get" and not subresource and _truth(query.get("watch")):
        verb = "watch"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return RequestInfo(
        method=method,
        path=plain.path,
        verb=verb,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        name=name,
        subresource=subresource,
        rest="/".join(rest[3:]),
    )
