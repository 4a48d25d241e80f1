"""As much OpenAPI as clients need to validate, apply and explain: which kinds there are, and their fields.

Schemas are in the documents of version 3 only, which ``kubectl explain`` reads since 1.27.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pytest_kvlatency.lab.apiserver import schemas
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


@cache
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
        "components": {"schemas": _schemas(prefix)},
    }


def _schemas(prefix: str) -> dict[str, Any]:
    """Return the definitions of a group version's kinds, and all that these refer to."""
    found: dict[str, Any] = {}
    for item in RESOURCES:
        top = schemas.definition_of(item)
        versions = [version for version in item.versions if _prefix(item.group, version) == prefix]
        if top is None or not versions:
            continue
        for name, definition in schemas.reachable(top).items():
            found.setdefault(name, _schema(definition))
        kinds = [{"group": item.group, "version": version, "kind": item.kind} for version in versions]
        found[top.name]["x-kubernetes-group-version-kind"] = kinds
    return found


def _schema(definition: schemas.Definition) -> dict[str, Any]:
    return {
        "type": "object",
        "description": definition.description,
        "properties": {name: _property(item) for name, item in definition.fields.items()},
    }


def _property(item: schemas.Field) -> dict[str, Any]:
    inner = schemas.definition(item.ref) if item.ref else None
    if inner is not None:
        one: dict[str, Any] = {"allOf": [{"$ref": f"#/components/schemas/{inner.name}"}]}
    else:
        one = {"type": item.scalar or "object"}
    if item.many == "list":
        one = {"type": "array", "items": one}
    elif item.many == "map":
        one = {"type": "object", "additionalProperties": one}
    return {**one, "description": item.description}
