"""Time: one monotonic deadline through every wait, and one token that ends them all early."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Clean-up has so long of its own, after the run's deadline too.
CLEANUP_SECONDS = 60.0
STOP_SLICE_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses in seconds, from ``first``, each ``factor`` times the one before it, up to ``longest``.

    ``iter`` gives them without end.
    """

    first: float
    longest: float
    factor: float = 2.0

    def after(self, pause: float) -> float:
        """The pause that follows one of ``pause`` seconds."""
        return min(self.longest, pause * self.factor)

    def __iter__(self) -> Iterator[float]:
        pause = self.first
        while True:
            yield pause
            pause = self.after(pause)

    def nth(self, number: int) -> float:
        """Pause ``number``, counted from 0."""
        return next(islice(self, number, None))


class Stop:
    """Asks every wait of the run to end. Thread-safe, and safe in a signal handler.

    One with a ``parent`` ends the waits of a part of the run, and is set as soon as its parent is.
    """

    def __init__(self, *, parent: Stop | None = None) -> None:
        # A handler runs in the main thread, which may be inside ``wait`` with the lock in hand: it must not block.
        self._changed = threading.Condition(threading.RLock())
        self._parent = parent
        self._is_set = False
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why; empty while it is not set."""
        if self._parent is not None and self._parent.is_set():
            return self._parent.reason
        return self._reason

    def set(self, reason: str) -> None:
        """Stop; the first reason is kept."""
        with self._changed:
            if not self._is_set:
                self._reason = reason
                self._is_set = True
                self._changed.notify_all()

    def is_set(self) -> bool:
        """Whether somebody asked to stop."""
        return self._is_set or (self._parent is not None and self._parent.is_set())

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds``; True as soon as somebody asked to stop."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self.is_set() and (left := until - time.monotonic()) > 0:
                # In slices: a handler that strikes just before the wait itself wakes nobody, nor does a parent.
                self._changed.wait(min(left, STOP_SLICE_SECONDS))
        return self.is_set()


class Deadline:
    """A budget of ``seconds`` by the monotonic clock, so that a jump of the wall clock changes nothing.

    It runs from its making, or, with ``paused=True``, only inside ``running()`` (re-entrant, from any thread).
    """

    def __init__(
        self,
        seconds: float,
        *,
        stop: Stop | None = None,
        paused: bool = False,
        parent: Deadline | None = None,
    ) -> None:
        self.seconds = seconds
        self.stop = stop if stop is not None else Stop()
        self._parent = parent
        self._lock = threading.Lock()
        self._users = 0 if paused else 1
        self._spent = 0.0
        self._since = time.monotonic()

    def limit(self, seconds: float) -> Deadline:
        """Return a deadline of at most ``seconds`` within this one (the same stop); it starts now."""
        return Deadline(seconds, stop=self.stop, parent=self)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run inside."""
        with self._lock:
            if self._users == 0:
                self._since = time.monotonic()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._spent += time.monotonic() - self._since

    def spent(self) -> float:
        """Seconds of the budget that are gone."""
        with self._lock:
            return self._spent + (time.monotonic() - self._since if self._users else 0.0)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        own = max(0.0, self.seconds - self.spent())
        return own if self._parent is None else min(own, self._parent.remaining())

    def expired(self) -> bool:
        """Whether nothing is left."""
        return self.remaining() <= 0.0

    def check(self, waiting_for: str) -> None:
        """Raise ``InterruptedRunError`` when stopped, ``CheckupTimeoutError`` when nothing is left."""
        if self.stop.is_set():
            raise InterruptedRunError(
                f"{self.stop.reason} while waiting for {waiting_for}", summary=self.stop.reason
            )
        if self.expired():
            raise CheckupTimeoutError(
                f"timed out after {format_duration(round(self.whole_seconds * 1e9))} waiting for {waiting_for}",
                summary="the time was over",
            )

    @property
    def is_cut_short(self) -> bool:
        """Whether it is over because the one that it lies within is."""
        return self._parent is not None and self._parent.expired()

    @property
    def whole_seconds(self) -> float:
        """The budget that ran out: the parent's when that is over, else this one's."""
        if self._parent is not None and self._parent.expired():
            return self._parent.whole_seconds
        return self.seconds

    def pause(self, seconds: float, waiting_for: str) -> None:
        """Wait ``seconds``, or less when stopped or over; then as ``check``."""
        self.stop.wait(min(seconds, self.remaining()))
        self.check(waiting_for)
