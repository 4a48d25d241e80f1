"""Tables (``meta.k8s.io/v1``), as ``kubectl get`` asks for them. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kvlatency.lab.apiserver.resources import Resource

Obj = dict[str, Any]


def _dig(obj: Any, *path: str) -> Any:
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _text(*path: str) -> Callable[[Obj], Any]:
    def read(obj: Obj) -> Any:
        value = _dig(obj, *path)
        return "" if value is None else str(value)

    return read


def _size(*fields: str) -> Callable[[Obj], Any]:
    return lambda obj: sum(len(obj.get(field) or ()) for field in fields)


def _condition(kind: str) -> Callable[[Obj], Any]:
    def read(obj: Obj) -> Any:
        conditions = _dig(obj, "status", "conditions") or ()
        return next((item.get("status", "") for item in conditions if item.get("type") == kind), "")

    return read


def _vmi_address(obj: Obj) -> Any:
    interfaces = _dig(obj, "status", "interfaces") or ()
    return next((item["ipAddress"] for item in interfaces if item.get("ipAddress")), "")


def _node_status(obj: Obj) -> Any:
    words = ["Ready" if _condition("Ready")(obj) == "True" else "NotReady"]
    if _dig(obj, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_address(kind: str) -> Callable[[Obj], Any]:
    def read(obj: Obj) -> Any:
        addresses = _dig(obj, "status", "addresses") or ()
        return next((item["address"] for item in addresses if item.get("type") == kind), "<none>")

    return read


def _or_none(read: Callable[[Obj], Any]) -> Callable[[Obj], Any]:
    return lambda obj: read(obj) or "<none>"


def _node_roles(obj: Obj) -> Any:
    prefix = "node-role.kubernetes.io/"
    roles = [key[len(prefix) :] for key in obj["metadata"].get("labels") or {} if key.startswith(prefix)]
    return ",".join(sorted(roles)) or "<none>"


def _pod_ready(obj: Obj) -> Any:
    statuses = _dig(obj, "status", "containerStatuses") or ()
    total = len(_dig(obj, "spec", "containers") or ())
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{total}"


def _restarts(obj: Obj) -> Any:
    return sum(int(item.get("restartCount", 0)) for item in _dig(obj, "status", "containerStatuses") or ())


def _pod_status(obj: Obj) -> Any:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return _dig(obj, "status", "reason") or _dig(obj, "status", "phase") or ""


def _involved(obj: Obj) -> Any:
    subject = obj.get("involvedObject") or {}
    return f"{str(subject.get('kind', '')).lower()}/{subject.get('name', '')}"


def _role(obj: Obj) -> Any:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _subjects(kind: str) -> Callable[[Obj], Any]:
    def read(obj: Obj) -> Any:
        found = [item for item in obj.get("subjects") or () if item.get("kind") == kind]
        names = [
            f"{item['namespace']}/{item['name']}" if item.get("namespace") else item["name"] for item in found
        ]
        return ", ".join(names)

    return read


def _containers(key: str) -> Callable[[Obj], Any]:
    def read(obj: Obj) -> Any:
        return ",".join(
            str(item.get(key, "")) for item in _dig(obj, "spec", "template", "spec", "containers") or ()
        )

    return read


def _completions(obj: Obj) -> Any:
    return f"{_dig(obj, 'status', 'succeeded') or 0}/{_dig(obj, 'spec', 'completions') or 1}"


_BINDING: list[tuple[str, Callable[[Obj], Any], int]] = [
    ("Role", _role, 0),
    ("Users", _subjects("User"), 1),
    ("Groups", _subjects("Group"), 1),
    ("ServiceAccounts", _subjects("ServiceAccount"), 1),
]
#: Per kind: column, how to read it, and 1 where it is shown with ``-o wide`` only. ``Age`` comes by itself.
_COLUMNS: dict[tuple[str, str], list[tuple[str, Callable[[Obj], Any], int]]] = {
    ("", "namespaces"): [("Status", _text("status", "phase"), 0)],
    ("", "nodes"): [
        ("Status", _node_status, 0),
        ("Roles", _node_roles, 0),
        ("Version", _text("status", "nodeInfo", "kubeletVersion"), 0),
        ("Internal-IP", _node_address("InternalIP"), 1),
        ("External-IP", _node_address("ExternalIP"), 1),
        ("OS-Image", _text("status", "nodeInfo", "osImage"), 1),
        ("Kernel-Version", _text("status", "nodeInfo", "kernelVersion"), 1),
        ("Container-Runtime", _text("status", "nodeInfo", "containerRuntimeVersion"), 1),
    ],
    ("", "configmaps"): [("Data", _size("data", "binaryData"), 0)],
    ("", "secrets"): [("Type", _text("type"), 0), ("Data", _size("data"), 0)],
    ("", "serviceaccounts"): [("Secrets", _size("secrets"), 0)],
    ("", "pods"): [
        ("Ready", _pod_ready, 0),
        ("Status", _pod_status, 0),
        ("Restarts", _restarts, 0),
        ("IP", _or_none(_text("status", "podIP")), 1),
        ("Node", _or_none(_text("spec", "nodeName")), 1),
        ("Nominated Node", _or_none(_text("status", "nominatedNodeName")), 1),
        ("Readiness Gates", lambda _: "<none>", 1),
    ],
    ("", "events"): [
        ("Type", _text("type"), 0),
        ("Reason", _text("reason"), 0),
        ("Object", _involved, 0),
        ("Message", _text("message"), 0),
    ],
    ("batch", "jobs"): [
        ("Completions", _completions, 0),
        ("Containers", _containers("name"), 1),
        ("Images", _containers("image"), 1),
    ],
    ("rbac.authorization.k8s.io", "rolebindings"): _BINDING,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _BINDING,
    ("kubevirt.io", "virtualmachineinstances"): [
        ("Phase", _text("status", "phase"), 0),
        ("IP", _vmi_address, 0),
        ("NodeName", _text("status", "nodeName"), 0),
        ("Ready", _condition("Ready"), 0),
        ("Live-Migratable", _condition("LiveMigratable"), 1),
        ("Paused", _condition("Paused"), 1),
    ],
    ("kubevirt.io", "virtualmachineinstancemigrations"): [
        ("Phase", _text("status", "phase"), 0),
        ("VMI", _text("spec", "vmiName"), 0),
    ],
    ("kubevirt.io", "kubevirts"): [("Phase", _text("status", "phase"), 0)],
}


def _since(stamp: Any, now: float) -> str:
    try:
        then = datetime.strptime(str(stamp), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return "<unknown>"
    seconds = max(0, int(now - then.timestamp()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 7200:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 172800 else f"{seconds // 86400}d"


def table(
    resource: Resource, objects: Iterable[Obj], *, now: float, include: str, meta: dict[str, Any]
) -> dict[str, Any]:
    """Return the objects as a Table; ``include`` is ``Metadata``, ``Object`` or ``None``."""
    columns = _columns(resource, now)
    definitions = [_definition(name, "name" if name == "Name" else "", wide) for name, _, wide in columns]
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": [read(obj) for _, read, _ in columns]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _columns(resource: Resource, now: float) -> list[tuple[str, Callable[[Obj], Any], int]]:
    """Return all columns in their order: the name first and the age last, but an event's name matters least."""
    own = _COLUMNS.get(resource.key, [])
    if resource.key == ("", "events"):
        seen = ("Last Seen", lambda obj: _since(obj.get("lastTimestamp") or _created(obj), now), 0)
        return [seen, *own, ("Name", _text("metadata", "name"), 1)]
    name = ("Name", _text("metadata", "name"), 0)
    age = ("Age", lambda obj: _since(_created(obj), now), 0)
    narrow, wide = [item for item in own if not item[2]], [item for item in own if item[2]]
    return [name, *narrow, age, *wide]


def _created(obj: Obj) -> Any:
    return _dig(obj, "metadata", "creationTimestamp")


def _definition(name: str, form: str, priority: int) -> dict[str, Any]:
    return {"name": name, "type": "string", "format": form, "description": name, "priority": priority}


def partial(obj: Obj) -> dict[str, Any]:
    """Return only the object's metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
