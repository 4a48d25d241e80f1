"""What ``-v`` says of a measurement beside pytest's word for how its test ended. Pure text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.ping.statistics import statistics_of
from pytest_kvlatency.report.gapnumbers import gap_milliseconds
from pytest_kvlatency.report.matrix.cell import milliseconds

if TYPE_CHECKING:
    from pytest_kvlatency.model import Measurement


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
