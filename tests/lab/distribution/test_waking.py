"""Suites that only their marks make kvlatency's: the controller knows that once a worker has collected them."""

from __future__ import annotations

import os
import signal

from begun import until_gone
from xdistruns import HOLDING, MESH, passed

OTHERS = """
    def test_plain():
        pass
"""


def test_marks_alone_make_the_controller_find_nodes_and_report(run, administrator):
    before = len(administrator.audit())
    mine = run(MESH + OTHERS, "-n", "2", is_asked=False)
    assert mine.end() == 0, mine.output
    assert passed(mine.output) == 7
    cases = mine.cases()
    assert cases.pop("test_plain") == {}
    assert len(cases) == 6
    assert all(properties["received"] == "10" for properties in cases.values())
    assert mine.html.read_text().count("col-kvMax") >= 6
    assert "worker1 → worker2" in mine.output
    asked = administrator.audit()[before:]
    assert [one["verb"] for one in asked if one["resource"] == "nodes"].count("list") == 1
    assert mine.vmis() == []


def test_what_a_killed_worker_of_marks_alone_left_is_removed(run):
    mine = run(HOLDING, "-n", "2", is_asked=False)
    assert mine.lose_a_worker() == 4
    assert mine.end() == 1, mine.output
    assert passed(mine.output) == 3
    assert "worker gw0 of pytest-xdist died" in mine.output
    assert mine.vmis() == []


def test_a_signal_ends_the_workers_of_marks_alone_in_order(run):
    mine = run(HOLDING, "-n", "2", is_asked=False)
    mine.wait_for(lambda: len(mine.pids("body")) == 2)
    os.kill(mine.process.pid, signal.SIGTERM)
    assert mine.end() == 2, mine.output
    assert "interrupted by SIGTERM" in mine.output
    assert "replacing crashed worker" not in mine.output
    assert mine.vmis() == []
    for pid in mine.pids("body").values():
        until_gone(pid)
