"""The benchmark measures what it says, on simulated guests whose time runs faster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def one_check():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import one_check

        yield one_check
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("one_check", None)


@pytest.fixture(scope="module")
def runs(one_check):
    return one_check.measure(["sim"], 1, sample="1s", time_scale=20)


def test_a_check_costs_few_requests_also_without_permission_to_watch(one_check, runs):
    assert [run.permissions for run in runs] == ["administrator", "the Role alone"]
    for run in runs:
        assert run.request_count == sum(run.requests.values()) <= one_check.REQUESTS
        assert run.requests["create virtualmachineinstances"] == 2
        assert run.requests["delete virtualmachineinstances"] == 2
        assert run.requests["get virtualmachineinstances/console"] >= 2
        # Where it is not permitted, asking for it costs this one request.
        assert run.requests["watch virtualmachineinstances"] == 1


def test_the_stages_add_up_to_the_whole(runs):
    for run in runs:
        stages = (run.boot, run.login, run.sample, run.delete, run.own)
        assert all(seconds >= 0 for seconds in stages)
        assert sum(stages) == pytest.approx(run.wall, abs=0.5)


def test_an_exceeded_budget_is_named(one_check, runs):
    from dataclasses import replace

    few, exceeded = one_check._summary([replace(runs[0], own=0.1, memory_mb=60.0)])
    assert exceeded == []
    assert any("at its peak" in line for line in few)
    worse = replace(runs[0], own=9.0, memory_mb=500.0, requests={"get /version": 99})
    _, exceeded = one_check._summary([worse])
    assert [words.partition(": ")[2] for words in exceeded] == [
        "9.00 s of our own, at most 2.5",
        "99 requests, at most 25",
        "500 MB, at most 120",
    ]


def test_the_comparison_says_that_the_other_figure_was_measured_elsewhere(one_check, runs):
    text = " ".join(one_check._comparison(runs))
    assert "20.3 s" in text
    assert "measured elsewhere" in text
