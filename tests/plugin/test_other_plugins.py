"""Plugins that expect functions, that look at the items first, or that replace the terminal's reporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")
CHECK = "kvlatency::check[default/blue-network-worker1:worker2]"
#: Reads what reporters of scenarios, of test management systems and of steps read of each item.
READER = """
    import types

    import pytest

    def read(item):
        assert isinstance(item.funcargs, dict)
        assert item.originalname == item.name.partition("[")[0]
        assert item.cls is None and item.instance is None
        assert isinstance(item.module, types.ModuleType) and item.module.__name__
        assert item.obj is item.function and item.function.__doc__ and item.function.__module__
        assert isinstance(item.fixturenames, list) and "request" not in item.fixturenames
        assert f"{item.originalname}[{item.callspec.id}]" == item.name
        assert str(item.callspec.params["kv_check"].id) == item.callspec.id
        assert item.callspec.getparam("kv_check") is item.callspec.params["kv_check"]
        path, line, name = item.location
        print(f"read {item.name} {line + 1}")

    def pytest_itemcollected(item):
        read(item)

    def pytest_runtest_setup(item):
        read(item)

    def pytest_runtest_teardown(item):
        read(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(item):
        report = yield
        read(item)
        return report
"""
MARKED = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
    def test_net():
        "What a reporter shows."
"""


@pytest.mark.edge_case(
    "E88",
    happens="Another plugin reads of each item what a test function has: `funcargs`, `originalname`, `cls`, `callspec`.",
    does="The own check has it all, as a marked test has.",
)
@pytest.mark.parametrize("kind", ["own check", "marked test"])
def test_E88_a_check_has_what_reporters_read_of_a_test_function(checkup: Checkup, kind: str) -> None:
    checkup.pytester.makeconftest(READER)
    if kind == "marked test":
        checkup.pytester.makepyfile(MARKED)
    asked = BLUE if kind == "own check" else ()
    result = checkup.quick(*asked, "--kv-max-latency", "1us", "-s")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    name = "check" if kind == "own check" else "test_net"
    result.stdout.fnmatch_lines([f"*read {name}[[]default/blue-network-worker1:worker2] *"] * 6)
    assert checkup.outcomes == [("failed", "latency")]


FIRST = """
    import pytest

    @pytest.hookimpl({arguments})
    def pytest_collection_modifyitems(items):
        print("first seen:", *(one.nodeid for one in items))
        {rest}
"""


@pytest.mark.edge_case(
    "E88",
    happens="Another plugin looks at the collected items before all others.",
    does="The own check is among them.",
)
@pytest.mark.parametrize("folder", [".", "below"])
@pytest.mark.parametrize(
    ("arguments", "rest"),
    [("tryfirst=True", ""), ("wrapper=True, tryfirst=True", "return (yield)")],
    ids=["tryfirst", "wrapper"],
)
def test_E88_the_own_check_is_there_before_any_other_plugin_looks(
    pytester: pytest.Pytester, folder: str, arguments: str, rest: str
) -> None:
    place = pytester.path / folder
    place.mkdir(exist_ok=True)
    pytester.makeconftest(FIRST.format(arguments=arguments, rest=rest)).rename(place / "conftest.py")
    pytester.makepyfile("def test_plain(): pass").rename(place / "test_plain.py")
    result = pytester.runpytest_inprocess(*BLUE, "--collect-only", "-q", "-s")
    (seen,) = (line for line in result.outlines if line.startswith("first seen:"))
    assert seen.endswith(f"test_plain.py::test_plain {CHECK}")


REPORTER = """
    import pytest

    class Reporter:
        {members}

        def __init__(self, config):
            self.config = config
            # What hypothesis and pytest-rerunfailures read.
            self.stats, self.reportchars = {{}}, ""
            {setup}

        def pytest_sessionfinish(self, session, exitstatus):
            print("the reporter's own end")
            self.config.hook.pytest_terminal_summary(
                config=self.config, terminalreporter=self, exitstatus=exitstatus
            )

    @pytest.hookimpl(trylast=True)
    def pytest_configure(config):
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(Reporter(config), "terminalreporter")
"""
WRITES = "def write_line(self, line, **markup): self._tw.line(line, **markup)"
WRITER = "import sys; from _pytest.config import create_terminal_writer; self._tw = create_terminal_writer(config, sys.stdout)"


@pytest.mark.edge_case(
    "E88",
    happens="Another plugin replaces the terminal's reporter by one that has little of it.",
    does="Every check runs, and its table is written.",
)
@pytest.mark.parametrize(
    ("members", "setup"),
    [("", ""), (WRITES, WRITER), ("isatty = True", WRITER)],
    ids=["nothing", "only lines", "only a terminal"],
)
def test_E88_a_check_runs_under_a_reporter_that_has(
    checkup: Checkup, members: str, setup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    checkup.pytester.makeconftest(REPORTER.format(members=members, setup=setup))
    result = checkup.quick(*BLUE, "--kv-max-latency", "1us")
    assert checkup.outcomes == [("failed", "latency")]
    result.stdout.fnmatch_lines(
        ["*the reporter's own end", "*= kvlatency =*", "*blue-network*worker1*worker2*"]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
