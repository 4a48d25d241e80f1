"""When a run succeeds: only if something was measured, all that was selected was, and nothing failed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup, Maps

REPORTS = ("--junitxml", "junit.xml", "--html", "page.html", "--self-contained-html")
PARAMETERS = {
    "spec.timeout": "5m",
    "spec.param.networkAttachmentDefinitionNamespace": "default",
    "spec.param.networkAttachmentDefinitionName": "blue-network",
}
#: Something that may end the run, and four checks behind it, which share a measurement.
SUITE = """
import pytest

def test_end(request):
    {end}

@pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
@pytest.mark.parametrize("number", range(4))
def test_behind(number):
    pass
"""
NO_LOOP = "def pytest_runtestloop(): return True"
RAISING = "def pytest_keyboard_interrupt(): raise RuntimeError('of another plugin')"
INTERNAL = """
def pytest_runtest_logfinish(nodeid):
    if "test_end" in nodeid:
        raise RuntimeError("in a hook")
"""
#: How a run ends early: its arguments, its conftest, what its first test does, its exit status and what is told.
EARLY: dict[str, tuple[tuple[str, ...], str, str, int, str]] = {
    "stepwise": (
        ("--stepwise",), "", "assert False", 2,
        "Test failed, continuing from this test next run.; run: 4 of 4 checks were not run",
    ),
    "exit-0": ((), "", "pytest.exit('enough', returncode=0)", 1, "4 of 4 checks were not run: enough"),
    "exit-7": ((), "", "pytest.exit('enough', returncode=7)", 7, "4 of 4 checks were not run: enough"),
    "exit": ((), "", "pytest.exit('enough')", 2, "enough; run: 4 of 4 checks were not run"),
    "shouldstop-true": (
        (), "", "request.session.shouldstop = True", 2,
        "the run was interrupted; run: 4 of 4 checks were not run",
    ),
    "no-loop": ((), NO_LOOP, "pass", 1, "4 of 4 checks were not run: pytest ended without running them"),
    "setup-only": (("--setup-only",), "", "pass", 1, "4 of 4 checks were not run: --setup-only runs no test"),
    "interrupt-hook": (
        (), RAISING, "pytest.exit('enough', returncode=0)", 3, "4 of 4 checks were not run: enough",
    ),
    "internal-error": (
        (), INTERNAL, "pass", 3,
        "pytest ended with an internal error: see the output of the run; run: 4 of 4 checks were not run",
    ),
}  # fmt: skip


def suite_properties(checkup: Checkup) -> dict[str, str]:
    tree = ET.parse(checkup.pytester.path / "junit.xml")
    return {one.get("name", ""): one.get("value", "") for one in tree.iterfind("*/properties/property")}


def judged(checkup: Checkup, maps: Maps, name: str, *arguments: str) -> tuple[pytest.RunResult, bool, str]:
    """Run with every report; all of them give one verdict, and the terminal says why there is no success."""
    maps.make(name, PARAMETERS)
    result = checkup.quick("--kv-configmap", f"default/{name}", *REPORTS, *arguments)
    document, data = checkup.document, maps.data(name)
    succeeded, reason = document["succeeded"], document["failureReason"] or ""
    assert data["status.succeeded"] == str(succeeded).lower()
    assert data["status.failureReason"] == reason
    junit = suite_properties(checkup)
    assert junit["succeeded"] == str(succeeded).lower()
    assert junit.get("failureReason", "") == reason
    if (checkup.pytester.path / "page.html").exists():
        page = (checkup.pytester.path / "page.html").read_text("utf-8")
        assert succeeded or reason in page
    return result, succeeded, reason


@pytest.mark.edge_case(
    "E73",
    happens="The run ends before every selected check was measured.",
    does="No report says that it succeeded:",
    says="4 of 4 checks were not run: --setup-only runs no test",
)
@pytest.mark.parametrize("how", EARLY)
def test_E73_a_run_that_ends_early_does_not_succeed(checkup: Checkup, maps: Maps, how: str) -> None:
    arguments, conftest, end, status, told = EARLY[how]
    checkup.pytester.makeconftest(conftest)
    checkup.pytester.makepyfile(SUITE.format(end=end))
    result, succeeded, reason = judged(checkup, maps, f"early-{how}", *arguments)
    assert not succeeded
    assert reason == f"run: {told}"
    assert result.ret == status
    if status in (1, 2):
        # With any other pytest prints no summary.
        assert {f"kvlatency: {one}" for one in reason.split("; ")} <= set(result.outlines)


def test_E73_an_unrelated_failure_before_the_first_check(checkup: Checkup, maps: Maps) -> None:
    checkup.pytester.makepyfile("def test_other(): assert False\ndef test_net(kv_latency): pass")
    result, succeeded, reason = judged(checkup, maps, "before-all", "-x")
    assert result.ret == 1
    assert (succeeded, reason) == (False, "run: 1 of 1 checks was not run: stopping after 1 failures")
    assert not [key for key in maps.data("before-all") if key.startswith("status.result.")]


def test_E73_a_check_that_was_measured_before_the_run_ended_is_not_missed(
    checkup: Checkup, maps: Maps
) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pair = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        @pair
        def test_measured(): pass

        def test_other(): assert False

        @pair
        @pytest.mark.parametrize("number", range(3))
        def test_behind(number): pass
        """
    )
    result, succeeded, reason = judged(checkup, maps, "between", "-x")
    assert result.ret == 1
    assert (succeeded, reason) == (False, "run: 3 of 4 checks were not run: stopping after 1 failures")


def test_E73_checks_that_were_all_measured_before_the_run_ended_succeed(checkup: Checkup, maps: Maps) -> None:
    checkup.pytester.makepyfile("def test_net(kv_latency): pass\ndef test_other(): assert False")
    result, succeeded, reason = judged(checkup, maps, "after-all", "-x")
    assert (result.ret, succeeded, reason) == (1, True, "")


MARKS = """
import pytest

blue = pytest.mark.kvlatency(nad="default/blue-network")
not_run = pytest.mark.xfail(run=False)

@blue
def test_measured(): pass

@pytest.mark.skip
@blue
def test_skipped(): pass

@not_run
@blue
def test_not_run(): pass

def test_other():
    {other}

@pytest.mark.skip
@blue
def test_skipped_behind(): pass

@not_run
@blue
def test_not_run_behind(): pass
"""


@pytest.mark.parametrize("other", ["pass", "assert False"])
def test_E73_what_marks_leave_out_is_not_missing_even_where_the_run_ends_before(
    checkup: Checkup, other: str
) -> None:
    checkup.pytester.makepyfile(MARKS.format(other=other))
    result = checkup.quick("-x")
    assert result.ret == (0 if other == "pass" else 1)
    assert (checkup.document["succeeded"], checkup.document["failureReason"]) == (True, None)
    left_out = [("skipped", None), ("xfailed", None)]
    assert checkup.outcomes == [("passed", None), *left_out, *left_out]


def test_E73_with_runxfail_the_mark_leaves_nothing_out(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(MARKS.format(other="assert False"))
    checkup.quick("-x", "--runxfail")
    assert checkup.document["failureReason"] == "run: 1 of 5 checks was not run: stopping after 1 failures"


NOTHING = {
    "skip": ("@pytest.mark.skip", "all 2 checks were skipped"),
    "xfail": ("@pytest.mark.xfail(run=False)", "all 2 checks were marked xfail"),
    "fixture": ("@pytest.mark.usefixtures('skipping')", "all 2 checks were skipped"),
    "no-network": ("", "all 2 checks were skipped: no network is named (--kv-nad)"),
}


@pytest.mark.edge_case(
    "E73",
    happens="Every selected check is skipped.",
    does="Fails if a document or a ConfigMap was asked for:",
    says="run: nothing was measured: … checks were skipped",
)
@pytest.mark.parametrize("how", NOTHING)
def test_E73_a_run_that_measured_nothing_does_not_succeed(checkup: Checkup, how: str) -> None:
    mark, told = NOTHING[how]
    nodes = "nodes=['worker1:worker2', 'worker1:worker3']"
    where = (
        "@pytest.mark.parametrize('n', [1, 2])" if how == "no-network" else f"@pytest.mark.kvlatency({nodes})"
    )
    nad = () if how == "no-network" else ("--kv-nad", "default/blue-network")
    source = f"""
import pytest

@pytest.fixture
def skipping():
    pytest.skip("not today")

{mark}
{where}
def test_net(kv_check{", n" if how == "no-network" else ""}):
    pass
"""
    checkup.pytester.makepyfile(source)
    assert checkup.run(*nad).ret == 0, "without a report pytest's own exit status stays"
    result = checkup.quick(*nad)
    assert result.ret == 1
    assert checkup.document["succeeded"] is False
    assert checkup.document["failureReason"] == f"run: nothing was measured: {told}"
    assert f"kvlatency: run: nothing was measured: {told}" in result.outlines


def test_E73_the_only_check_was_skipped(checkup: Checkup, maps: Maps) -> None:
    checkup.pytester.makepyfile(
        "import pytest\n@pytest.mark.skip\ndef test_net(kv_latency): pass\ndef test_other(): pass"
    )
    result, succeeded, reason = judged(checkup, maps, "only-one")
    assert result.ret == 1
    assert (succeeded, reason) == (False, "run: nothing was measured: the only check was skipped")


def test_E73_a_test_without_a_network_beside_one_that_measures(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_measured():
            pass

        def test_nowhere(kv_latency):
            pass
        """
    )
    assert checkup.run().ret == 0
    result = checkup.quick()
    assert result.ret == 1
    assert checkup.document["failureReason"] == (
        "run: 1 of 2 checks was not run: no network is named (--kv-nad)"
    )


def test_E73_a_skip_in_the_body_leaves_what_was_measured_and_an_expected_failure_is_none(
    checkup: Checkup,
) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", max_latency="10ms")
        def test_skipping(kv_latency):
            pytest.skip("seen enough")

        @pytest.mark.xfail
        @pytest.mark.kvlatency(nad="default/slow-network", max_latency="10ms")
        def test_slow():
            pass
        """
    )
    assert checkup.quick().ret == 0
    assert checkup.document["succeeded"] is True
    assert checkup.outcomes == [("skipped", None), ("xfailed", "latency")]


def test_E73_a_skip_in_the_body_hides_no_limit_that_was_exceeded(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/slow-network", max_latency="10ms")
        def test_net(kv_latency):
            pytest.skip("seen enough")
        """
    )
    assert checkup.quick().ret == 1
    assert checkup.document["succeeded"] is False
    assert checkup.document["failureReason"].startswith('run: actual max latency "')


def test_E73_a_body_that_swallows_why_nothing_was_measured(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def kv_latency(request):
            try:
                return request.getfixturevalue("kv_pair")
            except Exception as error:
                return error

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_good():
            pass

        @pytest.mark.kvlatency(nad="default/no-such-network")
        def test_swallowing(kv_latency):
            pass
        """
    )
    checkup.quick()
    assert checkup.document["succeeded"] is False


def test_E73_a_selection_without_checks_does_not_pass_where_a_report_is_wanted(checkup: Checkup) -> None:
    checkup.pytester.makepyfile("def test_other(): pass")
    assert checkup.run().ret == 0
    assert checkup.quick().ret == 1
    assert checkup.document["failureReason"] == "config: no check was selected"
