"""What ``-v`` says of a measurement beside pytest's word for how its test ended. Pure text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.ping.statistics import statistics_of
from pytest_kvlatency.report.matrix.cell import milliseconds

if TYPE_CHECKING:
    from pytest_kvlatency.model import Measurement


def status_numbers(measurement: Measurement | None) -> str:
    """A measurement in a few characters: ``0.62/0.74 ms`` (average and maximum), ``4% loss``, or both.

    Loss is said where there is some. Times are not, where loss is all that fails it: they say nothing of the failure.
    Empty without a result.
    """
    result = None if measurement is None else measurement.result
    if measurement is None or result is None:
        return ""
    said = []
    numbers = statistics_of(result.samples_ns)
    is_lost_only = {failure.kind for failure in measurement.failures} == {"loss"}
    if numbers.avg_ns is not None and numbers.max_ns is not None and not is_lost_only:
        said.append(f"{milliseconds(round(numbers.avg_ns))}/{milliseconds(numbers.max_ns)} ms")
    if result.has_lost:
        # Never all while something came back.
        percent = min(result.loss_percent, 99.9) if result.received else result.loss_percent
        said.append(f"{percent:.3g}% loss")
    return ", ".join(said)
