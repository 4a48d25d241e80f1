"""With ``-v``, the numbers of a measurement beside the word for how its test ended: ``PASSED 0.62/0.74 ms``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.ping.statistics import statistics_of
from pytest_kvlatency.report.gapnumbers import gap_milliseconds
from pytest_kvlatency.report.matrix.cell import milliseconds

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_kvlatency.model import Measurement

#: Where a report has the numbers. They come from another process with it, where pytest-xdist distributes tests.
NUMBERS: Final = "kvlatency_numbers"


class StatusWords:
    """Adds to the words of reports that have numbers, in the line of each test; the summary's lines stay as they were.

    Whatever other plugins make of a report stands: categories, which are counted, letters and colours.
    """

    def __init__(self) -> None:
        self._is_over = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the words of the short summary alone: programs read ``FAILED NODEID`` there."""
        self._is_over = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self, report: object) -> Generator[None, Any, Any]:
        """Put the numbers behind the word."""
        status = yield
        numbers = getattr(report, NUMBERS, "")
        if not numbers or self._is_over or not isinstance(status, tuple) or len(status) != 3:
            return status
        category, letter, word = status
        # The word alone, or with its colours.
        said, *colours = word if isinstance(word, tuple) else (word,)
        if not said:
            return status
        said = f"{said} {numbers}"
        return category, letter, (said, *colours) if colours else said


def status_numbers(measurement: Measurement | None) -> str:
    """A measurement in a few characters: ``0.62/0.74 ms`` (average and maximum), ``4% loss``, or both.

    With a migration it is the longest gap, ``1370 ms gap``: what is lost or late in it is part of that. Otherwise the
    longest gap is said where it fails the measurement. Loss is said where there is some. Times are not, where loss is
    all that fails it: they say nothing of the failure.
    Empty without a result.
    """
    result = None if measurement is None else measurement.result
    if measurement is None or result is None:
        return ""
    said = []
    numbers = statistics_of(result.samples_ns)
    kinds = {failure.kind for failure in measurement.failures}
    longest = measurement.gaps.longest if measurement.gaps else None
    if longest is not None and (measurement.migration is not None or "gap" in kinds):
        said.append(f"{gap_milliseconds(longest.length_ns)} ms gap")
        if not kinds & {"latency", "loss"}:
            return said[0]
    is_lost_only = kinds <= {"loss", "gap"} and bool(kinds)
    if numbers.avg_ns is not None and numbers.max_ns is not None and not is_lost_only:
        said.append(f"{milliseconds(round(numbers.avg_ns))}/{milliseconds(numbers.max_ns)} ms")
    if result.has_lost:
        # Never all while something came back.
        percent = min(result.loss_percent, 99.9) if result.received else result.loss_percent
        said.append(f"{percent:.3g}% loss")
    return ", ".join(said)
