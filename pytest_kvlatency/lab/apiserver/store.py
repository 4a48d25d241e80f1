"""The objects, one revision counter, and the history from which watches are fed. No I/O, no event loop.

Objects in here are never changed in place: a write replaces the whole dict, so that readers, watches and
cached encodings may hold on to what they got.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.lab.apiserver.resources import Resource

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

#: How many changes per kind a watch can still start from; older ones are "too old" (410).
HISTORY = 4096


def encode(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Stored:
    """One object at one revision, with its JSON made at most once."""

    __slots__ = ("_json", "obj", "rv")

    def __init__(self, obj: dict[str, Any], rv: int) -> None:
        self.obj = obj
        self.rv = rv
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The object in its stored version."""
        if self._json is None:
            self._json = encode(self.obj)
        return self._json


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happened to one object; ``before`` is None for ADDED. ``after`` is the last state for DELETED."""

    rv: int
    type: EventType
    namespace: str
    name: str
    before: dict[str, Any] | None
    after: Stored


@dataclass
class _Table:
    objects: dict[tuple[str, str], Stored] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    forgotten: int = 0
    watchers: set[Callable[[Change], None]] = field(default_factory=set)


class Store:
    """All objects of all kinds. ``on_change`` hooks see each change of every kind, in order."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], _Table] = {}
        self._rv = 1
        self.on_change: list[Callable[[Resource, Change], None]] = []

    @property
    def rv(self) -> int:
        """The latest revision of all."""
        return self._rv

    def _table(self, resource: Resource) -> _Table:
        return self._tables.setdefault(resource.key, _Table())

    def get(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        """Return the object, or None."""
        return self._table(resource).objects.get((namespace, name))

    def all(self, resource: Resource, namespace: str = "") -> Iterator[Stored]:
        """Yield the objects of one namespace (``""``: of all), ordered by namespace and name."""
        objects = self._table(resource).objects
        for key in sorted(objects):
            if not namespace or key[0] == namespace:
                yield objects[key]

    def put(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        """Create or replace ``obj``, whose metadata gets the next resourceVersion."""
        table = self._table(resource)
        self._rv += 1
        meta = {**obj["metadata"], "resourceVersion": str(self._rv)}
        stored = Stored({**obj, "metadata": meta}, self._rv)
        key = (meta.get("namespace", ""), meta["name"])
        before = table.objects.get(key)
        table.objects[key] = stored
        kind: EventType = "ADDED" if before is None else "MODIFIED"
        self._record(resource, table, kind, key, before.obj if before else None, stored)
        return stored

    def remove(self, resource: Resource, namespace: str, name: str) -> Stored:
        """Remove an object; return its last state, under the revision of the removal."""
        table = self._table(resource)
        before = table.objects.pop((namespace, name))
        self._rv += 1
        meta = {**before.obj["metadata"], "resourceVersion": str(self._rv)}
        last = Stored({**before.obj, "metadata": meta}, self._rv)
        self._record(resource, table, "DELETED", (namespace, name), before.obj, last)
        return last

    def _record(
        self,
        resource: Resource,
        table: _Table,
        kind: EventType,
        key: tuple[str, str],
        before: dict[str, Any] | None,
        after: Stored,
    ) -> None:
        change = Change(rv=after.rv, type=kind, namespace=key[0], name=key[1], before=before, after=after)
        table.history.append(change)
        while len(table.history) > HISTORY:
            table.forgotten = table.history.popleft().rv
        for watcher in tuple(table.watchers):
            watcher(change)
        for hook in self.on_change:
            hook(resource, change)

    def since(self, resource: Resource, rv: int) -> list[Change] | None:
        """Return the changes after ``rv``, or None when some of them are forgotten."""
        table = self._table(resource)
        if rv < table.forgotten:
            return None
        found: list[Change] = []
        for change in reversed(table.history):
            if change.rv <= rv:
                break
            found.append(change)
        found.reverse()
        return found

    def subscribe(self, resource: Resource, watcher: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``watcher`` for each change from now on; the result ends that."""
        watchers = self._table(resource).watchers
        watchers.add(watcher)
        return lambda: watchers.discard(watcher)

    def forget_history(self) -> None:
        """Forget every change so far, as etcd's compaction does: watches from before now get 410."""
        for table in self._tables.values():
            table.history.clear()
            table.forgotten = self._rv
