"""The document of an earlier run, as what a run is compared with: read from its file, and refused where it is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.report import json
from pytest_kvlatency.report.entries import test_of
from pytest_kvlatency.report.places import moved
from pytest_kvlatency.report.schema.shape import flaw
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, order=True)
class Key:
    """What makes two measurements comparable: network, nodes where the guests ran, and the test.

    To ``target`` belongs where it migrated: ``worker2>worker3``.
    """

    nad: str
    source: str
    target: str
    test: str

    @property
    def text(self) -> str:
        """As reports name it."""
        return f"{self.nad} {self.source}:{self.target}"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What the earlier run measured. ``lab`` says with which guests, if that was a lab."""

    file: str
    start: str
    lab: Mapping[str, Any] | None
    entries: Mapping[Key, Entry]

    def named(self, nad: str, source: str, target: str, test: str) -> list[Entry]:
        """The entries that this check may be compared with; a node or network that is not known yet matches any."""
        near = self._by_test if not source else self._by_nodes
        where = (test,) if not source else (test, source, target)
        return [
            self.entries[key]
            for key in near.get(where, ())
            if key.nad == nad or ("/" not in nad and key.nad.endswith(f"/{nad}"))
        ]

    @cached_property
    def _by_test(self) -> dict[tuple[str, ...], list[Key]]:
        return _grouped(self.entries, lambda key: (key.test,))

    @cached_property
    def _by_nodes(self) -> dict[tuple[str, ...], list[Key]]:
        return _grouped(self.entries, lambda key: (key.test, key.source, key.target))


def _grouped(
    keys: Iterable[Key], place: Callable[[Key], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Key]]:
    found: dict[tuple[str, ...], list[Key]] = {}
    for key in keys:
        found.setdefault(place(key), []).append(key)
    return found


def key_of(entry: Entry) -> Key | None:
    """The key of an entry of a document; None of one that was not measured, as far as its nodes are unknown."""
    nad, source, target = entry["nad"], entry["sourceNode"], entry["targetNode"]
    if nad is None or source is None or target is None:
        return None
    return Key(nad=nad, source=source, target=target + moved(entry), test=test_of(entry))


def read(path: Path) -> Baseline:
    """Read the document. Raises ``ConfigError``, whose reason says why the file is no baseline."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("is not JSON: expected the document of an earlier run (--kv-json)") from error
    wrong = flaw(document)
    if wrong:
        raise ConfigError(wrong)
    entries: dict[Key, Entry] = {}
    for entry in last_attempts(document["measurements"]):
        if "guest" not in entry:
            raise ConfigError(
                "was written by an older version, which did not say with which guests it measured. "
                "Run the check again with --kv-json for a new baseline"
            )
        key = key_of(entry)
        if key is not None and entry["samplesNanoSec"]:
            entries[key] = entry
    if not entries:
        raise ConfigError("has no measurement with round-trip times to compare with")
    cluster = document.get("cluster") or {}
    return Baseline(file=str(path), start=document["startTimestamp"], lab=cluster.get("lab"), entries=entries)
