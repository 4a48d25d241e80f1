"""How far a run is, while pytest writes too: on a terminal, in a log, with -q and -s; and the words of -v."""

from __future__ import annotations

import io
import itertools
import re
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pyte
import pytest
from _pytest.terminal import TerminalReporter
from plain import plain
from terminal import Terminal

from pytest_kvlatency.checkup import progress
from pytest_kvlatency.checkup.progress import ProgressLine
from pytest_kvlatency.engine.steps import Wait
from pytest_kvlatency.report.progressline import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from conftest import Checkup

HALF = Progress(measured=3, total=6, failed=1, waiting=(Wait(who="worker6", phase="Scheduling", seconds=8),))


class Reporter:
    """A terminal reporter that writes to no terminal."""

    isatty = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ensure_newline(self) -> None:
        pass

    def write_line(self, line: str) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        pass


class Log:
    """A progress line in a log, whose time the test tells."""

    def __init__(self, pytester: pytest.Pytester, *arguments: str) -> None:
        reporter = Reporter()
        config = pytester.parseconfig(*arguments)
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(reporter, "terminalreporter")
        self.lines = reporter.lines
        self.now = 0.0
        self.progress = ProgressLine(config, clock=lambda: self.now)

    def show(self, until: float, line: Callable[[float], str | Progress]) -> list[float]:
        """Show a line ten times a second; the seconds at which one was written."""
        seconds = []
        while self.now < until:
            before = len(self.lines)
            self.progress.show(line(self.now))
            if len(self.lines) > before:
                seconds.append(round(self.now, 1))
            self.now += 0.1
        return seconds


def test_a_log_has_a_line_after_five_seconds_and_fewer_as_the_run_goes_on(pytester: pytest.Pytester) -> None:
    log = Log(pytester)
    seconds = log.show(600, lambda now: f"step {now:.0f}")
    assert seconds[:4] == pytest.approx([5, 10, 15, 20], abs=0.5)
    assert len(seconds) < 25
    assert max(after - before for before, after in itertools.pairwise(seconds)) < 62
    assert log.lines[0] == "kvlatency: step 5"


def test_with_q_a_log_has_a_line_a_minute_and_with_qq_none(pytester: pytest.Pytester) -> None:
    quiet = Log(pytester, "-q")
    assert quiet.show(190, lambda _: HALF) == pytest.approx([60, 120, 180], abs=1)
    assert quiet.lines[0] == "kvlatency: 3/6  1 failed  waiting: worker6 Scheduling 8 s"
    assert Log(pytester, "-qq").show(190, lambda _: HALF) == []


def test_a_log_is_told_again_what_a_long_wait_is_for(pytester: pytest.Pytester) -> None:
    log = Log(pytester)
    log.show(190, lambda _: "booting")
    log.show(195, lambda _: "pinging")
    log.show(245, lambda _: "pinging")
    assert log.lines[:3] == [
        "kvlatency: booting",
        "kvlatency: booting (still, after 1m0s)",
        "kvlatency: booting (still, after 2m0s)",
    ]
    # A wait that has just begun is no old one, though it reads the same.
    log.progress.clear()
    log.now += 60
    log.show(log.now + 1, lambda _: "pinging")
    assert log.lines[-1] == "kvlatency: pinging"


def test_without_the_plugins_of_pytest_that_write_nothing_is_shown_and_nothing_breaks(
    pytester: pytest.Pytester,
) -> None:
    config = pytester.parseconfig("-p", "no:logging", "-p", "no:terminal")
    progress = ProgressLine(config)
    progress.show(HALF)
    progress.clear()


@pytest.fixture
def mesh(checkup: Checkup) -> Checkup:
    """Runs of two pairs in one round."""
    checkup.pytester.makepyfile(
        test_mesh="""
            import pytest

            @pytest.mark.kvlatency(nad="default/blue-network", nodes=["worker1:worker2", "worker2:worker3"])
            def test_a(kv_latency):
                print("said by the test", end="")

            def test_b(): pass
        """,
    )
    return checkup


def in_a_log(mesh: Checkup, *arguments: str) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        # What there is to show is shown at once, each time that it changes.
        for name in ("LOG_SECONDS", "GROWTH"):
            patch.setattr(progress, name, 0)
        result = mesh.quick(*arguments)
    assert result.ret == 0
    lines = [line.rstrip() for line in result.outlines]
    start = next(n for n, line in enumerate(lines) if line.startswith("test_mesh.py"))
    end = next(n for n, line in enumerate(lines) if "= kvlatency =" in line)
    return lines[start:end]


def progress_in(lines: list[str]) -> list[str]:
    return [line for line in lines if re.search(r"\d/\d  ", line)]


def test_lines_in_a_log_are_lines_of_their_own_and_the_dots_go_on(mesh: Checkup) -> None:
    lines = in_a_log(mesh)
    assert progress_in(lines)
    assert all(line.startswith("kvlatency: ") for line in progress_in(lines))
    # Between the name of the file and the summary nothing but dots and lines of progress.
    pytests = [line for line in lines if line and not line.startswith("kvlatency: ")]
    assert pytests[0] == "test_mesh.py"
    assert re.fullmatch(r"\.+ +\[100%\]", pytests[-1])
    assert "".join(pytests).replace(" ", "") == "test_mesh.py...[100%]"


def test_after_lines_in_a_log_v_says_again_whose_result_follows(mesh: Checkup) -> None:
    lines = in_a_log(mesh, "-v")
    assert all(line.startswith("kvlatency: ") for line in progress_in(lines))
    results = [line for line in lines if "PASSED" in line]
    assert len(results) == 3
    assert all(re.match(r"test_mesh\.py::test_\w\S* PASSED", line) for line in results), results


def test_with_s_no_line_runs_into_what_a_test_has_written(mesh: Checkup) -> None:
    lines = in_a_log(mesh, "-s")
    assert all(line.startswith("kvlatency: ") for line in progress_in(lines))
    assert sum(line.count("said by the test") for line in lines) == 2
    # The second one waits while what the first has written has no end yet.
    assert not [line for line in progress_in(lines) if "said" in line]


class TerminalFile(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


class OnTerminal:
    """A progress line below what pytest's own reporter writes to a terminal."""

    def __init__(self, pytester: pytest.Pytester, *arguments: str) -> None:
        config = pytester.parseconfig(*arguments)
        config.pluginmanager.unregister(name="terminalreporter")
        self.file = TerminalFile()
        self.reporter = TerminalReporter(config, self.file)
        config.pluginmanager.register(self.reporter, "terminalreporter")
        self.now = 0.0
        self.progress = ProgressLine(config, clock=lambda: self.now)

    def show_for_a_while(self) -> None:
        for line in (HALF, replace(HALF, measured=4), "deleting the VMIs"):
            self.progress.show(line)
            self.now += 10


@pytest.fixture
def terminal_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """That of a terminal with colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [({}, ("--color=no",)), ({"NO_COLOR": "1"}, ()), ({"TERM": "dumb"}, ("--color=yes",)), ({}, ("-s",))],
    ids=["color=no", "NO_COLOR", "dumb", "s"],
)
def test_a_terminal_that_shows_no_colours_or_is_shared_gets_plain_lines(
    pytester: pytest.Pytester,
    terminal_environment: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: tuple[str, ...],
) -> None:
    for name, value in environment.items():
        terminal_environment.setenv(name, value)
    terminal = OnTerminal(pytester, *arguments)
    terminal.show_for_a_while()
    assert [line for line in terminal.file.getvalue().splitlines() if line] == [
        "4/6  1 failed  waiting: worker6 Scheduling 8 s",
        "deleting the VMIs",
    ]


@pytest.mark.parametrize("columns", [40, 57, 58, 59, 200])
def test_a_name_stays_whole_under_the_progress_wherever_on_the_terminal_it_ends(
    pytester: pytest.Pytester, terminal_environment: pytest.MonkeyPatch, columns: int
) -> None:
    terminal_environment.setenv("COLUMNS", str(columns))
    terminal = OnTerminal(pytester)
    name = "test_mesh.py::test_a[default/blue-network-worker1:worker2]"
    assert len(name) == 58
    terminal.reporter.write(name)
    terminal.show_for_a_while()
    assert "\x1b[2K" in terminal.file.getvalue()
    terminal.progress.clear()
    terminal.reporter.write(" PASSED")
    screen = pyte.Screen(columns, 24)
    # As a terminal's driver does.
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(terminal.file.getvalue())
    assert "".join(screen.display).rstrip() == f"{name} PASSED"


@pytest.mark.smoke
def test_progress_is_one_line_that_is_rewritten_and_taken_away(mesh: Checkup) -> None:
    arguments = (f"--kv-kubeconfig={mesh.kubeconfig}", "--kv-sample-duration=500ms")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    with Terminal(command, directory=mesh.pytester.path, rows=12, environment=plain()) as terminal:
        while_running = terminal.sees(r"^0/2")
        # Below the line that pytest is writing, which stands as it was.
        assert while_running[-2:][0].rstrip() == "test_mesh.py"
        assert terminal.cursor[0] == len(while_running) - 1
        assert terminal.ends() == 0
        assert any(re.match(r"test_mesh\.py \.\.\. +\[100%\]", line) for line in terminal.all)
        assert not [line for line in terminal.all if re.match(r"\d/2", line)]


# --- the words of -v

WORDS = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network")
    def test_good(): pass

    @pytest.mark.kvlatency(nad="default/slow-network", max_latency="10ms")
    def test_slow(): pass

    @pytest.mark.kvlatency(nad="default/lossy-network", sample_duration="3s")
    def test_lossy(): pass

    @pytest.mark.kvlatency(nad="default/cut-network")
    def test_cut(): pass

    @pytest.mark.xfail(reason="known")
    @pytest.mark.kvlatency(nad="default/slow-network", max_latency="10ms")
    def test_known(): pass

    @pytest.mark.kvlatency(nad="default/blue-network")
    def test_body(): assert not "the body"

    @pytest.mark.kvlatency(nad="default/none-network")
    def test_none(): pass

    @pytest.mark.skip
    @pytest.mark.kvlatency(nad="default/blue-network")
    def test_skipped(): pass

    def test_other(): pass

    def test_other_fails(): assert 0
"""
TIMES = r"\d+\.?\d*/\d+\.?\d* ms"
EXPECTED = {
    "good": f"PASSED {TIMES}",
    "slow": f"FAILED {TIMES}",
    "lossy": r"FAILED \d+(\.\d)?% loss",
    "cut": "FAILED 100% loss",
    "known": f"XFAIL {TIMES}",
    "body": f"FAILED {TIMES}",
    "none": "ERROR",
    "skipped": "SKIPPED",
    "other": "PASSED",
    "other_fails": "FAILED",
}


@pytest.mark.parametrize(
    ("workers", "names"),
    [((), EXPECTED.keys()), (("-n", "1"), ("slow", "known", "none", "other_fails"))],
    ids=["", "workers"],
)
def test_v_says_the_numbers_beside_how_each_test_ended(
    checkup: Checkup, workers: tuple[str, ...], names: Collection[str]
) -> None:
    checkup.pytester.makepyfile(WORDS)
    chosen = " or ".join(f"test_{name}" for name in names)
    result = checkup.quick("-v", "-rA", "--tb=no", *workers, "-k", chosen)
    lines = [line.rstrip() for line in result.outlines]
    for name in names:
        word = EXPECTED[name]
        found = [line for line in lines if re.search(rf"::test_{name}\b", line)]
        line = next(one for one in found if re.search(r"PASSED|FAILED|XFAIL|ERROR|SKIPPED", one))
        pattern = (
            rf"\] {word} \S+$" if workers else rf"::test_{name}(\[\S+\])? {word}( \(.*\))?\s*(\[ *\d+%\])?$"
        )
        assert re.search(pattern, line), line
        # Programs read the short summary: there the word and the node id stand as ever.
        assert not [one for one in found if re.match(rf"(PASSED|FAILED|XFAIL) {TIMES}", one)]
    ends = Counter(EXPECTED[name].split()[0] for name in names)
    result.assert_outcomes(
        passed=ends["PASSED"],
        failed=ends["FAILED"],
        errors=ends["ERROR"],
        xfailed=ends["XFAIL"],
        skipped=ends["SKIPPED"],
    )
    assert any(re.match(r"FAILED \S+::test_slow\[\S+\]", line) for line in lines)


def test_another_plugins_words_and_categories_stand(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(
        """
        def pytest_report_teststatus(report):
            if report.when == "call" and report.passed:
                return "fine", "+", ("FINE", {"blue": True})
        """
    )
    checkup.pytester.makepyfile(
        "import pytest\n@pytest.mark.kvlatency(nad='default/blue-network')\ndef test_a(): pass\n"
    )
    result = checkup.quick("-v")
    assert any(re.search(rf"FINE {TIMES}", line) for line in result.outlines)
    assert any("1 fine" in line for line in result.outlines)
