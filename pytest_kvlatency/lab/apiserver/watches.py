"""A watch's stream of events: what is there already, what happens next, bookmarks, and the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver.statuses import ApiError
from pytest_kvlatency.lab.apiserver.store import Change, Store, Stored, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_kvlatency.lab.apiserver.resources import Resource

#: Seconds between bookmarks.
_BOOKMARK = 60.0


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What to watch. ``since`` None: start with what is there. ``initial_events`` is a streaming list."""

    namespace: str
    matches: Callable[[dict[str, Any]], bool] | None
    since: int | None
    seconds: float
    bookmarks: bool
    initial_events: bool


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


class WatchStream:
    """One watch; ``render`` turns an object into the JSON that the client asked for."""

    def __init__(
        self, store: Store, resource: Resource, options: WatchOptions, render: Callable[[Stored], bytes]
    ) -> None:
        self._store = store
        self._resource = resource
        self._options = options
        self._render = render

    def _event(self, change: Change) -> bytes | None:
        """Return the event as this watch sees it: entering or leaving the selection is an ADDED or DELETED."""
        options = self._options
        if options.namespace and change.namespace != options.namespace:
            return None
        kind: str = change.type
        if options.matches is not None:
            before = change.before is not None and options.matches(change.before)
            now = change.type != "DELETED" and options.matches(change.after.obj)
            if not before and not now:
                return None
            if change.type != "DELETED":
                kind = "MODIFIED" if before and now else ("ADDED" if now else "DELETED")
        return _line(kind, self._render(change.after))

    def _bookmark(self, *, initial_end: bool = False) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(self._store.rv), "creationTimestamp": None}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        body = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": meta}
        return _line("BOOKMARK", encode(body))

    def _start(self) -> list[bytes] | None:
        """Return the first events; None when the revision to start from is forgotten."""
        options = self._options
        if options.since is not None:
            changes = self._store.since(self._resource, options.since)
            return None if changes is None else [line for line in map(self._event, changes) if line]
        return [
            _line("ADDED", self._render(stored))
            for stored in self._store.all(self._resource, options.namespace)
            if options.matches is None or options.matches(stored.obj)
        ]

    async def events(self) -> AsyncIterator[bytes]:
        """Yield chunks of whole lines until the watch's time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.seconds
        pending: list[bytes] = []
        woken = asyncio.Event()

        def note(change: Change) -> None:
            line = self._event(change)
            if line:
                pending.append(line)
                woken.set()

        first = self._start()
        if first is None:
            error = ApiError(410, f"too old resource version: {self._options.since} ({self._store.rv})")
            yield _line("ERROR", encode(error.status()))
            return
        unsubscribe = self._store.subscribe(self._resource, note)
        try:
            if self._options.initial_events:
                first.append(self._bookmark(initial_end=True))
            if first:
                yield b"".join(first)
            while (left := end - loop.time()) > 0:
                try:
                    await asyncio.wait_for(woken.wait(), min(left, _BOOKMARK))
                except asyncio.TimeoutError:
                    if self._options.bookmarks:
                        yield self._bookmark()
                    continue
                woken.clear()
                chunk = b"".join(pending)
                pending.clear()
                yield chunk
        finally:
            unsubscribe()
