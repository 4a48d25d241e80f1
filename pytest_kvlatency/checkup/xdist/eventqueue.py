"""The wait of xdist's controller for what its workers tell: the one moment in which its main thread has time."""

from __future__ import annotations

import math
from queue import Empty
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_SECONDS: Final = 0.1


class WatchedQueue:
    """xdist's queue of events, but that ``show`` is called while it is waited for, and ``clear`` before one is handled.

    Everything that xdist and its terminal reporter write is written because of an event: so they never write into the
    line that ``show`` has written.
    """

    def __init__(self, queue: Any, *, show: Callable[[], None], clear: Callable[[], None]) -> None:
        self._queue = queue
        self._show = show
        self._clear = clear

    def __getattr__(self, name: str) -> Any:
        """Return the queue's own, such as ``put``."""
        return getattr(self._queue, name)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - as queue.Queue
        """Return the next event. Raises ``queue.Empty`` as the queue does."""
        if not block:
            return self._queue.get(block)
        left = math.inf if timeout is None else timeout
        while True:
            try:
                event = self._queue.get(timeout=max(0.0, min(SLICE_SECONDS, left)))
            except Empty:
                left -= SLICE_SECONDS
                if left <= 0:
                    # xdist asks again at once: the line stays.
                    raise
                self._show()
            except BaseException:
                self._clear()
                raise
            else:
                self._clear()
                return event
