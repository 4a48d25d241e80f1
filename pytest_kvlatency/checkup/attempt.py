"""One attempt at one item: what was measured, what went wrong, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_kvlatency.errors import HIDDEN, again
from pytest_kvlatency.model import Failure, failure_of
from pytest_kvlatency.report.run import ItemResult

if TYPE_CHECKING:
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.model import Check, Measurement, Outcome

ATTEMPT_KEY = pytest.StashKey["ItemAttempt"]()
__tracebackhide__ = HIDDEN


class ItemAttempt:
    """One attempt at one item; a rerun is another one. It is also the holder of what it asks the engine for."""

    def __init__(self, *, nodeid: str, check: Check | None, number: int = 1) -> None:
        self.nodeid = nodeid
        self.check = check
        self.number = number
        self.measurement: Measurement | None = None
        self.extra: list[Measurement] = []
        self.failures: list[Failure] = []
        self.outcome: Outcome = "notrun"
        #: What the plugin raised for it last.
        self.raised: BaseException | None = None
        #: Source and target, while the item has them for itself.
        self.guests: tuple[ReadyGuest, ReadyGuest] | None = None
        #: Whether the set-up is over: what is asked for from now on is asked for by the body.
        self.is_set_up = False
        self.transcript_file: str | None = None
        self.is_in_html = False

    @property
    def has_failed(self) -> bool:
        """Whether it failed, in whatever phase."""
        return self.outcome in ("failed", "error")

    def fail(self, error: KvLatencyError) -> NoReturn:
        """Enter ``error`` among the failures, and raise it."""
        self.failures.append(failure_of(error))
        self.end_with(error)

    def end_with(self, error: KvLatencyError) -> NoReturn:
        """Raise an error that the measurement holds already."""
        # What was measured ahead may be the measurement of several items.
        self.raised = again(error)
        raise self.raised from None

    def result(self) -> ItemResult:
        """As the document takes it."""
        return ItemResult(
            nodeid=self.nodeid,
            check=self.check,
            measurement=self.measurement,
            outcome=self.outcome,
            attempt=self.number,
            failures=tuple(self.failures),
            extra=tuple(self.extra),
            transcript_file=self.transcript_file,
        )
