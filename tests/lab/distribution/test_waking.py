"""Suites that only their marks make kvlatency's: the controller knows that once a worker has collected them."""

from __future__ import annotations

import os
import signal

import pytest
from begun import until_gone
from xdistruns import HOLDING, MESH, passed

PLAIN = """
    def test_plain():
        pass
"""


@pytest.fixture(scope="module")
def woken(run_once):
    """A mesh, and beside it a file that checks nothing."""
    mine = run_once(MESH, "-n", "2", "--dist", "loadfile", is_asked=False, test_plain=PLAIN)
    assert mine.end() == 0, mine.output
    return mine


def test_marks_alone_make_the_controller_find_nodes_and_report(woken):
    assert passed(woken.output) == 7
    cases = woken.cases()
    assert cases.pop("test_plain") == {}
    assert len(cases) == 6
    assert all(properties["received"] == "10" for properties in cases.values())
    assert woken.html.read_text().count("col-kvMax") >= 6
    assert "worker1 → worker2" in woken.output
    assert [one["verb"] for one in woken.requests if one["resource"] == "nodes"].count("list") == 1
    assert woken.left == []


def test_a_file_stays_in_one_worker(woken):
    workers = woken.workers()
    assert len(workers) == 7
    assert len({worker for test, worker in workers.items() if test.startswith("test_it.py::")}) == 1


def test_a_signal_while_a_killed_worker_of_marks_alone_is_replaced_leaves_nothing(run):
    mine = run(HOLDING, "-n", "2", is_asked=False)
    assert mine.lose_a_worker() == 4
    os.kill(mine.process.pid, signal.SIGTERM)
    assert mine.end() == 2, mine.output
    assert "worker gw0 of pytest-xdist died" in mine.output
    assert "interrupted by SIGTERM" in mine.output
    assert mine.output.count("replacing crashed worker") == 1
    assert mine.left == []
    for pid in mine.pids("body").values():
        until_gone(pid)
