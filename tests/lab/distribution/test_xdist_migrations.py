"""Migrations under pytest-xdist. They need a lab of their own, whose guests' time is the clock's."""

from __future__ import annotations

import os
import signal

import pytest
from xdistruns import lab_of

LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  default/slow-move-network: {}
faults:
  - {fault: migration-slow, network: default/slow-move-network, after: 2h}
seed: 7
boot: 100ms
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with lab_of(LAB, tmp_path_factory.mktemp("lab")) as process:
        yield process


def test_a_migration_of_a_killed_worker_is_removed_with_its_guest(run, administrator):
    mine = run(
        """
        import os, pathlib
        import pytest

        (pathlib.Path(__file__).parent / f"body-{os.environ['PYTEST_XDIST_WORKER']}").write_text(str(os.getpid()))

        @pytest.mark.kvlatency(nad="default/slow-move-network", nodes="worker1:worker2>worker3")
        def test_it(kv_migration):
            pass
        """,
        "-n",
        "1",
    )

    mine.wait_for(lambda: administrator.have_begun("Running"))
    (name,) = (one["metadata"]["name"] for one in administrator.migrations())
    os.kill(mine.pids("body")["body-gw0"], signal.SIGKILL)
    assert mine.end() == 1, mine.output
    (died,) = mine.document["measurements"]
    assert "worker gw0 of pytest-xdist died" in died["failureReason"]
    assert mine.left == []
    assert administrator.migrations() == []
    asked = [one["resource"] for one in mine.requests if (one["verb"], one.get("name")) == ("delete", name)]
    assert asked[:2] == ["virtualmachineinstancemigrations", "virtualmachineinstances"]
