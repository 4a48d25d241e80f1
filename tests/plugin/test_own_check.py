"""The own check: when it is collected, and when it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAD = ("--kv-nad", "default/blue-network")
ITEM = "kvlatency::check[default/blue-network-auto]"
LINE = "kvlatency::check[[]default/blue-network-auto]"
COLLECT = ("--collect-only", "-q")


def test_a_bare_run_collects_it(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*NAD, *COLLECT)
    assert result.ret == 0
    result.stdout.fnmatch_lines([LINE, "*1 test collected*"])


def test_it_joins_tests_that_have_nothing_to_do_with_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    pytester.runpytest_inprocess(*NAD, *COLLECT).stdout.fnmatch_lines(["*::test_other", LINE])


def test_python_patterns_do_not_touch_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npython_files = nothing_*.py\npython_functions = nothing_*\n")
    pytester.runpytest_inprocess(*NAD, *COLLECT).stdout.fnmatch_lines([LINE])


@pytest.mark.parametrize(
    ("reason", "files", "arguments"),
    [
        ("a path was given", {"test_other": "def test_other(): pass"}, ("test_other.py",)),
        ("collection had an error", {"test_other": "import nothing_like_this"}, ()),
        (
            "the marker is in use",
            {"test_other": "import pytest\n@pytest.mark.kvlatency\ndef test_other(): pass"},
            (),
        ),
        ("a fixture is in use", {"test_other": "def test_other(kv_latency): pass"}, ()),
        ("a fixture of the run is in use", {"test_other": "def test_other(kv_cluster): pass"}, ()),
        ("the settings are in use", {"test_other": "def test_other(kv_settings): pass"}, ()),
        ("the marker is in use, deselected", {"test_other": "def test_other(kv_pair): pass"}, ("-k", "x")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_stays_away(
    pytester: pytest.Pytester, reason: str, files: dict[str, str], arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(**files)
    result = pytester.runpytest_inprocess(*NAD, *COLLECT, *arguments)
    result.stdout.no_fnmatch_line("kvlatency::check*")


def test_an_ini_value_alone_does_not_call_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_nad = default/blue-network\n")
    assert pytester.runpytest_inprocess(*COLLECT).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_its_id_can_be_given_as_an_argument(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    result = pytester.runpytest_inprocess(*NAD, "--kv-nad", "default/red-network", *COLLECT, ITEM)
    assert result.ret == 0
    result.stdout.fnmatch_lines([LINE, "*1 test collected*"])


def test_an_unknown_id_is_a_usage_error_that_lists_the_known(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*NAD, "kvlatency::check[default/green-network-auto]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*green-network*", f"*{LINE}"])


def test_k_and_deselect_choose_among_its_items(pytester: pytest.Pytester) -> None:
    nads = (*NAD, "--kv-nad", "default/red-network")
    result = pytester.runpytest_inprocess(*nads, *COLLECT, "-k", "blue-network")
    result.stdout.fnmatch_lines([LINE, "", "1/2 tests collected*"])
    result = pytester.runpytest_inprocess(*nads, *COLLECT, "--deselect", ITEM)
    result.stdout.fnmatch_lines(["kvlatency::check[[]default/red-network-auto]", "", "1/2 tests collected*"])


def test_the_module_runs_it_and_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --no-such-option\n")
    pytester.makeconftest("raise RuntimeError('not to be loaded')")
    pytester.makepyfile("raise RuntimeError('not to be collected')")
    result = pytester.run(sys.executable, "-m", "pytest_kvlatency", *NAD, *COLLECT)
    assert result.ret == 0
    result.stdout.fnmatch_lines([LINE, "*1 test collected*"])


def test_no_module_of_the_working_directory_stands_in_for_what_the_module_needs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "raise RuntimeError('not to be imported')"
    names = ["pytest", "pytest_html", "kubernetes", "pexpect", "websocket", "yaml"]
    pytester.makepyfile(**dict.fromkeys(names, text))
    # Not pytester's own way: that names the working directory in PYTHONPATH, where it is meant.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = [sys.executable, "-m", "pytest_kvlatency", "--kv-lab=sim", *NAD, "--kv-sample-duration=200ms"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_module_refuses_paths(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    result = pytester.run(sys.executable, "-m", "pytest_kvlatency", *NAD, "test_the_module_refuses_paths.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*runs its own check and nothing else*"])


def test_the_module_s_usage_says_what_was_typed(pytester: pytest.Pytester) -> None:
    result = pytester.run(sys.executable, "-m", "pytest_kvlatency", "--kv-nothing-like-this")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*python -m pytest_kvlatency: error: unrecognized arguments: --kv-nothing-like-this"]
    )
