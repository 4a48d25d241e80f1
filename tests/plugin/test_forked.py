"""pytest-forked runs tests in child processes: refused for kvlatency tests, and for no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup, Maps

pytest.importorskip("pytest_forked")
pytestmark = pytest.mark.keeps("forked")

BLUE = ("--kv-nad", "default/blue-network")
REFUSED = (
    "--forked cannot be combined with kvlatency checks: it runs each test in its own process, and kvlatency shares "
    "its VMs among the tests of one process: leave --forked out, or distribute the tests with pytest-xdist (-n 2)"
)
MARKED = """
import pytest

@pytest.mark.kvlatency(nad="default/blue-network")
def test_net():
    pass
"""


@pytest.mark.edge_case(
    "E73",
    happens="`--forked` (pytest-forked) would run each check in a child process.",
    does="Ends the run with exit status 4 before a VMI is created:",
    says="--forked cannot be combined with kvlatency checks",
)
@pytest.mark.parametrize("arguments", [BLUE, ("test_it.py",)], ids=["own check", "marker"])
def test_E73_forked_is_refused_with_the_way_out(checkup: Checkup, arguments: tuple[str, ...]) -> None:
    if arguments != BLUE:
        checkup.pytester.makepyfile(test_it=MARKED)
    result = checkup.quick("--forked", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {REFUSED.replace('[', '[[]')}"])
    assert checkup.document["succeeded"] is False
    assert checkup.document["failureReason"].startswith(f"config: {REFUSED}")


def test_E73_forked_is_refused_before_a_vm_is_created_and_the_configmap_says_so(
    checkup: Checkup, maps: Maps
) -> None:
    parameters = {
        "spec.timeout": "5m",
        "spec.param.networkAttachmentDefinitionNamespace": "default",
        "spec.param.networkAttachmentDefinitionName": "blue-network",
    }
    maps.make("forked", parameters)
    result = checkup.run("--forked", "--kv-configmap", "default/forked")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert maps.data("forked")["status.succeeded"] == "false"
    assert maps.data("forked")["status.failureReason"] == f"config: {REFUSED}"


def test_E73_forked_is_refused_in_workers_too(checkup: Checkup) -> None:
    pytest.importorskip("xdist")
    result = checkup.pytester.runpytest_subprocess(
        f"--kv-kubeconfig={checkup.kubeconfig}", "-n", "1", "--forked", *BLUE
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {REFUSED}"])


def test_E73_the_marker_forked_on_a_kvlatency_test_is_refused(checkup: Checkup) -> None:
    marked = MARKED.replace("@pytest", "@pytest.mark.forked\n@pytest", 1)
    checkup.pytester.makepyfile(test_it=marked)
    result = checkup.quick()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: test_it.py::test_net*: a kvlatency test cannot be marked forked, *leave the marker out, or *"
        ]
    )


OTHER = "def test_other(): pass"


@pytest.mark.parametrize(
    ("tests", "arguments"),
    [
        (f"{MARKED}\n{OTHER}", ("--forked", "-k", "other")),
        (f"import pytest\n@pytest.mark.forked\n{OTHER}", ()),
    ],
    ids=["option", "marker"],
)
def test_what_runs_no_kvlatency_test_may_be_forked_as_without_the_plugin(
    pytester: pytest.Pytester, tests: str, arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(tests)
    without = pytester.runpytest_subprocess(*arguments, "-p", "no:kvlatency", "-W", "ignore")
    result = pytester.runpytest_subprocess(*arguments)
    assert result.parseoutcomes() == without.parseoutcomes()
    assert result.ret == without.ret
    assert "kvlatency:" not in result.stdout.str()


def test_forked_hinders_no_list_of_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MARKED)
    assert pytester.runpytest_inprocess("--forked", "--collect-only", "-q").ret == 0
