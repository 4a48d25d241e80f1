"""Objects as tests need them."""

from __future__ import annotations

from typing import Any


def config_map(name: str | None = "a", data: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    meta = more.pop("metadata", {})
    if name:
        meta = {"name": name, **meta}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data or {}, **more}


def vmi(name: str = "v", **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, **meta},
        "spec": {
            "domain": {"devices": {"interfaces": [{"name": "net", "bridge": {}}]}},
            "networks": [{"name": "net", "multus": {"networkName": "default/blue-network"}}],
        },
    }


def cms(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/configmaps"


def vmis(ns: str, version: str = "v1") -> str:
    return f"/apis/kubevirt.io/{version}/namespaces/{ns}/virtualmachineinstances"


def pods(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/pods"


def pod(name: str = "p", **meta: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": spec}


MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
