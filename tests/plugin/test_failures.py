"""How items end, and what a failure says: ERROR against FAILED, kinds and outcomes, causes, the way out, the rerun."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.checkup import own_run

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
QUICK = ("--kv-sample-duration", "500ms", "--kv-warmup", "0")


def rerun_command(result: pytest.RunResult) -> list[str]:
    line = next(one for one in result.outlines if "to run just this pair again: " in one)
    return shlex.split(line.partition("again: ")[2])


def test_the_limit_is_enforced_when_the_body_passes(checkup: Checkup) -> None:
    result = checkup.quick(*BLUE, "--kv-max-latency", "1us")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r'run: actual max latency "[\d.]+µs" is greater than desired "1µs"$',
            r"the end of the guest's console:",
            r"  \| 5 packets transmitted, 5 packets received, 0% packet loss",
            r"to run just this pair again: pytest ",
            r".*FAILED max [\d.]+µs > 1µs$",
            r"FAILED kvlatency::check\[default/blue-network-auto\] - LimitExceeded",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_kvlatency*.py*")


def test_an_exceeded_limit_is_added_to_the_report_of_a_body_that_ends_otherwise(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", max_latency="1us")

        def test_failing():
            raise ValueError("mine")

        def test_skipping():
            pytest.skip("mine")
        """
    )
    checkup.pytester.makeconftest(
        """
        def pytest_runtest_logreport(report):
            for title, text in report.sections:
                print("SECTION", report.when, report.outcome, title, text)
        """
    )
    result = checkup.quick("-s")
    for outcome in ("failed", "skipped"):
        result.stdout.fnmatch_lines([f"*SECTION call {outcome} *kvlatency* run: actual max latency*"])
    assert checkup.outcomes == [("failed", "latency"), ("skipped", "latency")]
    result.stdout.fnmatch_lines(["E*ValueError: mine"])
    assert "ValueError: mine" in checkup.document["measurements"][0]["failureReason"]


def test_without_any_reply_the_body_is_not_run(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/cut-network")
        def test_net(kv_latency):
            raise RuntimeError("the body must not run")
        """
    )
    result = checkup.quick()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "run: *failed due to connectivity issue: 5 packets transmitted, 0 packets received*",
            "FAILED *- ConnectivityError*",
        ]
    )
    assert checkup.outcomes == [("failed", "connectivity")]


def test_lost_packets_fail_by_their_own_limit(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/lossy-network", sample_duration="20s")

        def test_none(): ...

        @pytest.mark.kvlatency(max_loss=90)
        def test_most(): ...
        """
    )
    checkup.quick()
    assert checkup.outcomes == [("failed", "loss"), ("passed", None)]


def test_a_broken_set_up_is_an_error_with_the_way_out_and_no_traceback(checkup: Checkup) -> None:
    result = checkup.quick("--kv-nad", "default/no-such-network")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of kvlatency::check*",
            "config: NetworkAttachmentDefinition default/no-such-network does not exist",
            "Namespace default has: *blue-network*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_kvlatency*.py*")
    assert checkup.outcomes == [("error", "config")]


def test_a_failure_in_one_line_is_its_cause(checkup: Checkup) -> None:
    result = checkup.quick("--kv-nad", "default/blue-network", "--kv-max-latency", "1us", "--tb=line")
    result.stdout.fnmatch_lines(['LimitExceeded: run: actual max latency "*" is greater than desired "1µs"'])


def test_a_cluster_that_cannot_be_reached_is_an_error_without_a_traceback_also_without_any_check(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_versions(kv_cluster): pass")
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere/kubeconfig")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_versions*",
            "config: the kubeconfig '/nowhere/kubeconfig' (--kv-kubeconfig) does not exist",
            "Name an existing kubeconfig with --kv-kubeconfig.",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_kvlatency*.py*")


def test_the_bodys_own_failures_are_assertions_with_the_bodys_own_traceback(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        r"""
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        def test_assertion(kv_latency):
            assert kv_latency.received == 6

        def test_no_value(kv_latency):
            kv_latency.p99_ms

        def test_command(kv_pair):
            kv_pair.source.run("printf 'it \\033[31msaid\\001<b>\n'; exit 3", check=True)

        def test_fixture(no_such_fixture):
            pass
        """
    )
    result = checkup.quick()
    result.assert_outcomes(failed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            ">       kv_latency.p99_ms",
            "E*NoValue: p99 needs 100 samples, got 5: --kv-sample-duration 10s",
            ">       kv_pair.source.run(*",
            "E*CommandError: command * ended with exit status 3: it *said*<b>",
            "it *said*",
        ]
    )
    assert "\x1b[31m" not in result.stdout.str()
    result.stdout.no_fnmatch_line("*pytest_kvlatency/*.py:*")
    assert checkup.outcomes == [
        ("failed", "assertion"),
        ("failed", "assertion"),
        ("failed", "assertion"),
        ("error", "assertion"),
    ]


def test_a_users_fixture_that_fails_or_is_not_there_is_told_with_the_stage(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        @pytest.fixture
        def before():
            raise RuntimeError("no load")

        @pytest.fixture
        def after():
            yield
            raise RuntimeError("load stays")

        def test_before(before): ...

        def test_missing(kv_latency, missing): ...

        def test_after(after): ...
        """
    )
    checkup.quick().assert_outcomes(passed=1, errors=3)
    assert [one["failureReason"] for one in checkup.document["measurements"]] == [
        "setup: RuntimeError: no load",
        "setup: FixtureLookupError: fixture 'missing' not found",
        "teardown: RuntimeError: load stays",
    ]
    assert checkup.outcomes == [("error", "assertion")] * 3


def test_without_a_network_the_skip_names_the_test(checkup: Checkup) -> None:
    checkup.pytester.makepyfile("def test_net(kv_latency): pass")
    result = checkup.quick("-rs")
    result.stdout.fnmatch_lines(
        ["SKIPPED [[]1] test_without_a_network_the_skip_names_the_test.py:1: *--kv-nad*"]
    )


def test_the_rerun_command_can_be_pasted(checkup: Checkup) -> None:
    checkup.pytester.makeini("[pytest]\n")
    below = checkup.pytester.mkdir("below")
    (below / "test_it.py").write_text(
        "import pytest\n@pytest.mark.kvlatency(nad='default/no-such-network', nodes=['worker1:worker2', 'auto'])\n"
        "def test_it(): pass\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        program, *arguments = rerun_command(checkup.quick("-k", "worker1", "test_it.py"))
        assert program == "pytest"
        assert arguments[-1] == "test_it.py::test_it[default/no-such-network-worker1:worker2]"
        checkup.pytester.runpytest_inprocess(*arguments).assert_outcomes(errors=1)


def test_the_rerun_command_of_an_auto_pair_stands_over_the_ini_file(checkup: Checkup) -> None:
    checkup.pytester.makeini("[pytest]\nkv_nad = default/no-such-network\nkv_nodes = mesh\n")
    words = rerun_command(checkup.quick("kvlatency::check", "--kv-nodes=auto"))
    assert words[words.index("--kv-nodes") + 1] == "auto"


def test_the_rerun_command_of_the_module_names_the_module(checkup: Checkup) -> None:
    arguments = [f"--kv-kubeconfig={checkup.kubeconfig}", "--kv-nad", "default/no-such-network"]
    result = checkup.pytester.runpytest_inprocess(*own_run.isolated(arguments))
    assert rerun_command(result) == [
        *("python", "-m", "pytest_kvlatency", arguments[0]),
        "kvlatency::check[default/no-such-network-auto]",
    ]


def test_the_rerun_command_gives_no_option_the_id_for_its_value(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--kv-nad", "default/no-such-network", "--kv-lab")
    assert rerun_command(result)[1:] == ["--kv-lab=auto", "kvlatency::check[default/no-such-network-auto]"]


WRITING = ("--kv-json", "--kv-html", "--kv-prometheus", "--kv-artifacts", "--junitxml", "--html")


def files_of(directory: Path) -> dict[str, int]:
    found = (one for one in directory.rglob("*") if one.is_file() and "pycache" not in str(one))
    return {str(one.relative_to(directory)): one.stat().st_mtime_ns for one in found}


def test_the_rerun_command_overwrites_no_report_and_runs_one_pair(checkup: Checkup) -> None:
    nads = ("--kv-nad", "default/no-slow-network", "--kv-nad=blue-network")
    mesh = (
        "--kv-nodes",
        "mesh",
        "--kv-node-set=worker1,worker2,worker3",
        "--kv-max-latency",
        "1us",
        "-pno:cacheprovider",
    )
    reports = [word for flag in WRITING for word in (flag, f"a{flag.strip('-')}")]
    arguments = (
        *QUICK,
        *nads,
        *mesh,
        *reports,
        "--self-contained-html",
        "-p",
        "pytest_html",
        "-p",
        "pytest_metadata",
    )
    result = checkup.run(*arguments)
    result.assert_outcomes(errors=3, failed=3)
    before = files_of(checkup.pytester.path)
    assert all((checkup.pytester.path / f"a{flag.strip('-')}").exists() for flag in WRITING)
    program, *words = rerun_command(result)
    assert not any(
        one in word for word in words for one in (*WRITING, "--self-contained", "mesh", "node-set", "blue")
    )
    assert words[-1] == "kvlatency::check[default/no-slow-network-worker1:worker2]"
    # What the id says stands nowhere else.
    assert "slow" not in " ".join(words[:-1])
    assert "--kv-nodes" not in words
    assert program == "pytest"
    again = checkup.pytester.runpytest_inprocess(*words)
    again.assert_outcomes(errors=1)
    assert files_of(checkup.pytester.path) == before


def test_the_rerun_command_leaves_no_report_of_the_usual_options(
    checkup: Checkup, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkup.pytester.makeini("[pytest]\naddopts = --kv-json=usual.json --strict-markers\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--junitxml usual.xml --kv-max-latency=1us")
    result = checkup.run(*QUICK, "--kv-nad=no-such-network", "-pno:cacheprovider")
    before = files_of(checkup.pytester.path)
    assert {"usual.json", "usual.xml"} <= before.keys()
    environment, program, *words = rerun_command(result)
    assert (environment, program) == ("PYTEST_ADDOPTS=--kv-max-latency=1us", "pytest")
    monkeypatch.setenv(*environment.split("=", 1))
    again = checkup.pytester.runpytest_inprocess(*words)
    again.assert_outcomes(errors=1)
    assert files_of(checkup.pytester.path) == before


def test_the_rerun_command_of_a_test_keeps_the_node_set_of_its_own_mesh(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("again", [1, 2])
        @pytest.mark.kvlatency(nad="default/no-blue-network", nodes="mesh")
        def test_marked(again): ...

        @pytest.mark.kvlatency(max_latency="1us")
        def test_limited(): ...
        """
    )
    given = ("--kv-nad", "default/no-red-network", "--kv-nodes=ring", "--kv-node-set", "worker1,worker3")
    result = checkup.quick(*given, "--kv-max-latency", "1us")
    result.assert_outcomes(errors=3)
    lines = [one.partition("again: ")[2] for one in result.outlines if "to run just this pair again: " in one]
    marked, limited = shlex.split(lines[0]), shlex.split(lines[-1])
    assert marked[-5:-1] == ["--kv-node-set", "worker1,worker3", "--kv-max-latency", "1us"]
    assert "default/no-red-network" not in marked
    assert limited[-5:-1] == ["--kv-nad", "default/no-red-network", "--kv-nodes", "worker1:worker3"]
    assert "--kv-node-set" not in limited
    for words in (marked, limited):
        checkup.pytester.runpytest_inprocess(*words[1:]).assert_outcomes(errors=1)


def test_the_header_says_what_is_not_a_default_and_from_where(checkup: Checkup) -> None:
    checkup.pytester.makeini("[pytest]\nkv_max_latency = 10ms\n")
    result = checkup.quick(*BLUE, "--collect-only")
    result.stdout.fnmatch_lines(
        [
            "kvlatency: --kv-nad = default/blue-network (command line)",
            "kvlatency: kv_max_latency = 10ms (tox.ini)",
        ]
    )
    lines = [line for line in result.outlines if re.match(r"kvlatency: \S+ = ", line)]
    assert len(lines) == 6
