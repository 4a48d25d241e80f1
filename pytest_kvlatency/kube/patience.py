"""How long the API server is given: for one attempt, from one to the next, and for all of them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import urllib3.exceptions

from pytest_kvlatency.deadline import Backoff

if TYPE_CHECKING:
    from pytest_kvlatency.errors import ConfigError
    from pytest_kvlatency.kube import paths
    from pytest_kvlatency.kube.http import Answer, HttpTransport

# Seconds of trouble that one request outlasts: a restart of a lone API server, not a lost one.
PATIENCE: Final = 60.0
# A server that never answered is given less: its address is more likely wrong than its health poor.
FIRST_CONTACT: Final = 3.0
# More where its silence may be slowness: longer than what a single attempt waits for.
FIRST_CONNECTION: Final = 10.0
FIRST_ANSWER: Final = 30.0
# Once nothing has answered for as long as a restart takes, and so much longer, each request has only a few tries.
GRACE: Final = 10.0
FEW_TRIES: Final = 3.0
CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUTS: Final = (5.0, 10.0, 20.0, 30.0)
PAUSES: Final = Backoff(first=0.1, longest=5.0)
# An API server that has just been started comes to know its roles within a few seconds.
_DENIED_PAUSE: Final = 1.0


@dataclass(kw_only=True)
class Tries:
    """The attempts at one request. ``is_denied``: the last answer was a denial that may not be meant."""

    wanted: paths.Target
    patience: float
    began: float
    count: int = 0
    has_renewed: bool = False
    is_denied: bool = False

    @property
    def read_timeout(self) -> float:
        """Seconds that the next attempt waits for an answer."""
        return READ_TIMEOUTS[min(self.count, len(READ_TIMEOUTS) - 1)]

    @property
    def seconds(self) -> float:
        """How long it has been tried."""
        return time.monotonic() - self.began

    def pause_after(self, answer: Answer | None) -> float:
        """Seconds until the next attempt: as the server asks, or growing; spread so that threads do not march in step.

        What may be denied for a moment only is asked again soon.
        """
        told = _told_pause(answer)
        pause = PAUSES.nth(self.count) * random.uniform(0.75, 1.25) if told is None else told  # noqa: S311 - no secret
        return min(pause, _DENIED_PAUSE) if self.is_denied else pause

    def is_last(
        self, answer: Answer | None, pause: float, silent_since: float | None, seconds_left: float
    ) -> bool:
        """Whether patience ends before the next attempt, and before the ``seconds_left`` of the deadline."""
        if _told_pause(answer) is not None and self.patience >= PATIENCE:
            # A server that says when to come again is not lost; what is optional does not wait that long.
            return False
        left = self._patience_left(silent_since)
        return left <= pause and left < seconds_left

    def _patience_left(self, silent_since: float | None) -> float:
        left = self.patience - self.seconds
        if silent_since is None:
            return left
        silent = time.monotonic() - silent_since
        return min(left, max(FEW_TRIES - self.seconds, PATIENCE + GRACE - silent))


@dataclass(frozen=True, kw_only=True)
class Try:
    """What came of one attempt: an answer or none, and ``problem``, what that says.

    ``lacking``: this process may open no more connections; ``first_contact``: seconds that a server which has never
    answered is given after it; ``is_reached``: there was a connection, so that the server may have been asked.
    """

    transport: HttpTransport
    problem: str
    first_contact: float
    answer: Answer | None = None
    lacking: ConfigError | None = None
    is_reached: bool = True


def first_contact(error: urllib3.exceptions.HTTPError | None) -> float:
    """Seconds that a server which has never answered is given after such an attempt."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return FIRST_CONTACT
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return FIRST_CONNECTION
    return FIRST_ANSWER if isinstance(error, urllib3.exceptions.TimeoutError) else FIRST_CONTACT


def _told_pause(answer: Answer | None) -> float | None:
    """Seconds that the server asks to wait (Retry-After), if it does."""
    told = answer.headers.get("retry-after", "") if answer is not None else ""
    return max(PAUSES.first, float(told)) if told.isdecimal() else None
