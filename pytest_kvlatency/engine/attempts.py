"""What came of one try at a check, whatever it was, and how other checks' limits judge it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.guests import setup_timings
from pytest_kvlatency.engine.measuring import judged
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.model import Measurement, failure_of
from pytest_kvlatency.threads import fulfil, result_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import Check


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one try at a check: always a measurement, and the error when it could not be made."""

    measurement: Measurement
    error: KvLatencyError | None = None


def failed(
    check: Check, error: KvLatencyError, source: ReadyGuest | None = None, target: ReadyGuest | None = None
) -> Attempt:
    """A measurement without numbers, with what is known of its guests."""
    measurement = Measurement(
        check=check,
        binding=None if source is None else source.nad.binding,
        source=None if source is None else source.facts,
        target=None if target is None else target.facts,
        failures=(failure_of(error),),
        timings=setup_timings(source, target),
    )
    return Attempt(measurement=measurement, error=error)


def for_limits(ahead: Future[Attempt], check: Check, answer: Future[Attempt]) -> None:
    """Answer with what was measured ahead, judged by this check's own limits."""
    ahead.add_done_callback(lambda done: fulfil(answer, lambda: for_check(result_of(done), check)))


def for_check(attempt: Attempt, check: Check) -> Attempt:
    """What was measured ahead, judged by this check's own limits, by which it may be no measurement."""
    if attempt.error is not None:
        return attempt
    try:
        return replace(attempt, measurement=judged(attempt.measurement, check))
    except KvLatencyError as error:
        measurement = replace(attempt.measurement, check=check, result=None, failures=(failure_of(error),))
        return Attempt(measurement=measurement, error=error)
