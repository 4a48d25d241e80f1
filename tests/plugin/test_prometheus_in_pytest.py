"""--kv-prometheus: the metrics of a run, and what becomes of a run whose metrics cannot be written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
CUT = ("--kv-nad", "default/cut-network")
FILE = "--kv-prometheus=metrics/kvlatency.prom"


def samples(path: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(path.read_text("utf-8")):
        for one in family.samples:
            found.setdefault(one.name, []).append((one.labels, one.value))
    return found


def exported(checkup: Checkup) -> dict[str, list[tuple[dict[str, str], float]]]:
    folder = checkup.pytester.path / "metrics"
    assert os.listdir(folder) == ["kvlatency.prom"]  # noqa: PTH208 - hidden files count too
    return samples(folder / "kvlatency.prom")


def test_the_metrics_have_the_numbers_of_the_document(checkup: Checkup) -> None:
    result = checkup.quick(*BLUE, *CUT, "--kv-nodes=worker1:worker2", FILE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = exported(checkup)
    assert [(labels["nad"], value) for labels, value in found["kvlatency_up"]] == [
        ("default/blue-network", 1),
        ("default/cut-network", 0),
    ]
    blue = checkup.document["measurements"][0]
    ((labels, longest),) = found["kvlatency_rtt_max_seconds"]
    assert longest == blue["maxLatencyNanoSec"] / 1e9
    assert (labels["pair"], labels["test"]) == ("worker1:worker2", "kvlatency::check")
    assert [value for _, value in found["kvlatency_loss_ratio"]] == [0, 1]
    assert found["kvlatency_last_run_success"] == [({"lab": "true"}, 0)]


@pytest.mark.keeps("rerunfailures")
def test_a_suite_with_several_tests_and_a_rerun_has_each_series_once(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        tried = []

        @pytest.mark.parametrize("size", [1, 2])
        def test_sizes(size):
            pass

        @pytest.mark.flaky(reruns=1)
        def test_flaky(kv_latency):
            tried.append(1)
            assert len(tried) == 2

        @pytest.mark.skip
        def test_left_out():
            pass
        """
    )
    result = checkup.quick(FILE)
    assert result.ret == pytest.ExitCode.OK
    module = "test_a_suite_with_several_tests_and_a_rerun_has_each_series_once.py"
    found = exported(checkup)
    assert {(labels["test"], value) for labels, value in found["kvlatency_check_success"]} == {
        (f"{module}::test_sizes[1]", 1),
        (f"{module}::test_sizes[2]", 1),
        (f"{module}::test_flaky", 1),
    }


def test_under_xdist_the_controller_writes_one_file_and_one_page(checkup: Checkup) -> None:
    pairs = ("--kv-nodes=worker1:worker2", "--kv-nodes=worker1:worker3")
    result = checkup.quick(*BLUE, *pairs, FILE, "--kv-html=page.html", "-n1")
    assert result.ret == pytest.ExitCode.OK
    assert [value for _, value in exported(checkup)["kvlatency_up"]] == [1, 1]
    page = (checkup.pytester.path / "page.html").read_text("utf-8")
    assert page.count('"id":"pair-') == 2
    assert "2 pairs passed" in page


def test_the_exit_status_agrees_with_the_metrics(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        def test_first():
            pass

        def test_end():
            pytest.exit("enough", returncode=0)

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker3")
        def test_never_run():
            pass
        """
    )
    result = checkup.run("--kv-sample-duration=500ms", FILE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = exported(checkup)
    assert found["kvlatency_last_run_success"] == [({"lab": "true"}, 0)]
    assert [labels["target_node"] for labels, _ in found["kvlatency_check_success"]] == ["worker2"]


@pytest.mark.parametrize(
    ("broken", "name"), [("--kv-prometheus", "Prometheus"), ("--kv-json", "JSON")], ids=["prometheus", "json"]
)
def test_E80_a_file_that_cannot_be_written_fails_the_run_and_the_other_one_says_so(
    checkup: Checkup, broken: str, name: str
) -> None:
    place = checkup.pytester.mkdir("taken")
    good = {"--kv-prometheus": FILE, "--kv-json": "--kv-json=result.json"}
    good.pop(broken)
    result = checkup.run("--kv-sample-duration=500ms", *BLUE, f"{broken}={place}", *good.values())
    said = f"cannot write the {name} report to {place}: Is a directory"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count(said) == 1
    result.stdout.no_fnmatch_line("*Traceback*")
    if broken == "--kv-prometheus":
        assert checkup.document["succeeded"] is False
        assert checkup.document["failureReason"] == f"teardown: {said}"
    else:
        found = exported(checkup)
        assert found["kvlatency_last_run_success"] == [({"lab": "true"}, 0)]
        assert [value for _, value in found["kvlatency_check_success"]] == [1]


def test_a_preflight_has_no_metrics(checkup: Checkup) -> None:
    result = checkup.run(*BLUE, "--kv-preflight", FILE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --kv-prometheus and --kv-preflight cannot be combined: a preflight measures nothing*"]
    )
    assert not (checkup.pytester.path / "metrics").exists()
