"""The time by the API server's clock, as its answers tell it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kvlatency.kube.http import Answer


class ServerClock:
    """Goes on from what the last answer said."""

    def __init__(self) -> None:
        #: The API server's time at one moment of the monotonic clock.
        self._said: tuple[datetime, float] | None = None

    def note(self, answer: Answer) -> None:
        """Remember what time it is where the answer comes from (RFC 9110, section 6.6.1)."""
        try:
            said = parsedate_to_datetime(answer.headers.get("date", ""))
        except (TypeError, ValueError):
            return
        if said.tzinfo is not None:
            self._said = (said, time.monotonic())

    def now(self) -> datetime:
        """The time there, to the second; by this machine's clock where it has not been said."""
        if self._said is None:
            return datetime.now(timezone.utc)
        said, at = self._said
        return said + timedelta(seconds=time.monotonic() - at)
