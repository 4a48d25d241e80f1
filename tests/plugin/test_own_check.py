"""The own check: when it is collected, and when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from plain import plain

from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.checkup.own_check import named_by, says_all

if TYPE_CHECKING:
    from conftest import Checkup

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


HINT = "kvlatency: kv_nad is set in tox.ini, but no test uses it: run python -m pytest_kvlatency, or use --kv-nad"


def test_an_ini_value_alone_does_not_call_it_and_the_run_says_what_does(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_nad = default/blue-network\n")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert result.stdout.lines.count(HINT) == 1


def test_an_ini_value_for_a_configmap_says_what_calls_the_check(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_configmap = default/checkup\n")
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [
            "kvlatency: kv_configmap is set in tox.ini, but no test uses it: run python -m pytest_kvlatency, or use --kv-configmap"
        ]
    )


@pytest.mark.parametrize(
    ("test", "arguments", "is_said"),
    [
        ("def test_other(): pass", (), False),
        ("def test_other(): pass", ("-v",), True),
        ("def test_other(): pass", ("-v", "test_other.py"), False),
        ("", ("-q",), False),
        ("", ("test_other.py",), False),
        ("import nothing_like_this", ("-v",), False),
        ("def test_other(kv_settings, kv_check): pass", ("-v", "-k", "nothing"), False),
    ],
)
def test_ordinary_runs_hear_nothing_of_an_ini_value(
    pytester: pytest.Pytester, test: str, arguments: tuple[str, ...], is_said: bool
) -> None:
    pytester.makeini("[pytest]\nkv_nad = default/blue-network\n")
    pytester.makepyfile(test_other=test)
    assert (HINT in pytester.runpytest_inprocess(*arguments).stdout.lines) is is_said


def test_without_an_ini_value_nothing_is_said(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_max_latency = 10ms\n")
    pytester.runpytest_inprocess("-v").stdout.no_fnmatch_line("*kvlatency:*")


OTHERS = "addopts = --no-such-option\ntestpaths = nowhere\nmarkers = x\nrequired_plugins = pytest-none\nminversion = 99\n"
FILES = {
    "pytest.ini": f"[pytest]\nkv_nad =\n  default/red-network\n  default/blue-network\nkv_max_latency = 7ms\n{OTHERS}",
    "tox.ini": f"[pytest]\nkv_nad = default/red-network\n  default/blue-network\nkv_max_latency = 7ms\n{OTHERS}",
    "setup.cfg": f"[tool:pytest]\nkv_nad =\n  default/red-network\n  default/blue-network\nkv_max_latency=7ms\n{OTHERS}",
    "pyproject.toml": "[tool.pytest.ini_options]\nkv_nad = ['default/red-network', 'default/blue-network']\n"
    "kv_max_latency = '7ms'\naddopts = '--no-such-option'\nminversion = '99'\n",
}


def own_check(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Collect the own check as ``python -m pytest_kvlatency`` does, without a process of its own."""
    return pytester.runpytest_inprocess(*only.isolated(["--collect-only", *arguments]))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [".", ".."])
def test_the_module_takes_its_settings_of_the_ini_file_and_nothing_else(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    inner = pytester.mkdir("inner")
    (inner / where / name).write_text(FILES[name], encoding="utf-8")
    monkeypatch.chdir(inner)
    result = own_check(pytester)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "collected 2 items",
            f"kvlatency: kv_max_latency = 7ms ({name})",
            "*check[[]default/red-network-auto]*",
            "*check[[]default/blue-network-auto]*",
        ]
    )


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A run of the module, with a lab, among files that it has nothing to do with but for the ini file."""
    directory = tmp_path_factory.mktemp("module")
    ini = f"[pytest]\nkv_nad = default/blue-network\nkv_max_latency = 30s\n{OTHERS}"
    (directory / "pytest.ini").write_text(ini, encoding="utf-8")
    names = ["conftest", "test_it", "pytest", "pytest_html", "kubernetes", "pexpect", "websocket", "yaml"]
    for name in names:
        (directory / f"{name}.py").write_text("raise RuntimeError('not to be loaded')", encoding="utf-8")
    # Not pytester's own way: that names the working directory in PYTHONPATH, where it is meant.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | plain()
    command = [sys.executable, "-m", "pytest_kvlatency", "--kv-lab=sim", "--kv-sample-duration=200ms", "-v"]
    return subprocess.run(
        command, cwd=directory, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


def test_the_module_itself_reads_the_ini_file(module: subprocess.CompletedProcess[str]) -> None:
    assert "kvlatency: kv_max_latency = 30s (pytest.ini)\n" in module.stdout
    assert "kvlatency: kv_nad = default/blue-network (pytest.ini)\n" in module.stdout


def test_the_command_line_replaces_what_the_module_takes_of_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest=FILES["pytest.ini"])
    own_check(pytester, "-q", *NAD).stdout.fnmatch_lines([LINE, "", "1 test collected*"])
    result = own_check(pytester, "-o", "kv_max_latency=9ms")
    result.stdout.fnmatch_lines(["kvlatency: kv_max_latency = 9ms (-o on the command line)"])


def test_a_file_of_one_s_own_choice_takes_the_place_of_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest=FILES["pytest.ini"], other="[pytest]\nkv_nad = default/blue-network\n")
    own_check(pytester, "-q", "-c", "other.ini").stdout.fnmatch_lines([LINE, "", "1 test collected*"])
    result = own_check(pytester, "-c", "/dev/null")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*or kv_nad in the ini file*"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kv_nad = default/blue-network\n", "*cannot read the kv_[*] settings of *pytest.ini: *no section*"),
        ("[pytest]\nkv_max_latency = 10xs\n", "*10xs*kv_max_latency in pytest.ini*"),
    ],
)
def test_what_is_wrong_in_the_module_s_ini_file_names_that_file(
    pytester: pytest.Pytester, text: str, said: str
) -> None:
    pytester.makefile(".ini", pytest=text)
    result = own_check(pytester, *NAD)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stderr.str()
    result.stderr.fnmatch_lines([said])


@pytest.mark.parametrize("arguments", [(), ("-W", "error")])
def test_a_misspelt_setting_of_the_module_s_ini_file_is_warned_of(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makefile(".ini", pytest="[pytest]\nkv_nadd = default/blue-network\n")
    result = own_check(pytester, *NAD, *arguments)
    assert result.ret == 0
    if not arguments:
        result.stdout.fnmatch_lines(["*Unknown config option: kv_nadd (in pytest.ini)*"])


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


def test_the_module_runs_it_and_nothing_else(module: subprocess.CompletedProcess[str]) -> None:
    assert "collected 1 item\n" in module.stdout
    assert f"\n{ITEM} PASSED" in module.stdout


def test_no_module_of_the_working_directory_stands_in_for_what_the_module_needs(
    module: subprocess.CompletedProcess[str],
) -> None:
    assert module.returncode == 0, module.stdout + module.stderr
    assert "1 passed" in module.stdout


def test_the_module_refuses_paths(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    result = own_check(pytester, *NAD, "test_the_module_refuses_paths.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*python -m pytest_kvlatency runs only its own check. To run your own tests: pytest *"]
    )


def test_the_module_s_usage_says_what_was_typed(pytester: pytest.Pytester) -> None:
    result = own_check(pytester, "--kv-nothing-like-this")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*python -m pytest_kvlatency: error: unrecognized arguments: --kv-nothing-like-this"]
    )


@pytest.mark.parametrize(
    ("name", "nad", "nodes"),
    [
        ("default/blue-network-auto", "default/blue-network", "auto"),
        ("blue-worker1:worker2", "blue", "worker1:worker2"),
        ("ns/a-b-node-0.x:node-11.y", "ns/a-b", "node-0.x:node-11.y"),
        ("ns/a-b-mesh", "ns/a-b", "mesh"),
        ("ns/a-b-star:hub", "ns/a-b", "star:hub"),
        ("ns/a-b-star:hub-1", "ns/a-b", "star:hub-1"),
        ("ns/a-b-migrations", "ns/a-b", "migrations"),
        ("ns/a-b-drain:node-1", "ns/a-b", "drain:node-1"),
        ("ns/a-b-node-0:node-1>node-2", "ns/a-b", "node-0:node-1>node-2"),
        ("ns/a-b-node-0:node-1>?", "ns/a-b", "node-0:node-1>?"),
    ],
)
def test_an_id_says_its_network_and_its_nodes(name: str, nad: str, nodes: str) -> None:
    nodeid = f"kvlatency::check[{name}]"
    assert named_by([nodeid, nodeid]) == {"nad": [nad], "nodes": [nodes]}
    assert says_all(nodeid, nad=nad, nodes=nodes)


def test_ids_that_do_not_say_both_say_nothing() -> None:
    assert named_by(["kvlatency::check[x-auto]", "kvlatency::check"]) == {}
    assert named_by(["kvlatency::check[auto]", "kvlatency"]) == {}
    # Which of the dashes ends the network is a guess here, so the command of a rerun gives the options.
    assert not says_all("kvlatency::check[x/y-node-1:hub]", nad="x/y", nodes="node-1:hub")


def test_ids_alone_select_their_pairs(checkup: Checkup) -> None:
    ids = [f"kvlatency::check[default/{one}]" for one in ("blue-network-worker1:worker2", "red-network-auto")]
    assert checkup.quick(*ids).parseoutcomes() == {"passed": 2}
    assert [one["nodeid"] for one in checkup.document["measurements"]] == ids
    # Options, an ini file and a ConfigMap that name networks still say which there are.
    result = checkup.run(*ids, "--kv-nad", "default/blue-network")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *: no such check. The options select:"])
