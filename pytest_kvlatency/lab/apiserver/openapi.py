"""As much OpenAPI as clients need to validate and apply: which kinds can be patched, and how. Pure.

Schemas are left out: the server checks what it stores, and a client without a schema sends the object as it is.
"""

from __future__ import annotations

from typing import Any

from pytest_kvlatency.lab.apiserver.resources import RESOURCES

#: ``swagger: "2.0"`` as protobuf (field 1 of ``openapi.v2.Document``): older clients accept no JSON here.
V2_PROTOBUF = b"\x0a\x032.0"
V2_PROTOBUF_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def v2(version: str) -> dict[str, Any]:
    """Answer ``/openapi/v2``."""
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": {},
        "definitions": {},
    }


def _prefix(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def v3_index() -> dict[str, Any]:
    """Answer ``/openapi/v3``."""
    prefixes = {_prefix(item.group, version) for item in RESOURCES for version in item.versions}
    return {
        "paths": {
            prefix: {"serverRelativeURL": f"/openapi/v3/{prefix}?hash=1"} for prefix in sorted(prefixes)
        }
    }


def v3(prefix: str, server_version: str) -> dict[str, Any] | None:
    """Answer ``/openapi/v3/PREFIX`` (``api/v1``, ``apis/GROUP/VERSION``)."""
    paths: dict[str, Any] = {}
    for item in RESOURCES:
        for version in item.versions:
            if _prefix(item.group, version) != prefix:
                continue
            scope = "namespaces/{namespace}/" if item.namespaced else ""
            kind = {"group": item.group, "version": version, "kind": item.kind}
            parameters = [
                {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
                for name in ("dryRun", "fieldManager", "fieldValidation", "force")
            ]
            operation = {
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-group-version-kind": kind,
            }
            paths[f"/{prefix}/{scope}{item.plural}/{{name}}"] = {
                "patch": {**operation, "x-kubernetes-action": "patch"},
                "put": {**operation, "x-kubernetes-action": "put"},
            }
            paths[f"/{prefix}/{scope}{item.plural}"] = {"post": {**operation, "x-kubernetes-action": "post"}}
    if not paths:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "components": {"schemas": {}},
    }
