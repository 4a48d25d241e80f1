"""Whether the API server can be reached: for how long it could not be, and since when it can be again."""

from __future__ import annotations

import time
from typing import Final

# An API server that has just been started knows neither roles nor tokens nor custom resources for some seconds, and
# refuses what is permitted.
SETTLING_SECONDS: Final = 10.0


class Reach:
    """What all requests of a process have met on their way to one server, those of its consoles included.

    Thread-safe: each method reads or writes single values.
    """

    def __init__(self) -> None:
        #: Since when nothing was answered; None when the last attempt was.
        self.silent_since: float | None = None
        self._failed_at: float | None = None

    def note_failure(self, since: float | None = None) -> None:
        """Remember an attempt that the server did not answer; it began at ``since`` by the monotonic clock (or now)."""
        now = time.monotonic()
        self._failed_at = now
        if self.silent_since is None:
            self.silent_since = now if since is None else since

    def note_answer(self) -> None:
        """Remember that the server itself answered, whatever it said."""
        self.silent_since = None

    @property
    def is_settled(self) -> bool:
        """Whether what the server refuses is refused for good: no attempt has failed to reach it for some seconds."""
        return self._failed_at is None or time.monotonic() - self._failed_at >= SETTLING_SECONDS
