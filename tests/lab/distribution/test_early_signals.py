"""Signals that reach the controller before its workers have said what they run, or once all is over."""

from __future__ import annotations

import os
import signal

from begun import until_gone
from xdistruns import MESH

# Says which worker collects it, and goes on with that only when it is told to.
COLLECTING = """
    import os, pathlib, time
    import pytest

    HERE = pathlib.Path(__file__).parent
    (HERE / f"collecting-{os.environ['PYTEST_XDIST_WORKER']}").write_text(str(os.getpid()))
    until = time.monotonic() + 60
    while not (HERE / "go").exists() and time.monotonic() < until:
        time.sleep(0.05)

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2", sample_duration="500ms")
    def test_it(kv_latency):
        pass
"""
# As for a job in the background of a shell that is no terminal's.
DEAF = """
import os, signal

if "PYTEST_XDIST_WORKER" not in os.environ:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
"""
STRUCK_AT_THE_START = """
import os, signal

def pytest_xdist_newgateway(gateway):
    if gateway.id == "gw1":
        os.kill(os.getpid(), signal.SIGTERM)
"""
STRUCK_AT_THE_FIRST_WORD = """
import os, signal
import pytest

@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_node_collection_finished(node):
    os.kill(os.getpid(), signal.SIGTERM)
"""
STRUCK_AT_THE_END = """
import os, signal

def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        os.kill(os.getpid(), signal.SIGTERM)
"""


def left_nothing(mine):
    for pid in mine.pids("collecting").values():
        until_gone(pid)
    assert mine.left == []
    assert [*mine.temporary.glob("kvlatency-*")] == []
    for word in ("Warning", "Traceback", "replacing crashed worker"):
        assert word not in mine.output
    return True


def test_a_signal_while_workers_collect_ends_the_run_with_its_reports(run):
    mine = run(COLLECTING, "-n", "2", conftest=DEAF)
    mine.wait_for(lambda: len(mine.pids("collecting")) == 2)
    os.kill(mine.process.pid, signal.SIGINT)
    (mine.directory / "go").touch()
    assert mine.end() == 2, mine.output
    assert "run: interrupted by SIGINT" in mine.document["failureReason"]
    assert mine.document["succeeded"] is False
    mine.cases()
    assert mine.html.exists()
    assert left_nothing(mine)


def test_a_second_signal_does_not_wait_for_workers_that_collect(run, tmp_path):
    mine = run(COLLECTING, "-n", "1")
    mine.wait_for(lambda: mine.pids("collecting"))
    os.kill(mine.process.pid, signal.SIGTERM)
    os.kill(mine.process.pid, signal.SIGINT)
    mine.wait_for((tmp_path / "out.json").exists)
    (tmp_path / "go").touch()
    assert mine.end() == 2, mine.output
    assert mine.document["failureReason"].startswith("run: interrupted by SIG")
    assert left_nothing(mine)


def test_a_signal_while_workers_are_started_ends_the_run_in_order(run):
    mine = run(MESH, "-n", "2", conftest=STRUCK_AT_THE_START)
    assert mine.end() == 2, mine.output
    assert "run: interrupted by SIGTERM" in mine.document["failureReason"]
    assert left_nothing(mine)


def test_the_first_word_of_marks_alone_has_signals_end_the_run_in_order(run):
    mine = run(MESH, "-n", "1", is_asked=False, conftest=STRUCK_AT_THE_FIRST_WORD)
    assert mine.end() == 2, mine.output
    assert "kvlatency: run: interrupted by SIGTERM" in mine.output
    assert len(mine.cases()) == 6
    assert left_nothing(mine)


def test_a_signal_before_the_first_word_of_marks_alone_leaves_nothing(run):
    mine = run(COLLECTING, "-n", "1", is_asked=False)
    mine.wait_for(lambda: mine.pids("collecting"))
    os.kill(mine.process.pid, signal.SIGTERM)
    (mine.directory / "go").touch()
    assert mine.end() == -signal.SIGTERM, mine.output
    for pid in mine.pids("collecting").values():
        until_gone(pid)
    assert mine.left == []
    assert [*mine.temporary.glob("kvlatency-*")] == []


def test_a_signal_that_ends_the_controller_at_the_end_leaves_no_directory(run):
    mine = run("def test_plain(): pass", "-n", "1", conftest=STRUCK_AT_THE_END)
    assert mine.end() == -signal.SIGTERM, mine.output
    assert [*mine.temporary.glob("kvlatency-*")] == []
