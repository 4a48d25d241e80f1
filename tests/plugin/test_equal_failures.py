"""What the end of the terminal's report has once: equal failures; and which cluster and files it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

FILE = "test_it.py"
TESTS = """
import pytest

@pytest.mark.parametrize("again", range(5))
@pytest.mark.kvlatency(nad="default/no-such-network", nodes="mesh", node_set="worker1,worker2,worker3")
def test_net(again): ...
"""
PAIRS = 15
CAUSE = "config: NetworkAttachmentDefinition default/no-such-network does not exist"


@pytest.fixture(autouse=True)
def tests(checkup: Checkup) -> None:
    (checkup.pytester.path / FILE).write_text(TESTS, encoding="utf-8")


def test_equal_set_up_errors_are_one_block_and_each_in_full_elsewhere(checkup: Checkup) -> None:
    reports = ("--junitxml", "junit.xml", "-p", "pytest_html", "-p", "pytest_metadata", "--html", "page.html")
    result = checkup.quick(FILE, *reports, "--self-contained-html")
    result.assert_outcomes(errors=PAIRS)
    assert result.outlines.count(CAUSE) == 1
    first = "test_it.py::test_net[[]default/no-such-network-worker1:worker2-0[]]"
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_net[[]default/no-such-network-worker1:worker2-0[]]*",
            CAUSE,
            "to run just this pair again: *",
            "the same for 14 more:",
            "  test_it.py::test_net[[]default/no-such-network-worker1:worker2-1[]]",
            "  and 9 more (-v shows each)",
            "*= kvlatency =*",
            "all 15 tests failed: 15 could not be measured",
            f"ERROR {first} - 15 alike: ConfigError: {CAUSE}*",
            "*15 errors*",
        ],
        consecutive=False,
    )
    assert sum(line.startswith("ERROR ") for line in result.outlines) == 1
    cases = ET.parse(checkup.pytester.path / "junit.xml").iter("testcase")
    assert sum(CAUSE in "".join(case.itertext()) for case in cases) == PAIRS
    assert (checkup.pytester.path / "page.html").read_text("utf-8").count(f"{CAUSE}\\n") >= PAIRS


@pytest.mark.parametrize("words", ["-v", "-vv --tb=short"])
def test_a_verbose_run_shows_each_failure(checkup: Checkup, words: str) -> None:
    result = checkup.quick(FILE, *words.split())
    assert result.outlines.count(CAUSE) == PAIRS
    assert sum(line.startswith("ERROR ") for line in result.outlines) == PAIRS


@pytest.mark.parametrize("words", ["-rA --tb=native", "--tb=line -n1", "--tb=short -ra"])
def test_equal_failures_are_one_block_whatever_is_shown_of_a_failure(checkup: Checkup, words: str) -> None:
    result = checkup.quick(FILE, *words.split())
    result.assert_outcomes(errors=PAIRS)
    assert result.outlines.count(CAUSE) == 1
    assert sum(line.startswith("ERROR ") for line in result.outlines) == 1


def test_without_blocks_there_are_none(checkup: Checkup) -> None:
    result = checkup.quick(FILE, "--tb=no", "-rN")
    assert CAUSE not in result.outlines
    assert not any(line.startswith("ERROR ") for line in result.outlines)


def test_different_failures_and_those_of_the_tests_themselves_stand_alone(checkup: Checkup) -> None:
    (checkup.pytester.path / FILE).unlink()
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad=["default/no-such-network", "default/neither"], nodes="auto")
        def test_absent(): ...

        @pytest.mark.parametrize("number", [1, 2])
        @pytest.mark.kvlatency(nad="default/blue-network", nodes="auto")
        def test_own(number):
            assert number == 3
        """
    )
    result = checkup.quick()
    result.assert_outcomes(errors=2, failed=2)
    assert "alike" not in result.stdout.str()
    assert sum(re.match(r"(ERROR|FAILED) ", line) is not None for line in result.outlines) == 4


def test_the_header_names_the_cluster_its_context_and_the_namespace(checkup: Checkup) -> None:
    result = checkup.quick("kvlatency::check", "--kv-nad", "default/blue-network")
    result.stdout.re_match_lines(
        [
            r"collected 1 item$",
            r"kvlatency: cluster: https://127\.0\.0\.1:\d+, context 'lab', namespace default$",
        ],
        consecutive=True,
    )
    listed = checkup.quick(
        "kvlatency::check", "--kv-nad", "default/blue-network", "--collect-only", "--kv-namespace", "x"
    )
    assert "kvlatency: cluster" not in listed.stdout.str()


def test_the_end_names_every_file_that_was_written(checkup: Checkup) -> None:
    arguments = [
        *(
            "--kv-html",
            "a/page.html",
            "--kv-prometheus=b.prom",
            "--kv-artifacts",
            "kept",
            "--junitxml",
            "junit.xml",
        ),
        *("-p", "pytest_html", "-p", "pytest_metadata", "--html", "report.html"),
    ]
    limit = ("--kv-nad", "default/blue-network", "--kv-max-latency", "1us")
    result = checkup.quick("kvlatency::check", *limit, *arguments)
    (line,) = [one for one in result.outlines if one.startswith("kvlatency: wrote ")]
    assert set(line.removeprefix("kvlatency: wrote ").split(", ")) == {
        "result.json (--kv-json)",
        "a/page.html (--kv-html)",
        "b.prom (--kv-prometheus)",
        "kept (--kv-artifacts)",
        "junit.xml (--junitxml)",
        "report.html (--html)",
    }


def test_a_file_that_could_not_be_written_is_not_named_as_written(checkup: Checkup) -> None:
    (checkup.pytester.path / "folder").mkdir()
    result = checkup.run(
        "--kv-sample-duration=500ms", "--kv-nad", "default/blue-network", "--kv-json", "folder"
    )
    assert not any(one.startswith("kvlatency: wrote ") for one in result.outlines)


def test_the_summary_of_a_good_run_stands_apart_from_the_dots_and_together(checkup: Checkup) -> None:
    lines = checkup.quick("kvlatency::check", "--kv-nad", "default/blue-network").outlines
    start = next(number for number, line in enumerate(lines) if line.strip("= ") == "kvlatency")
    assert not lines[start - 1]
    assert all(lines[start:])
    assert lines[-2].startswith("kvlatency: wrote ")
