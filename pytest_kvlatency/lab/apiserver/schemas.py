"""Which fields the kinds of the lab have: for strict validation, and for ``kubectl explain``.

Built-in kinds are read from the Kubernetes client's models, which are generated from Kubernetes' own OpenAPI; they are
loaded when a client first asks, for that takes most of a second. Custom kinds are in ``customfields``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.apiserver.customfields import TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_kvlatency.lab.apiserver.resources import Resource

#: Built-in kinds whose model is not named ``V1KIND``.
_MODELS: Final = {"Event": "CoreV1Event"}
_SCALARS: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "datetime": "string",
}
_LIST: Final = re.compile(r"[Ll]ist\[(.+)\]")
_MAP: Final = re.compile(r"[Dd]ict[\[(]str, (.+)[\])]")
_MODEL: Final = re.compile(r"(?:[A-Z][a-z]+)?V\d\w*")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field: a ``scalar`` of OpenAPI's, else ``ref``, a definition's name; neither: anything.

    ``many`` is ``list`` or ``map`` (from strings) of that.
    """

    description: str = ""
    scalar: str = ""
    ref: str = ""
    many: str = ""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The fields of one kind of object, by their JSON names. ``name`` is as in OpenAPI: ``io.k8s.v1.PodSpec``."""

    name: str
    description: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict)


def definition_of(resource: Resource) -> Definition | None:
    """Return the definition of a stored kind; None for one whose fields the lab does not know."""
    if resource.custom:
        return _custom().get(resource.kind)
    return definition(_MODELS.get(resource.kind, f"V1{resource.kind}"))


@cache
def definition(ref: str) -> Definition | None:
    """Return a definition by a field's ``ref``."""
    return _custom().get(ref) or _built_in(ref)


def reachable(top: Definition) -> dict[str, Definition]:
    """Return ``top`` and every definition that its fields lead to, by name."""
    found: dict[str, Definition] = {}
    left = [top]
    while left:
        one = left.pop()
        if one.name not in found:
            found[one.name] = one
            inner = [definition(item.ref) for item in one.fields.values() if item.ref]
            left += [item for item in inner if item is not None]
    return found


def unknown_fields(obj: Any, top: Definition, path: str = "") -> Iterator[str]:
    """Yield the paths of the fields that ``top`` does not have, as strict decoding names them: ``spec.ports[0].x``."""
    if not isinstance(obj, dict):
        return
    for key, value in obj.items():
        where = f"{path}.{key}" if path else key
        known = top.fields.get(key)
        if known is None:
            yield where
            continue
        inner = definition(known.ref) if known.ref else None
        if inner is None:
            continue
        if known.many == "list" and isinstance(value, list):
            for index, item in enumerate(value):
                yield from unknown_fields(item, inner, f"{where}[{index}]")
        elif known.many == "map" and isinstance(value, dict):
            for name, item in value.items():
                yield from unknown_fields(item, inner, f"{where}.{name}")
        elif not known.many:
            yield from unknown_fields(value, inner, where)


def _built_in(model: str) -> Definition | None:
    from kubernetes.client import models  # noqa: PLC0415

    found = getattr(models, model, None)
    if found is None:
        return None
    name = re.sub(r"^([A-Z][a-z]+)?(V\d+(?:alpha\d+|beta\d+)?)", lambda match: match[2].lower() + ".", model)
    return Definition(
        name=f"io.k8s.{name}",
        description=_first_words(found.__doc__),
        fields={
            key: _typed(found.openapi_types[attribute], _described(found, attribute))
            for attribute, key in found.attribute_map.items()
        },
    )


def _described(model: Any, attribute: str) -> str:
    """Return a field's description: newer clients have it in the model, older ones in its property's docstring."""
    fields = getattr(model, "model_fields", None)
    if fields is not None:
        # A name that means something to Python or to pydantic (exec, schema, not) is ``var_NAME`` there.
        known = fields.get(attribute) or fields.get(f"var_{attribute.strip('_')}")
        return str(getattr(known, "description", None) or "")
    words = str(getattr(model, attribute).__doc__ or "").replace("# noqa: E501", "").split("\n\n")
    return " ".join(words[1].split()) if len(words) > 1 else ""


def _first_words(doc: str | None) -> str:
    words = " ".join(str(doc or "").split("\n\n")[0].split())
    return "" if words.startswith(("NOTE:", "Attributes:")) else words


def _typed(words: str, description: str) -> Field:
    many = ""
    for pattern, name in ((_LIST, "list"), (_MAP, "map")):
        match = pattern.fullmatch(words)
        if match is not None:
            many, words = name, match[1]
            break
    ref = words if _MODEL.fullmatch(words) else ""
    return Field(description=description, scalar=_SCALARS.get(words, ""), ref=ref, many=many)


@cache
def _custom() -> dict[str, Definition]:
    """Read ``customfields``: a line for each definition, and below it an indented line for each of its fields."""
    found: dict[str, Definition] = {}
    fields: dict[str, Field] = {}
    for line in TEXT.splitlines():
        head, _, description = line.strip().partition(": ")
        if not head:
            continue
        if line.startswith("  "):
            name, kind = head.split(" ")
            fields[name] = _custom_field(kind, description)
            continue
        group, _, short = head.rpartition(".")
        fields = {}
        found[short] = Definition(name=f"{group}.v1.{short}", description=description, fields=fields)
    return found


def _custom_field(kind: str, description: str) -> Field:
    many = "list" if kind.startswith("[]") else "map" if kind.startswith("{}") else ""
    kind = kind.removeprefix("[]").removeprefix("{}")
    if kind in ("string", "integer", "boolean", "number"):
        return Field(description=description, scalar=kind, many=many)
    return Field(description=description, ref="" if kind == "any" else kind, many=many)
