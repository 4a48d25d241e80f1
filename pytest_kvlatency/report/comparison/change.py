"""What became of a percentile between two samples, and whether the change is more than noise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.ping.statistics import SAMPLES_NEEDED, percentile
from pytest_kvlatency.report.comparison.quantiles import (
    lower_bound,
    lower_rank,
    upper_bound,
    upper_rank,
    worth_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The percentiles that are compared.
PERCENTS: Final = (50, 90, 99)
#: A difference is real with so much confidence, in percent: the two bounds are wrong at most as often as they may be.
CONFIDENCE: Final = 99
# Three quarters of what is left are the smaller sample's upper bound, which needs more samples than a lower one does.
_UPPER_ERROR: Final = 0.0075
_LOWER_ERROR: Final = 0.0025
#: Differences up to here come from clocks, timers and schedulers of the guests, and up to a hundredth of the value from
#: ping, which prints three digits.
FLOOR_NS: Final = 50_000
_FLOOR_SHARE: Final = 100


@dataclass(frozen=True, kw_only=True)
class QuantileChange:
    """A percentile before and now, in nanoseconds. ``is_significant`` is None where there are too few samples to tell.

    ``is_slower``: significantly so.
    """

    name: str
    before_ns: int
    now_ns: int
    is_significant: bool | None

    @property
    def percent(self) -> float | None:
        """The change in percent of what it was; None where it was nothing."""
        return None if not self.before_ns else 100 * (self.now_ns - self.before_ns) / self.before_ns

    @property
    def is_slower(self) -> bool:
        """Whether it takes longer now, by more than noise."""
        return self.is_significant is True and self.now_ns > self.before_ns

    def exceeds(self, limit_percent: float | None) -> bool:
        """Whether it is slower by more than so many percent."""
        return self.is_slower and limit_percent is not None and (self.percent or 0) > limit_percent


def changes(before: Sequence[int], now: Sequence[int]) -> list[QuantileChange]:
    """The change of each percentile that both samples, in the order of sending, are large enough for."""
    old, new = _Sample.of(before), _Sample.of(now)
    return [one for percent in PERCENTS if (one := _change(percent, old, new)) is not None]


@lru_cache(maxsize=len(PERCENTS))
def fewest(percent: int) -> int:
    """How many samples on both sides it takes to tell a change of the percentile from noise."""
    count = 2 * SAMPLES_NEEDED[percent]
    while (
        lower_rank(count, percent, _LOWER_ERROR) is None or upper_rank(count, percent, _UPPER_ERROR) is None
    ):
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """A sample in the order of sending, and it, its first and its second half in ascending order."""

    sent: Sequence[int]
    ordered: Sequence[int]
    halves: tuple[Sequence[int], Sequence[int]]

    @classmethod
    def of(cls, samples: Sequence[int]) -> _Sample:
        middle = len(samples) // 2
        halves = (sorted(samples[:middle]), sorted(samples[middle:]))
        return cls(sent=samples, ordered=sorted(samples), halves=halves)

    def worth(self, percent: int) -> int:
        """How many independent samples it tells as much as of the percentile."""
        level = percentile(self.ordered, percent)
        return len(self.sent) if level is None else worth_of(self.sent, level)


def _change(percent: int, before: _Sample, now: _Sample) -> QuantileChange | None:
    old, new = percentile(before.ordered, percent), percentile(now.ordered, percent)
    if old is None or new is None:
        return None
    is_significant: bool | None
    if min(len(before.ordered), len(now.ordered)) < fewest(percent):
        is_significant = None
    elif abs(new - old) <= max(FLOOR_NS, old // _FLOOR_SHARE):
        is_significant = False
    else:
        is_significant = _is_higher(now, before, percent) if new > old else _is_higher(before, now, percent)
    return QuantileChange(name=f"p{percent}", before_ns=old, now_ns=new, is_significant=is_significant)


def _is_higher(high: _Sample, low: _Sample, percent: int) -> bool:
    """Whether the percentile of one sample is surely above the other's, in each half of the higher one alike.

    Samples that follow each other resemble each other: a burst of slow ones would pass for many independent ones. It
    fills one half only.
    """
    bottom = lower_bound(high.ordered, percent, _LOWER_ERROR, worth=high.worth(percent))
    top = upper_bound(low.ordered, percent, _UPPER_ERROR, worth=low.worth(percent))
    if bottom is None or top is None or bottom <= top:
        return False
    halves = [percentile(half, percent) for half in high.halves]
    return all(half is not None and half > top for half in halves)
