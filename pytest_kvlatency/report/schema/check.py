"""Values held to a JSON Schema, as far as the document's own uses the language. Pure.

A library would be one more thing to install for everybody who measures; and its errors name no file, nor what to write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Node = Mapping[str, Any]

_SHOWN: Final = 60
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "string": ((str,), "text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list"),
    "object": ((dict,), "an object"),
    "null": ((type(None),), "null"),
}
_BOUNDS: Final = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
#: What is done with a value that is right by its type; a schema with none of these is done with that.
_FURTHER: Final = frozenset(
    {
        "properties", "required", "additionalProperties", "items", "uniqueItems", "enum", "const", "pattern", "anyOf",
        *_BOUNDS,
    }
)  # fmt: skip


class Schema:
    """A schema that is read. What it says beyond the words that are known here is passed over."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def flaws(self, value: object) -> Iterator[str]:
        """What is wrong with a value, and where, a line each."""
        return self._flaws(value, self._root, "")

    def filled(self, value: Any, node: Node | None = None) -> Any:
        """A value that has no flaws, with each property that may be missing and is: null, or empty."""
        node = self._resolved(self._root if node is None else node)
        if isinstance(value, dict) and "properties" in node:
            names: Mapping[str, Node] = node["properties"]
            made = {
                name: self.filled(one, names[name]) if name in names else one for name, one in value.items()
            }
            return made | {name: self._empty(names[name]) for name in names if name not in value}
        if isinstance(value, list) and "properties" in self._resolved(node.get("items", {})):
            return [self.filled(one, node["items"]) for one in value]
        return value

    # --- inside

    def _resolved(self, node: Node) -> Node:
        while "$ref" in node:
            found: Any = self._root
            for part in str(node["$ref"]).removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def _empty(self, node: Node) -> object:
        types = _types(self._resolved(node))
        return None if "null" in types or not types else [] if "array" in types else {}

    def _flaws(self, value: Any, node: Node, path: str) -> Iterator[str]:
        node = self._resolved(node)
        types = _types(node)
        if types and not _is_of(value, types):
            yield _wrong(value, path, " or ".join(_TYPES[one][1] for one in types))
        elif not _FURTHER.isdisjoint(node):
            if isinstance(value, dict):
                yield from self._flaws_of_object(value, node, path)
            elif isinstance(value, list):
                yield from self._flaws_of_list(value, node, path)
            yield from _flaws_of_plain(value, node, path)
            if "anyOf" in node and all(any(self._flaws(value, one, path)) for one in node["anyOf"]):
                yield _wrong(value, path, " or ".join(map(self._words, node["anyOf"])))

    def _flaws_of_object(self, value: Mapping[str, Any], node: Node, path: str) -> Iterator[str]:
        names, others = node.get("properties", {}), node.get("additionalProperties", {})
        missing = [name for name in node.get("required", ()) if name not in value]
        if missing:
            yield f"{path or 'it'} has no {', '.join(sorted(missing))}"
        for name, one in value.items():
            inner = names.get(name, others)
            if inner:
                yield from self._flaws(one, inner, f"{path}.{name}" if path else name)

    def _flaws_of_list(self, value: list[Any], node: Node, path: str) -> Iterator[str]:
        inner = self._resolved(node.get("items", {}))
        for number, one in enumerate(value):
            yield from self._flaws(one, inner, f"{path}[{number}]")
        if node.get("uniqueItems") and len(set(map(repr, value))) < len(value):
            yield _wrong(value, path, "a list without repeated values")

    def _words(self, node: Node) -> str:
        node = self._resolved(node)
        words = " or ".join(_TYPES[one][1] for one in _types(node))
        return f"{words} of {self._words(node['items'])}" if "items" in node else words


def _flaws_of_plain(value: Any, node: Node, path: str) -> Iterator[str]:
    if "const" in node and value != node["const"]:
        yield _wrong(value, path, repr(node["const"]))
    if "enum" in node and value not in node["enum"]:
        yield _wrong(value, path, ", ".join("null" if one is None else str(one) for one in node["enum"]))
    if "pattern" in node and isinstance(value, str) and not re.search(node["pattern"], value):
        yield _wrong(value, path, f"text that matches {node['pattern']}")
    if isinstance(value, (int, float)):
        for word, text in _BOUNDS.items():
            if word in node and not _is_within(value, word, node[word]):
                yield _wrong(value, path, f"{text} {node[word]}")


def _is_within(value: float, word: str, bound: float) -> bool:
    if word == "maximum":
        return value <= bound
    return value >= bound if word == "minimum" else value > bound


def _types(node: Node) -> list[str]:
    found = node.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _is_of(value: object, types: list[str]) -> bool:
    # A bool is an int in Python, and no number in JSON.
    if isinstance(value, bool):
        return "boolean" in types
    return any(isinstance(value, _TYPES[one][0]) for one in types)


def _wrong(value: object, path: str, expected: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{path or 'it'} is {shown}: expected {expected}"
