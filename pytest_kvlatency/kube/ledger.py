"""Which VMIs of a run are, or may be, in the cluster: on record from before they are made until they are gone."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.kube.state import VmiHandle

# A request that was given up may still be on its way, held by a slow webhook (which may take 30 s): so long may a VMI
# come of it, even after the one that came of its repetition has gone.
ON_ITS_WAY_SECONDS: Final = 30.0


class Journal(Protocol):
    """A record of VMIs that outlives this process."""

    def made(self, handle: VmiHandle) -> None:
        """Know of a VMI before it is created, and again with its uid. Raises ``KvLatencyError``: none is created."""

    def gone(self, handle: VmiHandle) -> None:
        """Forget a VMI: it is gone, or to be kept."""


class Ledger:
    """The record of a run. Thread-safe. ``journal`` is told of each VMI as well; ``clock`` gives seconds that pass."""

    def __init__(self, journal: Journal | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], VmiHandle] = {}
        #: When attempts to create a VMI ended that may yet be obeyed, by its token.
        self._doubts: dict[str, list[float]] = {}

    def outstanding(self) -> list[VmiHandle]:
        """What was made, or may have been made, and was not yet seen to be gone."""
        with self._lock:
            return list(self._made.values())

    def record(self, handle: VmiHandle) -> None:
        """Put a VMI on record, or its uid. Raises as ``Journal.made``."""
        with self._lock:
            self._made[handle.namespace, handle.name] = handle
        if self._journal is not None:
            self._journal.made(handle)

    def forget(self, handle: VmiHandle) -> None:
        """Take a VMI off the record: it is gone, or it is to be kept."""
        with self._lock:
            self._made.pop((handle.namespace, handle.name), None)
        if self._journal is not None:
            self._journal.gone(handle)

    def migrates(self, handle: VmiHandle) -> bool:
        """Whether there may be a live migration of a VMI."""
        with self._lock:
            known = self._made.get((handle.namespace, handle.name))
        return handle.migrates or (known is not None and known.migrates)

    def note_doubt(self, handle: VmiHandle) -> None:
        """Remember an attempt to create a VMI that got no answer."""
        self._doubts.setdefault(handle.token, []).append(self._clock())

    def settle_doubt(self, handle: VmiHandle) -> None:
        """Know that one of those attempts was obeyed."""
        if doubts := self._doubts.get(handle.token):
            doubts.pop()

    def may_come(self, handle: VmiHandle) -> bool:
        """Whether a VMI may yet come of an attempt to create it."""
        doubts = self._doubts.get(handle.token)
        return bool(doubts and self._clock() - doubts[-1] < ON_ITS_WAY_SECONDS)
