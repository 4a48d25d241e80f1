"""Confidence bounds for the percentiles of a sample, from its order statistics alone. Pure.

How many of n independent samples lie below the true percentile follows the binomial distribution, whatever the
samples' own distribution is. So the k-th smallest of them is a bound whose error is known exactly (Conover, Practical
Nonparametric Statistics, chapter 3.2). Ties make a bound only safer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Beyond so many standard deviations the binomial distribution is nothing.
_DEVIATIONS: Final = 12
#: So many standard deviations of what independent samples show are chance.
_CHANCE: Final = 2


def lower_bound(ordered: Sequence[int], percent: int, error: float, *, worth: int) -> int | None:
    """A value that the true percentile is below with at most this probability; None where the sample is too small.

    ``worth`` is how many independent samples these tell as much as.
    """
    rank = lower_rank(worth, percent, error)
    return None if rank is None else ordered[max(rank * len(ordered) // worth, 1) - 1]


def upper_bound(ordered: Sequence[int], percent: int, error: float, *, worth: int) -> int | None:
    """A value that the true percentile is above with at most this probability; else as ``lower_bound``."""
    rank = upper_rank(worth, percent, error)
    return None if rank is None else ordered[math.ceil(rank * len(ordered) / worth) - 1]


def worth_of(samples: Sequence[int], level: int) -> int:
    """How many independent samples these, in the order of sending, tell as much as of a percentile near ``level``.

    Samples that follow each other resemble each other on a busy network. Counted is how often neighbours are on the
    same side of the level; the formula is that of a first-order process (Bayley and Hammersley, 1946). A resemblance
    that independent samples show too, by chance, is none.
    """
    count = len(samples)
    above = [one > level for one in samples]
    share = sum(above) / count
    variance = share * (1 - share)
    if not variance:
        return count
    together = sum((one - share) * (other - share) for one, other in pairwise(above))
    resemblance = together / (count * variance)
    if resemblance <= _CHANCE / math.sqrt(count):
        return count
    return max(1, math.floor(count * (1 - resemblance) / (1 + resemblance)))


@lru_cache(maxsize=1024)
def lower_rank(count: int, percent: int, error: float) -> int | None:
    """The highest rank, from 1, with P(fewer than ``rank`` samples are at most the percentile) <= ``error``."""
    total, rank = 0.0, None
    for below in _around(count, percent):
        total += _probability(below, count, percent)
        if total > error:
            break
        rank = below + 1
    return rank if rank is not None and rank <= count else None


def upper_rank(count: int, percent: int, error: float) -> int | None:
    """The lowest rank, from 1, with P(at least ``rank`` samples are below the percentile) <= ``error``."""
    # What is below one percentile is above the other, counted from the other end.
    mirrored = lower_rank(count, 100 - percent, error)
    return None if mirrored is None else count + 1 - mirrored


def _around(count: int, percent: int) -> range:
    """The numbers of samples below the percentile that are worth a thought."""
    mean, deviation = count * percent / 100, math.sqrt(count * percent * (100 - percent)) / 100
    reach = _DEVIATIONS * deviation + 1
    return range(max(0, math.floor(mean - reach)), min(count, math.ceil(mean + reach)) + 1)


def _probability(below: int, count: int, percent: int) -> float:
    """P(B = ``below``) for B binomial with ``count`` and ``percent``; by logarithms, for counts of any size."""
    share = percent / 100
    logarithm = (
        math.lgamma(count + 1)
        - math.lgamma(below + 1)
        - math.lgamma(count - below + 1)
        + below * math.log(share)
        + (count - below) * math.log1p(-share)
    )
    return math.exp(logarithm)
