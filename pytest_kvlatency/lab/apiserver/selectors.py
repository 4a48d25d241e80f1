"""Label and field selectors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver.statuses import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SET = re.compile(r"^\s*(?P<key>[^\s!=(),]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s!=(),<>]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=(),]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<no>!)?\s*(?P<key>[^\s!=(),]+)\s*$")
_ORDER = re.compile(r"^\s*(?P<key>[^\s!=(),<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)\s*$")


def _split(text: str) -> list[str]:
    """Split at commas that are not inside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(text):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _ORDER.match(text):
        key, bound, above = found["key"], int(found["value"]), found["op"] == ">"

        def compare(labels: Mapping[str, str]) -> bool:
            label = labels.get(key, "")
            if not re.fullmatch(r"-?\d+", label):
                return False
            return int(label) > bound if above else int(label) < bound

        return compare
    if found := _EXISTS.match(text):
        key, no = found["key"], bool(found["no"])
        return lambda labels: (key in labels) is not no
    raise bad_request(f"unable to parse requirement: found {text!r}, expected: a label requirement")


def label_selector(text: str) -> Callable[[dict[str, Any]], bool] | None:
    """Compile ``a=b,c!=d,e in (f,g),!h``; None when it selects everything. Errors: 400."""
    if not text.strip():
        return None
    requirements = [_requirement(part) for part in _split(text)]

    def matches(obj: dict[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


_EVENT_FIELDS = {
    *(
        f"involvedObject.{name}"
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    "reason",
    "reportingComponent",
    "source",
    "type",
}
#: The fields by which objects of a kind can be selected, beside metadata.name and metadata.namespace.
FIELDS: dict[tuple[str, str], set[str]] = {
    ("", "pods"): {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
    ("", "nodes"): {"spec.unschedulable"},
    ("", "namespaces"): {"status.phase"},
    ("", "secrets"): {"type"},
    ("", "events"): _EVENT_FIELDS,
    ("batch", "jobs"): {"status.successful"},
    # Beyond Kubernetes, whose custom resources select by name and namespace only unless their CRD says more.
    ("kubevirt.io", "virtualmachineinstances"): {"status.phase", "status.nodeName"},
}


def _field(obj: dict[str, Any], path: str) -> str:
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path == "spec.unschedulable" else ""
    return str(value)


def field_selector(text: str, key: tuple[str, str]) -> Callable[[dict[str, Any]], bool] | None:
    """Compile ``metadata.name=x,status.phase!=Running`` for the kind ``key``. Errors: 400."""
    if not text.strip():
        return None
    terms: list[tuple[str, bool, str]] = []
    allowed = {"metadata.name", "metadata.namespace"} | FIELDS.get(key, set())
    for part in text.split(","):
        found = re.match(r"^(?P<path>[^=!]+)(?P<op>==|!=|=)(?P<value>.*)$", part)
        if found is None:
            raise bad_request(f"invalid selector: {part!r}; can't understand {part!r}")
        if found["path"] not in allowed:
            raise bad_request(f"field label not supported: {found['path']}")
        terms.append((found["path"], found["op"] != "!=", found["value"]))

    def matches(obj: dict[str, Any]) -> bool:
        return all((_field(obj, path) == value) is equal for path, equal, value in terms)

    return matches
