"""One entry of a kubeconfig, read field by field.

What is wrong with it names the entry and the field, and never quotes the value: any field may hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A mapping of a kubeconfig.

    ``owner`` names the entry for messages, ``prefix`` the mapping inside of it (``exec.``); relative paths of its
    fields are relative to ``directory``. ``repr`` shows no value.
    """

    owner: str
    values: Mapping[str, Any] = field(repr=False)
    directory: Path
    prefix: str = ""

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def wrong(self, name: str, problem: str, *, hint: str = "") -> ConfigError:
        """The error for a field."""
        return ConfigError(f"{self.owner}: {self.prefix}{name} {problem}", hint=hint)

    def text(self, name: str) -> str:
        """The field's text; empty where it is missing or null. Raises ``ConfigError``."""
        return self._one(name, str, "a string") or ""

    def texts(self, name: str) -> tuple[str, ...]:
        """The field's list of texts; empty where it is missing or null. Raises ``ConfigError``."""
        return tuple(self._several(name, str, "strings"))

    def flag(self, name: str) -> bool:
        """Whether the field is true; false where it is missing or null. Raises ``ConfigError``."""
        return bool(self._one(name, bool, "true or false"))

    def mapping(self, name: str) -> Entry:
        """The mapping inside; an empty one where it is missing or null. Raises ``ConfigError``."""
        return self._inner(f"{name}.", self._one(name, dict, "a mapping") or {})

    def mappings(self, name: str) -> tuple[Entry, ...]:
        """The list of mappings inside; empty where it is missing or null. Raises ``ConfigError``."""
        found = self._several(name, dict, "mappings")
        return tuple(self._inner(f"{name}[{index}].", one) for index, one in enumerate(found))

    def _one(self, name: str, kind: type[T], expected: str) -> T | None:
        value = self.values.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise self.wrong(name, f"must be {expected}, not {_kind(value)}")

    def _several(self, name: str, kind: type[T], expected: str) -> list[T]:
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise self.wrong(name, f"must be a list of {expected}")
        return value

    def _inner(self, prefix: str, values: Mapping[str, Any]) -> Entry:
        return Entry(
            owner=self.owner, values=values, directory=self.directory, prefix=f"{self.prefix}{prefix}"
        )


def _kind(value: object) -> str:
    """What YAML calls it."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a date" if hasattr(value, "isoformat") else "binary data"
