"""Numbers of a sample."""

from __future__ import annotations

import statistics as stdlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.ping.statistics import Statistics, percentile, statistics_of


def test_no_sample_says_nothing() -> None:
    assert statistics_of(()) == Statistics(count=0)


def test_a_single_sample_has_a_median_but_no_tail() -> None:
    assert statistics_of((7,)) == Statistics(count=1, min_ns=7, avg_ns=7, max_ns=7, p50_ns=7, stddev_ns=0)


def test_percentiles_are_by_nearest_rank() -> None:
    hundred = statistics_of(range(100, 0, -1))
    assert (hundred.p50_ns, hundred.p90_ns, hundred.p99_ns) == (50, 90, 99)
    assert (hundred.min_ns, hundred.avg_ns, hundred.max_ns) == (1, 51, 100)


@pytest.mark.parametrize(("percent", "needed"), [(50, 1), (90, 10), (99, 100)])
def test_E36_a_percentile_needs_a_sample_beyond_it(percent: int, needed: int) -> None:
    assert percentile(range(needed), percent) is not None
    assert percentile(range(needed - 1), percent) is None


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=150))
def test_the_numbers_agree_with_their_definitions(samples: list[int]) -> None:
    actual = statistics_of(samples)
    assert actual.min_ns == min(samples)
    assert actual.max_ns == max(samples)
    assert actual.avg_ns is not None
    assert abs(actual.avg_ns - stdlib.mean(samples)) <= 0.5
    assert actual.stddev_ns == pytest.approx(stdlib.pstdev(samples), abs=1, rel=1e-9)
    for percent, value in ((50, actual.p50_ns), (90, actual.p90_ns), (99, actual.p99_ns)):
        if value is not None:
            below = sum(1 for sample in samples if sample <= value)
            strictly = sum(1 for sample in samples if sample < value)
            assert 100 * below >= percent * len(samples) > 100 * strictly
