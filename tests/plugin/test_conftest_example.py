"""The example suite, run as a reader would run it after copying it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Checkup

EXAMPLE = Path(__file__).parents[2] / "conftest_example"


def _copy(checkup: Checkup) -> None:
    shutil.copytree(EXAMPLE, checkup.pytester.path, dirs_exist_ok=True)


def test_every_test_of_the_example_passes_and_reads_well_under_the_defaults_of_its_hook(
    checkup: Checkup,
) -> None:
    _copy(checkup)
    result = checkup.run("-v", "--strict-markers", "-W", "error")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["kvlatency: max_latency = 250ms (hook pytest_kvlatency_settings)"])
    result.stdout.re_match_lines_random(
        [
            r"test_network.py::test_any_two_nodes\[default/blue-network-auto\] .*PASSED.*",
            r"test_network.py::test_named_pairs\[default/blue-network-worker1:worker3\] .*PASSED.*",
            r".*::TestBetweenTwoNodes::test_a_command_in_the_guest\[default/blue-network-worker1:worker2\] .*PASSED.*",
        ]
    )


def test_the_command_line_overrides_the_suite_and_the_marker_the_command_line(checkup: Checkup) -> None:
    _copy(checkup)
    result = checkup.run("--kv-max-latency", "1us", "-k", "any_two_nodes or named_pairs")
    result.assert_outcomes(passed=2, failed=1, deselected=3)
    result.stdout.fnmatch_lines(["FAILED test_network.py::test_any_two_nodes*"])
