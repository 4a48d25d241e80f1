"""Reports that cannot be written, and other plugins that fail at the end: nothing else is lost, and all agree."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
FULL = "/dev/full"
#: Older ones write the report when the session starts, and end the run before it contacts anything.
WRITES_LATE = pytest.mark.skipif(
    tuple(map(int, version("pytest-html").split(".")[:2])) < (4, 2),
    reason="pytest-html 4.2 writes at the end",
)
OTHERS = ("--junitxml=out.xml", "--html=out.html", "--self-contained-html")
RAISING = """
    import pytest

    @pytest.hookimpl({options})
    def pytest_sessionfinish():
        raise RuntimeError("in another plugin")
        yield
"""


@pytest.fixture
def full() -> str:
    if not Path(FULL).exists():
        pytest.skip(f"there is no {FULL} here")
    return FULL


def has_junit(checkup: Checkup) -> bool:
    return bool(list(ET.fromstring((checkup.pytester.path / "out.xml").read_text("utf-8")).iter("testcase")))


def has_html(checkup: Checkup) -> bool:
    return "blue-network" in (checkup.pytester.path / "out.html").read_text("utf-8")


def check(checkup: Checkup, result: pytest.RunResult, *said: str) -> None:
    """The run fails for this alone: it has measured, shows its table, and says once what it could not write."""
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*= kvlatency =*", "default/blue-network*ok"])
    for one in said:
        result.stdout.fnmatch_lines([f"kvlatency: teardown: {one}"])
        assert result.stdout.str().count(one) == 1
    for output in (result.stdout, result.stderr):
        output.no_fnmatch_line("*Traceback*")
        output.no_fnmatch_line("*INTERNALERROR*")
    result.assert_outcomes(passed=1)


def check_document(checkup: Checkup, *said: str) -> None:
    assert checkup.document["succeeded"] is False
    reasons = checkup.document["failureReason"].split("; ")
    assert sorted(reasons) == sorted(f"teardown: {one}" for one in said)
    assert [one["outcome"] for one in checkup.document["measurements"]] == ["passed"]


@pytest.mark.edge_case(
    "E80",
    happens="The JUnit or HTML file cannot be written: the disk is full, or the path is taken.",
    does="Writes every other report and the table, and fails the run. All reports say so:",
    says="cannot write the JUnit report to …",
)
def test_E80_a_junit_file_and_a_page_on_a_full_disk_cost_no_other_report(checkup: Checkup, full: str) -> None:
    result = checkup.quick(*BLUE, f"--junitxml={full}", f"--kv-html={full}", *OTHERS[1:])
    said = (
        f"cannot write the JUnit report to {full}: No space left on device",
        f"cannot write the HTML report to {full}: No space left on device",
    )
    check(checkup, result, *said)
    check_document(checkup, *said)
    result.stdout.no_fnmatch_line("*generated xml file*")
    assert has_html(checkup)


@WRITES_LATE
def test_E80_an_html_file_whose_place_is_taken_costs_no_other_report(checkup: Checkup) -> None:
    place = checkup.pytester.mkdir("taken")
    result = checkup.quick(*BLUE, f"--html={place}", "--self-contained-html", OTHERS[0])
    said = f"cannot write the HTML report to {place}: Is a directory"
    check(checkup, result, said)
    check_document(checkup, said)
    result.stdout.no_fnmatch_line("*Generated html report*")
    assert has_junit(checkup)


def test_E80_an_html_report_that_cannot_even_be_prepared_costs_no_run(checkup: Checkup) -> None:
    file = checkup.pytester.path / "file"
    file.write_text("no folder")
    result = checkup.quick(*BLUE, f"--html={file}/out.html", OTHERS[0])
    said = f"cannot write the HTML report to {file}/out.html: "
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*= kvlatency =*", f"kvlatency: teardown: {said}*"])
    assert checkup.document["failureReason"].startswith(f"teardown: {said}")
    assert has_junit(checkup)


@WRITES_LATE
def test_E80_several_reports_that_cannot_be_written_are_all_told(checkup: Checkup, full: str) -> None:
    place = checkup.pytester.mkdir("taken")
    arguments = (f"--junitxml={full}", f"--html={place}", "--self-contained-html", f"--kv-json={full}")
    result = checkup.run("--kv-sample-duration=500ms", *BLUE, *arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = [line for line in result.outlines if line.startswith("kvlatency: teardown: cannot write the ")]
    assert sorted(line.split()[5] for line in told) == ["HTML", "JSON", "JUnit"]
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.edge_case(
    "E80",
    happens="Another plugin raises in `pytest_sessionfinish`.",
    does="Cleans up and writes every report before that.",
)
@pytest.mark.parametrize("options", ["tryfirst=True", "", "trylast=True"], ids=["first", "between", "last"])
def test_E80_another_plugin_that_raises_at_the_end_costs_no_report(checkup: Checkup, options: str) -> None:
    checkup.pytester.makeconftest(RAISING.format(options=options).replace("        yield\n", ""))
    checkup.pytester.makepyfile("def test_it(kv_latency): pass")
    result = checkup.quick(*BLUE, *OTHERS)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*= kvlatency =*", "default/blue-network*ok"])
    result.stderr.fnmatch_lines(["RuntimeError: in another plugin"])
    assert checkup.outcomes == [("passed", None)]
    assert has_junit(checkup)
    assert has_html(checkup)


def test_E80_another_plugins_wrapper_that_raises_first_costs_no_document(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(RAISING.format(options="tryfirst=True, wrapper=True"))
    checkup.pytester.makepyfile("def test_it(kv_latency): pass")
    result = checkup.quick(*BLUE, *OTHERS)
    assert result.ret != pytest.ExitCode.OK
    result.stderr.fnmatch_lines(["RuntimeError: in another plugin"])
    assert checkup.outcomes == [("passed", None)]


def test_a_run_without_checks_leaves_what_other_plugins_raise_alone(checkup: Checkup, full: str) -> None:
    checkup.pytester.makepyfile("def test_it(): pass")
    result = checkup.pytester.runpytest_inprocess(f"--junitxml={full}")
    result.stderr.fnmatch_lines(["OSError: *No space left on device"])


def test_E80_artifacts_and_a_labs_record_that_cannot_be_written_fail_the_run(
    pytester: pytest.Pytester,
) -> None:
    (pytester.path / "file").write_text("no folder")
    lab = ("--kv-lab=sim", *BLUE, "--kv-sample-duration=500ms", "--kv-json=out.json")
    result = pytester.runpytest_inprocess(*lab, "--kv-max-latency=1us", "--kv-artifacts=file")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    document = json.loads((pytester.path / "out.json").read_text("utf-8"))
    assert document["succeeded"] is False
    for said in ("cannot write the artifacts of * to *", "cannot keep the lab's audit.jsonl in file: *"):
        result.stdout.fnmatch_lines([f"kvlatency: teardown: {said}"])
        assert fnmatch(document["failureReason"], f"*teardown: {said}")


@pytest.mark.smoke
def test_E80_with_workers_a_report_that_cannot_be_written_costs_no_other(checkup: Checkup, full: str) -> None:
    pytest.importorskip("xdist")
    checkup.pytester.makepyfile("def test_it(kv_latency): pass")
    arguments = (
        "--kv-sample-duration",
        "500ms",
        "--kv-warmup",
        "0",
        "--kv-json=result.json",
        f"--junitxml={full}",
        *OTHERS[1:],
        "-n1",
    )
    result = checkup.pytester.runpytest_subprocess(f"--kv-kubeconfig={checkup.kubeconfig}", *BLUE, *arguments)
    said = f"cannot write the JUnit report to {full}: No space left on device"
    check(checkup, result, said)
    check_document(checkup, said)
    assert has_html(checkup)


def test_a_fault_in_one_report_costs_no_other(checkup: Checkup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise LookupError("no such colour")

    monkeypatch.setattr("pytest_kvlatency.report.page.render.render", fail)
    result = checkup.quick(*BLUE, "--kv-html=page.html", "--kv-prometheus=out.prom")
    said = "cannot make the report page.html (--kv-html): LookupError: no such colour"
    check(checkup, result, said)
    check_document(checkup, said)
    assert "kvlatency_up" in (checkup.pytester.path / "out.prom").read_text("utf-8")
