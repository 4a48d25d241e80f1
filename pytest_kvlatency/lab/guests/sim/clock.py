"""A guest's time, which may run faster than the host's, and actions that are due at such times."""

from __future__ import annotations

import heapq
import time
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: With compressed time, actions that are due are done together at most this often (host seconds).
_BATCH_SECONDS = 0.02
#: In real time, an action that is due this soon is done now: asyncio's timers are no better.
_TOLERANCE_SECONDS = 0.0005


class Clock:
    """Guest seconds since power-on; ``scale`` of them pass in one second of the host, none while it is paused."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scale: float) -> None:
        self.loop = loop
        self.scale = scale
        self._start = loop.time()
        self._epoch = time.time()
        self._paused_at: float | None = None
        self._on_resume: list[Callable[[], None]] = []

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._paused_at is not None

    def now(self) -> float:
        """Guest seconds since power-on."""
        host = self.loop.time() if self._paused_at is None else self._paused_at
        return (host - self._start) * self.scale

    def host_time(self, guest_time: float) -> float:
        """When, on the loop's clock, it is ``guest_time``, unless the clock is paused until then."""
        return self._start + guest_time / self.scale

    def wall_time(self, guest_time: float) -> float:
        """What the guest's wall clock shows then, in seconds since 1970: the host's, but for scale and pauses."""
        return self._epoch + guest_time

    def call_at(self, guest_time: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        """Call ``action`` once, at ``guest_time``; a pause does not put it off."""
        return self.loop.call_at(self.host_time(guest_time), action)

    def pause(self) -> None:
        """Stand still, as the clock of a paused guest does."""
        if self._paused_at is None:
            self._paused_at = self.loop.time()

    def resume(self) -> None:
        """Go on: what was due later is due later by the pause."""
        if self._paused_at is None:
            return
        self._start += self.loop.time() - self._paused_at
        self._paused_at = None
        waiting, self._on_resume = self._on_resume, []
        for action in waiting:
            action()

    def when_resumed(self, action: Callable[[], None]) -> None:
        """Call ``action`` once when a pause ends."""
        self._on_resume.append(action)


class Timeline:
    """Actions in the order of the guest time at which they are due, however late the loop gets to them.

    Each action is given its own due time, so that what it computes does not depend on the host's speed.
    ``after_batch`` is called when all that was due is done.
    """

    def __init__(self, clock: Clock, after_batch: Callable[[], None]) -> None:
        self._clock = clock
        self._after_batch = after_batch
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._not_before = 0.0
        self._stopped = False

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """Do ``action(due)`` at the guest time ``due``; after those of the same time that came before."""
        if self._stopped:
            return
        heapq.heappush(self._heap, (due, next(self._order), action))
        self._arm()

    def stop(self) -> None:
        """Drop all that is not yet done."""
        self._stopped = True
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if not self._heap or self._stopped:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._clock.loop.call_at(max(self._clock.host_time(due), self._not_before), self._run)

    def _run(self) -> None:
        self._timer = None
        if self._clock.is_paused:
            self._clock.when_resumed(self._arm)
            return
        if self._clock.host_time(self._timer_due) > self._clock.loop.time() + _TOLERANCE_SECONDS:
            # It was set before a pause.
            self._arm()
            return
        now = max(self._clock.now() + _TOLERANCE_SECONDS, self._timer_due)
        if self._clock.scale > 1:
            self._not_before = self._clock.loop.time() + _BATCH_SECONDS
        while self._heap and self._heap[0][0] <= now:
            due, _, action = heapq.heappop(self._heap)
            action(due)
        self._after_batch()
        self._arm()
