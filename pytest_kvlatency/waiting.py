"""The main thread's waits: for the engine's threads, with progress, until done, stopped or out of time."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.errors import HIDDEN, InterruptedRunError
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from pytest_kvlatency.deadline import Deadline, Stop
    from pytest_kvlatency.progress import Progress

T = TypeVar("T")
SLICE_SECONDS = 0.1
__tracebackhide__ = HIDDEN


class Waiter:
    """Waits for futures. ``is_waiting`` tells a signal handler that setting the stop is enough to end the wait."""

    def __init__(self, *, stop: Stop, progress: Progress) -> None:
        self._stop = stop
        self._progress = progress
        self.is_waiting = False

    def wait(self, future: Future[T], *, deadline: Deadline, text: Callable[[], str]) -> T:
        """Return the future's result, or raise what it raised. ``text`` says what is being waited for.

        The threads behind the future have the same deadline and the same stop, so an expired deadline is theirs to
        report; a stop ends this wait at once. Raises ``InterruptedRunError``.
        """
        self.is_waiting = True
        try:
            with deadline.running():
                while True:
                    wait([future], timeout=SLICE_SECONDS)
                    if future.done():
                        return result_of(future)
                    if self._stop.is_set():
                        raise InterruptedRunError(f"{self._stop.reason} while waiting for {text()}")
                    self._progress.show(text())
        finally:
            self.is_waiting = False
            self._progress.clear()
