"""The JUnit file as pytest writes it: a case for each test, with all that the document has of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from junitschema import violations

from pytest_kvlatency.report.junit.suite import render

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
SUITE = """
    import pytest

    @pytest.fixture
    def failing_teardown():
        yield
        raise ValueError("oops")

    @pytest.mark.kvlatency(nad="default/blue-network")
    def test_body(kv_latency, request):
        request.node.user_properties.append(("mine", 1))
        assert kv_latency.avg_ms < 0

    @pytest.mark.kvlatency(nad="default/slow-network", max_latency="10ms")
    def test_slow(kv_latency, failing_teardown):
        print("said by the test")

    @pytest.mark.kvlatency(nad="default/no-such-network")
    def test_no_network(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/blue-network")
    @pytest.mark.skip(reason="not today")
    def test_skipped(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/cut-network")
    @pytest.mark.xfail(reason="known")
    def test_expected(kv_latency):
        pass

    def test_of_others():
        pass
"""
FLAKY = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
    def test_flaky(kv_latency, tmp_path_factory):
        mark = tmp_path_factory.getbasetemp() / "tried"
        if not mark.exists():
            mark.touch()
            assert kv_latency.avg_ms < 0

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2", max_latency="1us")
    def test_slow(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/no-such-network")
    def test_no_network(kv_latency):
        pass
"""


@pytest.fixture(scope="module")
def runs() -> dict[str, Checkup]:
    """The runs that several tests look at, by what is special about them."""
    return {}


@pytest.fixture
def suite(runs: dict[str, Checkup], request: pytest.FixtureRequest) -> Checkup:
    """A run of a test of each kind, with what they print."""
    if "suite" not in runs:
        checkup = runs["suite"] = request.getfixturevalue("checkup")
        checkup.pytester.makepyfile(SUITE)
        checkup.quick("--junitxml", "out.xml", "-o", "junit_logging=all")
    return runs["suite"]


@pytest.fixture(params=["xunit1", "xunit2"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rerun(runs: dict[str, Checkup], family: str, request: pytest.FixtureRequest) -> Checkup:
    """A run of a test that passes when it runs again, and of two that fail again."""
    pytest.importorskip("pytest_rerunfailures")
    if family not in runs:
        checkup = runs[family] = request.getfixturevalue("checkup")
        checkup.pytester.makepyfile(FLAKY)
        checkup.quick("--reruns", "1", "--junitxml", "out.xml", "-o", f"junit_family={family}")
    return runs[family]


def junit(checkup: Checkup) -> ET.Element:
    return ET.fromstring((checkup.pytester.path / "out.xml").read_text("utf-8"))


def cases(root: ET.Element) -> dict[str, ET.Element]:
    """The cases by the names of their tests; each test has one."""
    found = [(case.get("name", "").partition("[")[0], case) for case in root.iter("testcase")]
    assert len(found) == len(dict(found))
    return dict(found)


def properties(case: ET.Element) -> dict[str, str]:
    found = [(one.get("name", ""), one.get("value", "")) for one in case.iterfind("properties/property")]
    assert len(found) == len(dict(found))
    return dict(found)


def told(case: ET.Element) -> list[tuple[str, str | None]]:
    """How a case ended: the elements that say it, with their kinds."""
    return [(one.tag, one.get("type")) for one in case if one.tag in ("failure", "error", "skipped")]


def messages(case: ET.Element) -> list[tuple[str, str | None]]:
    """What a case that failed says, by the elements; what a skipped one does is its test's."""
    return [
        (one.tag, None if one.tag == "skipped" else one.get("message"))
        for one in case
        if one.tag in ("failure", "error", "skipped")
    ]


def test_a_case_says_where_it_was_measured_under_which_limits_and_how_it_failed(suite: Checkup) -> None:
    root = junit(suite)
    found = cases(root)
    entries = {
        one["nodeid"].partition("::")[2].partition("[")[0]: one for one in suite.document["measurements"]
    }
    slow, entry = properties(found["test_slow"]), entries["test_slow"]
    assert slow["nad"] == "default/slow-network"
    assert (slow["sourceNode"], slow["targetNode"]) == (entry["sourceNode"], entry["targetNode"])
    assert slow["sourceNode"].startswith("worker"), "the nodes of auto are those where the guests ran"
    assert (slow["attempt"], slow["failureKind"]) == ("1", "latency")
    assert (slow["limits.maxLatencyNanoSec"], slow["limits.maxLossPercent"]) == ("10000000", "0")
    assert "limits.maxP99LatencyNanoSec" not in slow
    assert properties(found["test_body"])["mine"] == "1"
    assert not properties(found["test_of_others"])
    for name, one in entries.items():
        assert float(found[name].get("time", "")) == pytest.approx(
            (one["timings"] or {}).get("measure") or 0, abs=0.001
        )
    suite = root.find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "2", "errors": "2", "skipped": "2"}


def test_the_first_line_of_a_message_is_why_it_failed(suite: Checkup) -> None:
    found = cases(junit(suite))
    assert told(found["test_slow"]) == [("failure", "latency"), ("error", None)]
    failure, error = (found["test_slow"].find(tag) for tag in ("failure", "error"))
    assert failure is not None
    assert error is not None
    assert failure.get("message", "").startswith('actual max latency "')
    assert "to run just this pair again" in (failure.text or "")
    assert error.get("message") == "ValueError: oops"
    assert "said by the test" in str(found["test_slow"].findtext("system-out"))
    (missing,) = found["test_no_network"].findall("error")
    first, *_ = missing.get("message", "").splitlines()
    assert first.startswith("NetworkAttachmentDefinition default/no-such-network does not exist")
    (body,) = found["test_body"].findall("failure")
    assert body.get("message", "").startswith("AssertionError: assert ")
    assert "assert kv_latency.avg_ms < 0" in (body.text or "")
    (skipped,) = found["test_skipped"].findall("skipped")
    assert skipped.get("message") == "not today"


def test_the_document_alone_gives_the_same_cases_properties_and_times(suite: Checkup) -> None:
    written, made = cases(junit(suite)), cases(ET.fromstring(render(suite.document)))
    del written["test_of_others"]
    assert list(made) == list(written)
    for name, case in written.items():
        assert case.attrib == made[name].attrib
        found = properties(case)
        found.pop("mine", None)
        assert found == properties(made[name])
        # What failed in two phases is one failure in the document, with both reasons.
        (mine,), (its, *_) = messages(made[name]), messages(case)
        assert its == mine


def test_a_rerun_test_is_one_case_with_its_earlier_attempts(rerun: Checkup) -> None:
    found = cases(junit(rerun))
    passed, failed = found["test_flaky"], found["test_slow"]
    assert told(passed) == []
    assert properties(passed)["attempt"] == "2"
    (earlier,) = passed.findall("flakyFailure")
    assert str(earlier.get("message")).startswith("AssertionError")
    assert (earlier.get("type"), "PING" in str(earlier.findtext("stackTrace"))) == ("assertion", True)
    assert [one.tag for one in failed if one.tag != "properties"] == ["failure", "rerunFailure"]
    without = found["test_no_network"]
    assert [one.tag for one in without if one.tag != "properties"] == ["error", "rerunError"]
    suite = junit(rerun).find("testsuite")
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["3", "1", "1"]


def test_checks_that_were_not_run_are_cases_too(checkup: Checkup) -> None:
    mesh = ("--kv-nad", "default/slow-network", "--kv-nodes", "mesh", "--kv-max-latency", "1ms")
    checkup.quick(*mesh, "-x", "--junitxml", "out.xml", "--junit-prefix", "stage")
    found = list(junit(checkup).iter("testcase"))
    assert [told(case) for case in found] == [[("failure", "latency")], *[[("skipped", "pytest.skip")]] * 2]
    assert {case.get("classname") for case in found} == {"stage.kvlatency"}
    assert found[1].find("skipped").get("message") == "not run"  # type: ignore[union-attr]


def test_only_properties_of_cases_keep_a_file_from_the_schema_of_jenkins_xunit_plugin(
    suite: Checkup, rerun: Checkup, family: str
) -> None:
    for run in (suite, rerun):
        assert set(violations(ET.fromstring(render(run.document)))) == {"properties in testcase"}
        assert set(violations(ET.fromstring(render(run.document, has_case_properties=False)))) == set()
    assert set(violations(junit(suite))) == {"properties in testcase"}
    of_family = {"testcase with file", "testcase with line"} if family == "xunit1" else set()
    assert set(violations(junit(rerun))) == {"properties in testcase"} | of_family
