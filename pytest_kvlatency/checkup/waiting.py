"""The main thread's waits: for the engine's threads, with progress, until done, stopped or out of time."""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.errors import HIDDEN, InterruptedRunError
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from pytest_kvlatency.checkup.progress import ProgressLine
    from pytest_kvlatency.deadline import Deadline, Stop
    from pytest_kvlatency.report.progressline import Progress

T = TypeVar("T")
SLICE_SECONDS = 0.1
#: So long altogether may those who are waited for take to say why they were late, once the time is over.
LAST_WORD_SECONDS = 10.0
#: So long altogether may they take to say how far they have come, once the run is stopped.
STOPPED_SECONDS = 6.0
__tracebackhide__ = HIDDEN


class Waiter:
    """Waits for futures. ``is_waiting`` tells a signal handler that setting the stop is enough to end the wait."""

    def __init__(
        self, *, stop: Stop, progress: ProgressLine, last_word_seconds: float = LAST_WORD_SECONDS
    ) -> None:
        self._stop = stop
        self._progress = progress
        self._last_word_seconds = last_word_seconds
        self._stopped_seconds = STOPPED_SECONDS
        self.is_waiting = False

    def wait(
        self,
        future: Future[T],
        *,
        deadline: Deadline,
        text: Callable[[], str | Progress],
        what: Callable[[], str],
        has_last_word: bool = False,
    ) -> T:
        """Return the future's result, or raise what it raised.

        ``text`` is the line that shows what is being waited for; ``what`` says it within a sentence.

        The threads behind the future have the same deadline, and know better what was late: they have a while to say
        it, and then the wait ends without them. A stop ends it at once, or, with ``has_last_word``, after a while.
        Raises ``CheckupTimeoutError`` and ``InterruptedRunError``.
        """
        self.is_waiting = True
        try:
            with deadline.running():
                while True:
                    began_at = time.monotonic()
                    wait([future], timeout=SLICE_SECONDS)
                    if future.done():
                        return result_of(future)
                    if self._stop.is_set():
                        self._stopped_seconds -= time.monotonic() - began_at
                        if not has_last_word or self._stopped_seconds <= 0.0:
                            reason = self._stop.reason
                            raise InterruptedRunError(f"{reason} while waiting for {what()}", summary=reason)
                    elif deadline.expired():
                        self._last_word_seconds -= time.monotonic() - began_at
                        if self._last_word_seconds <= 0.0:
                            deadline.check(what())
                    self._progress.show(text())
        finally:
            self.is_waiting = False
            self._progress.clear()
