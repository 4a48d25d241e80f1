"""What an ordinary pytest run pays for the plugin: next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from plain import plain

HEAVY = {"kubernetes", "pexpect", "websocket", "urllib3", "yaml", "aiohttp", "pytest_kvlatency.lab"}
LIGHT = [
    "pytest_kvlatency",
    "pytest_kvlatency.config",
    "pytest_kvlatency.config.options",
    "pytest_kvlatency.fixtures",
    "pytest_kvlatency.hookspecs",
    "pytest_kvlatency.plugin",
]
TESTS = "import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_plain(x, tmp_path): pass"
NAD = ("--kv-nad", "default/blue-network")
#: Arguments of runs that have nothing to do with checks; and of those that have, but do not run them.
OF_OTHERS = (
    (), ("-q", "test_plain.py::test_plain"), ("--junitxml", "out.xml"), ("-p", "no:terminal"), ("--collect-only",),
    ("--setup-plan",), ("--markers",), ("--help",), ("-VV",),
)  # fmt: skip
OF_OURS = (
    ("--fixtures",), ("--collect-only", *NAD), ("--setup-plan", *NAD), ("--collect-only", "--kv-configmap", "default/config"),
)  # fmt: skip
SMOKE = ((), ("--setup-plan", *NAD))
#: Each run is a process that has loaded pytest and other plugins, and nothing of this one.
RUNS = """
import gc
import json
import os
import sys

import pytest

pytest.main(["--version", "-p", "no:kvlatency"])
assert "pytest_kvlatency" not in sys.modules
gc.freeze()
for number, arguments in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if not child:
        status = pytest.main(arguments)
        with open(f"{number}.json", "w") as stream:
            json.dump([int(status), sorted(sys.modules)], stream)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], set[str]]:
    """By the arguments of a run that a test looks at: the modules that are loaded at its end."""
    directory = tmp_path_factory.mktemp("runs")
    (directory / "test_plain.py").write_text(TESTS, encoding="utf-8")
    looking = [one for one in request.session.items if "loaded" in getattr(one, "fixturenames", ())]
    every = sorted({one.callspec.params["arguments"] for one in looking})
    command = [sys.executable, "-c", RUNS, json.dumps(every)]
    done = subprocess.run(
        command, cwd=directory, env=os.environ | plain(), capture_output=True, text=True, check=False
    )
    found = {}
    for number, arguments in enumerate(every):
        status, modules = json.loads((directory / f"{number}.json").read_text("utf-8"))
        assert status == 0, done.stdout + done.stderr
        found[arguments] = set(modules)
    return found


def ours(modules: set[str]) -> list[str]:
    return sorted(one for one in modules if one.partition(".")[0] == "pytest_kvlatency")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(one, marks=[pytest.mark.smoke] if one in SMOKE else [], id=" ".join(one))
        for one in (*OF_OTHERS, *OF_OURS)
    ],
)
def test_nothing_heavy_is_imported(
    loaded: dict[tuple[str, ...], set[str]], arguments: tuple[str, ...]
) -> None:
    assert not loaded[arguments] & HEAVY


@pytest.mark.parametrize("arguments", OF_OTHERS, ids=" ".join)
def test_a_run_of_other_tests_loads_hooks_and_the_table_of_options(
    loaded: dict[tuple[str, ...], set[str]], arguments: tuple[str, ...]
) -> None:
    assert ours(loaded[arguments]) == LIGHT


@pytest.mark.parametrize("arguments", [("--html", "out.html")], ids=" ".join)
def test_with_pytest_html_such_a_run_loads_its_empty_columns_too(
    loaded: dict[tuple[str, ...], set[str]], arguments: tuple[str, ...]
) -> None:
    columns = ["pytest_kvlatency.report", "pytest_kvlatency.report.htmlcolumns"]
    assert ours(loaded[arguments]) == [*LIGHT, *columns]


NOTING = """
    import sys

    def note(config, who):
        loaded = sorted(one for one in sys.modules if one.split(".")[0] == "pytest_kvlatency")
        (config.rootpath / f"{who}.loaded").write_text(" ".join(loaded))

    def pytest_sessionfinish(session):
        # Before the controller knows that this worker is about to end.
        if hasattr(session.config, "workerinput"):
            note(session.config, session.config.workerinput["workerid"])

    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            note(config, "controller")
"""


def test_neither_xdists_controller_nor_its_workers_load_more_for_other_tests(
    pytester: pytest.Pytester,
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(TESTS)
    pytester.makeconftest(NOTING)
    pytester.runpytest_subprocess("-n", "1").assert_outcomes(passed=2)
    assert {one.stem: one.read_text() for one in pytester.path.glob("*.loaded")} == dict.fromkeys(
        ("controller", "gw0"), " ".join(LIGHT)
    )


def test_xdists_controller_loads_no_more_for_checks_that_no_worker_runs(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        def test_pair(kv_latency): pass

        def test_plain(): pass
        """
    )
    pytester.makeconftest(NOTING)
    pytester.runpytest_subprocess("-n", "1", "-k", "plain").assert_outcomes(passed=1)
    assert (pytester.path / "controller.loaded").read_text() == " ".join(LIGHT)


def test_what_a_console_takes_is_not_loaded_before_the_first_guest_boots(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        run="""
        import sys
        import pytest_kvlatency.checkup.checkup
        import pytest_kvlatency.engine.assembly
        import pytest_kvlatency.kube.client

        print("LOADED", [one for one in ("urllib3", "pexpect", "websocket") if one in sys.modules])
        """
    )
    pytester.runpython("run.py").stdout.fnmatch_lines(["LOADED [[]'urllib3'[]]"])


@pytest.mark.parametrize("listing", ["--fixtures", "--fixtures-per-test", "--collect-only", "--setup-plan"])
def test_to_list_the_tests_of_a_mesh_contacts_nobody(pytester: pytest.Pytester, listing: str) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="mesh")
        def test_mesh(kv_latency): pass
        """
    )
    for more in ((), ("--kv-configmap", "default/config")):
        result = pytester.runpytest_inprocess(listing, "--kv-kubeconfig", "/nowhere/kubeconfig", *more)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*kv_latency*" if "fixtures" in listing else "*test_mesh*"])


def test_no_cluster_is_contacted_without_kvlatency_items(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere/kubeconfig")
    result.assert_outcomes(passed=1)
