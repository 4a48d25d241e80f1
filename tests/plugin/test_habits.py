"""What users of pytest are used to goes on working with kvlatency items."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
PAIRS = ("--kv-nodes", "worker1:worker2", "--kv-nodes", "worker1:worker3")
COLLECT = ("--collect-only", "-q")
CHECK = "kvlatency::check[default/blue-network-worker1:worker2]"
MARKED = """
    import pytest

    @pytest.mark.kvlatency(nad=["default/blue-network", "default/red-network"], nodes=["worker1:worker2", "worker1:worker3"])
    def test_net(kv_latency):
        assert kv_latency.received == 5
"""


def listed(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


@pytest.mark.parametrize("words", ["blue-network", "worker2", "blue-network and worker2"])
def test_k_chooses_by_the_words_of_the_ids(pytester: pytest.Pytester, words: str) -> None:
    pytester.makepyfile(MARKED)
    ids = listed(pytester.runpytest_inprocess(*COLLECT, "-k", words))
    assert ids
    assert all(word in one for one in ids for word in words.split(" and "))
    assert len(ids) == (1 if " and " in words else 2)


def test_a_quiet_list_holds_ids_and_nothing_of_the_plugin(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*BLUE, *PAIRS, *COLLECT)
    assert result.outlines[:2] == [CHECK, "kvlatency::check[default/blue-network-worker1:worker3]"]


def test_an_id_pasted_back_runs_just_that_item(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(MARKED)
    chosen = listed(checkup.run(*COLLECT))[2]
    result = checkup.quick(chosen)
    result.assert_outcomes(passed=1)
    assert [one["nodeid"] for one in checkup.document["measurements"]] == [chosen]


def test_an_id_of_the_own_check_pasted_back_from_a_summary_below_the_root(checkup: Checkup) -> None:
    checkup.pytester.makeini("[pytest]\n")
    below = checkup.pytester.mkdir("below")
    checkup.pytester.chdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        result = checkup.run(*BLUE, *PAIRS, *COLLECT, f"../{CHECK}")
    assert listed(result) == [CHECK]


def test_a_folder_named_like_the_own_check_is_a_folder(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("kvlatency")
    (folder / "test_inside.py").write_text("def test_inside(): pass\n", encoding="utf-8")
    result = pytester.runpytest_inprocess(*BLUE, *COLLECT, "kvlatency")
    assert listed(result) == ["kvlatency/test_inside.py::test_inside"]


def test_deselect_takes_items_of_test_functions_away(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MARKED)
    every = listed(pytester.runpytest_inprocess(*COLLECT))
    assert listed(pytester.runpytest_inprocess(*COLLECT, "--deselect", every[0])) == every[1:]


def test_lf_reruns_what_failed_also_of_the_own_check(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        test_good="def test_good(): pass", test_bad="def test_bad(): raise ValueError"
    )
    nads = ("--kv-nad", "default/no-such-network", *BLUE)
    checkup.quick(*nads).assert_outcomes(passed=2, failed=1, errors=1)
    again = checkup.run(*nads, "--lf", *COLLECT)
    assert listed(again) == ["test_bad.py::test_bad", "kvlatency::check[default/no-such-network-auto]"]


def test_lf_of_the_own_check_alone(checkup: Checkup) -> None:
    nad = ("--kv-nad", "default/no-such-network")
    checkup.run(*nad, *PAIRS, "-k", "worker2").assert_outcomes(errors=1, deselected=1)
    again = checkup.run(*nad, *PAIRS, "--lf", *COLLECT)
    assert listed(again) == ["kvlatency::check[default/no-such-network-worker1:worker2]"]


def test_usefixtures_parametrize_and_param_marks(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network")

        @pytest.mark.usefixtures("kv_latency")
        def test_used():
            pass

        @pytest.mark.parametrize("limit", [
            pytest.param(1, marks=pytest.mark.kvlatency(max_latency="1us")),
            pytest.param(2, marks=pytest.mark.skip),
            3,
        ])
        def test_each(limit, kv_check):
            assert kv_check.limits.max_latency_ns is None
        """
    )
    result = checkup.quick("-rs")
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    assert checkup.outcomes == [
        ("passed", None),
        ("failed", "latency"),
        ("skipped", None),
        ("passed", None),
    ]


def test_xfail_for_a_limit_hides_no_broken_set_up_and_a_strict_xpass_is_a_failure(
    checkup: Checkup,
) -> None:
    checkup.pytester.makeini("[pytest]\nxfail_strict = true\n")
    checkup.pytester.makepyfile(
        """
        import pytest
        from pytest_kvlatency.errors import LimitExceeded

        known = pytest.mark.xfail(raises=LimitExceeded, strict=False)

        @known
        @pytest.mark.kvlatency(nad="default/blue-network", max_latency="1us")
        def test_slow():
            pass

        @known
        @pytest.mark.kvlatency(nad="default/no-such-network")
        def test_broken():
            pass

        @known
        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_good():
            pass

        @pytest.mark.xfail
        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_strict():
            pass
        """
    )
    checkup.quick().assert_outcomes(xfailed=1, errors=1, xpassed=1, failed=1)
    assert checkup.outcomes == [
        ("xfailed", "latency"),
        ("error", "config"),
        ("xpassed", None),
        ("failed", "assertion"),
    ]
    assert "XPASS(strict)" in checkup.document["failureReason"]


#: Options that change what a run does with its reports and output, in as few runs as they can be given together.
TOGETHER = {
    "quiet": (
        *("-p", "no:html", "-p", "no:junitxml", "-p", "no:cacheprovider", "-p", "no:capture"),
        *("-q", "--strict-markers", "--strict-config", "--tb=native"),
    ),
    "loud": ("--capture=no", "-vv", "--setup-show", "-o", "strict=true"),
    "no:terminal": ("-p", "no:terminal"),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_E66_it_works_with(checkup: Checkup, name: str) -> None:
    result = checkup.quick(*BLUE, "--kv-max-latency", "1us", *TOGETHER[name])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checkup.outcomes == [("failed", "latency")]


def test_E66_no_warning_of_its_own_with_warnings_as_errors(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(MARKED)
    result = checkup.pytester.run(
        *(sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "-k", "worker2 and blue"),
        *(f"--kv-kubeconfig={checkup.kubeconfig}", "--kv-sample-duration", "500ms"),
        *("--html", "out.html", "--junitxml", "out.xml", "--kv-json", "out.json"),
    )
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*1 passed*"])
    result.stdout.no_fnmatch_line("*warnings summary*")


def test_setup_plan_contacts_nobody_and_shows_readable_parameters(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MARKED)
    result = pytester.runpytest_inprocess(
        "--setup-plan", "--kv-kubeconfig", "/nowhere", "-k", "red and worker2"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*SETUP    F kv_check[[]default/red-network-worker1:worker2]*"])


def test_setup_only_sets_fixtures_up_and_runs_no_body(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_fixture(kv_latency):
            raise AssertionError("not to be run")

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_marker():
            raise AssertionError("not to be run")
        """
    )
    assert checkup.run("--setup-only").ret == 0
    assert checkup.quick("--setup-only").ret == 1, "its document says that no check was run"
    document = checkup.document
    assert [one["transmitted"] for one in document["measurements"]] == [5, None]
    assert checkup.outcomes == [("notrun", None), ("notrun", None)]


@pytest.mark.edge_case(
    "E66",
    happens="`-x` or `--maxfail` ends the run after a failure.",
    does="Reports the checks that were not run as `notrun`.",
)
def test_E66_what_was_not_run_is_reported_as_such(checkup: Checkup) -> None:
    result = checkup.quick(*BLUE, *PAIRS, "--kv-max-latency", "1us", "--maxfail", "1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checkup.outcomes == [("failed", "latency"), ("notrun", None)]


@pytest.mark.smoke
@pytest.mark.keeps("rerunfailures")
def test_E66_a_rerun_measures_anew(checkup: Checkup) -> None:
    pytest.importorskip("pytest_rerunfailures")
    checkup.pytester.makepyfile(
        """
        import pytest

        tries = []

        @pytest.mark.flaky(reruns=1)
        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_flaky(kv_pair, kv_latency):
            tries.append(kv_pair.source.vmi_name)
            assert len(tries) == 2

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_other(kv_pair):
            assert kv_pair.source.vmi_name == tries[-1]
        """
    )
    result = checkup.quick("--junitxml", "out.xml")
    assert result.ret == 0
    document = checkup.document
    assert document["succeeded"] is True
    assert [(one["attempt"], one["outcome"]) for one in document["measurements"]] == [
        (1, "failed"),
        (2, "passed"),
        (1, "passed"),
    ]
    first, second, _ = document["measurements"]
    assert len(first["samplesNanoSec"]) == len(second["samplesNanoSec"]) == 5
    # The lab draws each round-trip time: no two samples are alike, though single times may be.
    assert first["samplesNanoSec"] != second["samplesNanoSec"]


@pytest.mark.edge_case(
    "E66", happens="A plugin runs a failed check again.", does="Measures anew, and reports each attempt."
)
def test_E66_the_own_check_can_be_rerun(checkup: Checkup) -> None:
    pytest.importorskip("pytest_rerunfailures")
    result = checkup.quick(*BLUE, "--kv-max-latency", "1us", "--reruns", "1", "--junitxml", "out.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [(one["attempt"], one["outcome"]) for one in checkup.document["measurements"]] == [
        (1, "failed"),
        (2, "failed"),
    ]
    cases = [*ET.parse(checkup.pytester.path / "out.xml").iter("testcase")]
    assert cases
    for case in cases:
        names = [one.get("name") for one in case.iter("property")]
        assert "transmitted" in names
        assert len(names) == len(set(names))


def test_runs_without_kvlatency_items_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        '''
        """
        >>> 1 + 1
        2
        """
        import unittest

        def test_plain(): pass

        class TestCase(unittest.TestCase):
            def test_method(self): pass
        '''
    )
    result = pytester.runpytest_inprocess("--doctest-modules", "--kv-kubeconfig", "/nowhere")
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*kvlatency:*")


def test_hooks_are_called_for_each_item_once_one_has_to_do_with_kvlatency(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def is_awake(config):
            return config.pluginmanager.has_plugin("kvlatency-items")

        def test_asleep(pytestconfig):
            assert not is_awake(pytestconfig)

        def test_waking(request):
            request.getfixturevalue("kv_settings")
            assert is_awake(request.config)

        def test_awake(pytestconfig):
            assert is_awake(pytestconfig)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=3)
