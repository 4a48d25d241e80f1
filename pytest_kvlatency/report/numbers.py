"""A measurement's numbers under their public names, which every report uses. Pure. What is absent is None, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.ping.statistics import statistics_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.model import LimitName, Measurement

#: The names of what a sample gives as numbers, in the order in which reports show them.
SAMPLE_NUMBERS: Final = (
    "transmitted",
    "received",
    "duplicates",
    "lossPercent",
    "minLatencyNanoSec",
    "avgLatencyNanoSec",
    "maxLatencyNanoSec",
    "p50LatencyNanoSec",
    "p90LatencyNanoSec",
    "p99LatencyNanoSec",
    "stddevLatencyNanoSec",
    "measurementDurationSec",
)

#: The limits of ``model.Limits`` under their names in a document's ``limits``.
LIMITS: Final[Mapping[LimitName, str]] = {
    "max_latency_ns": "maxLatencyNanoSec",
    "max_avg_ns": "maxAvgLatencyNanoSec",
    "max_p99_ns": "maxP99LatencyNanoSec",
    "max_loss_percent": "maxLossPercent",
    "max_gap_ns": "maxGapNanoSec",
}


def numbers_of(measurement: Measurement | None) -> dict[str, int | float | None]:
    """Every number of a measurement, in the order in which the document has them."""
    result = measurement.result if measurement else None
    statistics = statistics_of(result.samples_ns if result else ())
    return {
        "transmitted": result.transmitted if result else None,
        "received": result.received if result else None,
        "duplicates": result.duplicates if result else None,
        "late": result.late if result else None,
        "errors": result.errors if result else None,
        "lossPercent": rounded(result.loss_percent if result else None),
        "minLatencyNanoSec": statistics.min_ns,
        "avgLatencyNanoSec": statistics.avg_ns,
        "maxLatencyNanoSec": statistics.max_ns,
        "p50LatencyNanoSec": statistics.p50_ns,
        "p90LatencyNanoSec": statistics.p90_ns,
        "p99LatencyNanoSec": statistics.p99_ns,
        "stddevLatencyNanoSec": statistics.stddev_ns,
        "measurementDurationSec": rounded(result.duration_seconds if result else None),
        "warmupSeconds": rounded(measurement.warmup_seconds if measurement else None),
    }


def rounded(value: float | None) -> float | None:
    """To six places, which is all that JUnit's properties show: reports of one run give the same number."""
    return None if value is None else round(value, 6)
