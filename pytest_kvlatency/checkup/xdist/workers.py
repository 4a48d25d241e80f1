"""What the controller knows of its workers: who lives, which VMIs they have, how far their items are."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.model import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.report.run import ItemResult


@dataclass(kw_only=True)
class _Known:
    """One worker. ``open`` are its attempts that are not over: node id and number.

    ``waits`` is what it was waiting for at ``waits_at``, by the monotonic clock.
    """

    part: int
    pid: int = 0
    is_connected: bool = False
    vmis: dict[tuple[str, str], VmiHandle] = field(default_factory=dict)
    open: set[tuple[str, int]] = field(default_factory=set)
    waits: tuple[Wait, ...] = ()
    waits_at: float = 0.0


class Workers:
    """All workers, by xdist's name for them. Thread-safe; nothing that takes time is done under its lock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: dict[str, _Known] = {}
        self._results: dict[tuple[str, str, int], ItemResult] = {}

    # --- their coming and going

    def expect(self, worker: str, count: int) -> int:
        """Know a worker that is about to start, one of ``count``; return which part of the addresses is its own."""
        with self._changed:
            taken = {one.part for one in self._known.values()}
            part = min(set(range(len(taken) + 1)) - taken) % count
            self._known[worker] = _Known(part=part)
        return part

    def has_connected(self, worker: str, pid: int) -> None:
        """Know a worker's process. From now on it is heard when that ends."""
        with self._changed:
            known = self._known[worker]
            known.pid, known.is_connected = pid, True

    def has_hung_up(self, worker: str) -> None:
        """Know that nothing more comes from a worker: what it had begun and not ended is an error."""
        with self._changed:
            known = self._known[worker]
            known.is_connected = False
            reason = f"worker {worker} of pytest-xdist died while it ran this item"
            failure = Failure(kind="interrupted", stage="run", reason=reason)
            for nodeid, number in known.open:
                result = self._results[worker, nodeid, number]
                self._results[worker, nodeid, number] = replace(
                    result, outcome="error", failures=(*result.failures, failure)
                )
            known.open.clear()
            self._changed.notify_all()

    def is_down(self, worker: str) -> bool:
        """Free a worker's part of the addresses; whether there was such a worker."""
        with self._changed:
            known = self._known.get(worker)
            if known is not None:
                known.part = -1
            return known is not None

    @property
    def names(self) -> list[str]:
        """All that there were."""
        with self._changed:
            return list(self._known)

    @property
    def is_any_connected(self) -> bool:
        """Whether one lives that can still say something."""
        with self._changed:
            return self._is_any_connected()

    def signal(self, number: int) -> None:
        """Send a signal to each that is connected."""
        with self._changed:
            pids = [one.pid for one in self._known.values() if one.is_connected]
        for pid in pids:
            # Connected, so it lives: the number is no other process's.
            os.kill(pid, number)

    def wait_until_gone(self, seconds: float, worker: str | None = None) -> None:
        """Wait at most so long until a worker, or each of them, has hung up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_any_connected(worker), seconds)

    def _is_any_connected(self, worker: str | None = None) -> bool:
        known = self._known.values() if worker is None else (self._known[worker],)
        return any(one.is_connected for one in known)

    # --- their VMIs

    def has_made(self, worker: str, handle: VmiHandle) -> None:
        """Know a VMI before it is created, and again with its uid."""
        with self._changed:
            self._known[worker].vmis[handle.namespace, handle.name] = handle

    def needs_no_more(self, worker: str, handle: VmiHandle) -> None:
        """Forget a VMI that needs no more care."""
        with self._changed:
            self._known[worker].vmis.pop((handle.namespace, handle.name), None)

    def vmis_of(self, worker: str) -> list[VmiHandle]:
        """What a worker has created and not removed."""
        with self._changed:
            return list(self._known[worker].vmis.values())

    def bequeath(self, worker: str, adopt: Callable[[Iterable[VmiHandle]], None]) -> None:
        """Have ``adopt``, which must not take time, take care of a worker's VMIs; in no moment are they nobody's."""
        with self._changed:
            left = self._known[worker].vmis
            adopt(list(left.values()))
            left.clear()

    # --- their items

    def has_attempted(self, worker: str, result: ItemResult, *, is_over: bool) -> None:
        """Know how far an attempt at an item is."""
        nodeid, number = result.nodeid, result.attempt
        with self._changed:
            self._results[worker, nodeid, number] = result
            self._known[worker].waits = ()
            if is_over:
                self._known[worker].open.discard((nodeid, number))
            else:
                self._known[worker].open.add((nodeid, number))

    def waits_for(self, worker: str, waits: Iterable[Wait]) -> None:
        """Know what a worker is waiting for."""
        with self._changed:
            known = self._known[worker]
            known.waits, known.waits_at = tuple(waits), time.monotonic()

    @property
    def waits(self) -> list[Wait]:
        """What they are waiting for now, those that live."""
        now = time.monotonic()
        with self._changed:
            return [
                replace(wait, seconds=wait.seconds + now - one.waits_at)
                for one in self._known.values()
                if one.is_connected
                for wait in one.waits
            ]

    @property
    def results(self) -> list[ItemResult]:
        """Every attempt that was heard of."""
        with self._changed:
            return list(self._results.values())
