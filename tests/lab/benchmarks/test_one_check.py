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
        for name in ("one_check", "check_lab", "stages"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def runs(one_check):
    return one_check.measure(["sim"], 1, sample="1s", time_scale=20)


def test_a_check_costs_few_requests_also_without_permission_to_watch(one_check, runs):
    assert [run.permissions for run in runs] == ["administrator", "the Role alone"]
    for run in runs:
        assert run.request_count == sum(run.requests.values())
        # A busy machine takes longer, and looks at the VMIs more often meanwhile.
        looks = run.requests["get virtualmachineinstances"]
        assert run.request_count - looks <= one_check.REQUESTS - 6
        assert looks <= 15
        assert run.requests["create virtualmachineinstances"] == 2
        assert run.requests["delete virtualmachineinstances"] == 2
        assert run.requests["get virtualmachineinstances/console"] >= 2
        # Where it is not permitted, asking for it costs this one request.
        assert run.requests["watch virtualmachineinstances"] == 1


def test_the_stages_add_up_to_the_whole(one_check, runs):
    for run in runs:
        assert set(run.stages) == {*one_check.OWN, *one_check.OTHERS}
        assert all(seconds >= 0 for seconds in run.stages.values())
        assert sum(run.stages.values()) == pytest.approx(run.wall, abs=0.5)
        assert run.own == pytest.approx(
            run.wall - sum(run.stages[name] for name in one_check.OTHERS), abs=0.5
        )
        # To load Python and pytest always takes some time.
        assert run.stages["python"] > 0


def test_the_parts_of_our_own_time_are_printed_one_by_one(one_check, runs):
    lines, _ = one_check._summary(runs[:1])
    for name, what in one_check.OWN.items():
        (line,) = (line for line in lines if line.endswith(what))
        assert f" {runs[0].stages[name]:.2f} s" in line


def test_an_exceeded_budget_is_named(one_check, runs):
    from dataclasses import replace

    small = {**dict.fromkeys(runs[0].stages, 0.01), "boot": 60.0}
    few, exceeded = one_check._summary([replace(runs[0], stages=small, memory_mb=60.0)])
    assert exceeded == []
    assert any("at its peak" in line for line in few)
    worse = replace(runs[0], stages={**small, "address": 9.0}, memory_mb=500.0, requests={"get /version": 99})
    _, exceeded = one_check._summary([worse])
    assert [words.partition(": ")[2] for words in exceeded] == [
        "9.08 s of our own, at most 0.9",
        "99 requests, at most 16",
        "500 MB, at most 120",
    ]
    _, exceeded = one_check._summary([replace(worse, guests="qemu")])
    assert exceeded[0].endswith("9.08 s of our own, at most 1.3")


def test_the_comparison_says_that_the_other_figure_was_measured_elsewhere(one_check, runs):
    text = " ".join(one_check._comparison(runs))
    assert "20.3 s" in text
    assert "measured elsewhere" in text
