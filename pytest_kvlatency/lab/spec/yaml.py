"""YAML as a lab file is read: safe, and a duplicate key is an error instead of a silent choice."""

from __future__ import annotations

from typing import Any

import yaml

YamlError = yaml.YAMLError


class DuplicateKeyError(ValueError):
    """A mapping holds a key twice; the text says where."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if isinstance(name, str) and name in seen and name != "<<":
                raise DuplicateKeyError(f"line {key.start_mark.line + 1}: the key '{name}' appears twice")
            if isinstance(name, str):
                seen.add(name)
        return super().construct_mapping(node, deep)


def safe_load(text: str) -> Any:
    """Return what the YAML text holds. Raises ``YamlError`` or ``DuplicateKeyError``."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
