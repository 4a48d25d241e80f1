"""Numbers of a sample: extremes, mean, percentiles, deviation. Pure; integers in nanoseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How many samples a percentile needs: so many that at least one of them lies beyond it (the median needs one).
SAMPLES_NEEDED: Final = {50: 1, 90: 10, 99: 100}


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What can be said of a sample; ``None`` where it is too small to say.

    ``stddev_ns`` is the deviation of the sample itself (of a population: divided by n, not by n - 1), as ping's own
    ``mdev``: a description of the replies that came, no estimate of others. The mean is rounded to a nanosecond.
    """

    count: int
    min_ns: int | None = None
    avg_ns: int | None = None
    max_ns: int | None = None
    p50_ns: int | None = None
    p90_ns: int | None = None
    p99_ns: int | None = None
    stddev_ns: int | None = None


def statistics_of(samples_ns: Sequence[int]) -> Statistics:
    """Compute the statistics of round-trip times in any order."""
    count = len(samples_ns)
    if not count:
        return Statistics(count=0)
    ordered = sorted(samples_ns)
    total = sum(ordered)
    # Exact integers: n * sum(x^2) - sum(x)^2 loses nothing where floats would cancel.
    spread = count * sum(value * value for value in ordered) - total * total
    return Statistics(
        count=count,
        min_ns=ordered[0],
        avg_ns=(2 * total + count) // (2 * count),
        max_ns=ordered[-1],
        p50_ns=percentile(ordered, 50),
        p90_ns=percentile(ordered, 90),
        p99_ns=percentile(ordered, 99),
        stddev_ns=round(math.sqrt(spread) / count),
    )


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile of ascending values; None when there are fewer than ``SAMPLES_NEEDED``."""
    count = len(ordered)
    if count < SAMPLES_NEEDED[percent]:
        return None
    return ordered[-(-count * percent // 100) - 1]
