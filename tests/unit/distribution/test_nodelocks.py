"""Locks of nodes: exclusive, in one order, never waited for beyond the deadline, and freed by the kernel."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest
from begun import begun

from pytest_kvlatency.checkup.xdist.nodelocks import NodeLocks
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError

pytestmark = pytest.mark.smoke


def test_different_nodes_do_not_wait_for_each_other(tmp_path):
    locks = NodeLocks(tmp_path)
    with locks.hold(["a", "b"], Deadline(60)), locks.hold(["c", "d"], Deadline(60)):
        pass


def test_a_pair_on_one_node_takes_it_once(tmp_path):
    with NodeLocks(tmp_path).hold(["a", "a"], Deadline(60)):
        pass


def test_a_node_that_stays_busy_is_named(tmp_path):
    locks = NodeLocks(tmp_path)
    with (
        locks.hold(["a", "b"], Deadline(60)),
        pytest.raises(CheckupTimeoutError, match="node b, where another worker"),
        locks.hold(["b", "c"], Deadline(0.05)),
    ):
        pass
    with locks.hold(["b", "c"], Deadline(60)):
        pass


def test_a_stop_ends_the_wait(tmp_path):
    locks, stop = NodeLocks(tmp_path), Stop()
    stop.set("interrupted by SIGTERM")
    with (
        locks.hold(["a"], Deadline(60)),
        pytest.raises(InterruptedRunError, match="SIGTERM"),
        locks.hold(["a"], Deadline(60, stop=stop)),
    ):
        pass


def test_parallel_bounds_the_holders(tmp_path):
    locks = NodeLocks(tmp_path, parallel=2)
    with (
        locks.hold(["a"], Deadline(60)),
        locks.hold(["b"], Deadline(60)),
        pytest.raises(CheckupTimeoutError, match="--kv-parallel"),
        locks.hold(["c"], Deadline(0.05)),
    ):
        pass


def test_no_more_workers_migrate_at_once_than_a_cluster_does(tmp_path):
    locks = NodeLocks(tmp_path, migrations=3)
    with ExitStack() as held:
        for number in range(3):
            held.enter_context(locks.hold([f"a{number}"], Deadline(60), migrates=True))
        with (
            pytest.raises(CheckupTimeoutError, match="another worker's migration to end"),
            locks.hold(["b"], Deadline(0.05), migrates=True),
        ):
            pass
        with locks.hold(["b"], Deadline(60)):
            pass
    with locks.hold(["b"], Deadline(60), migrates=True):
        pass


def test_crossing_pairs_end(tmp_path):
    locks = NodeLocks(tmp_path)
    pairs = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a")]
    done = []

    def work(pair):
        for _ in range(20):
            with locks.hold(pair, Deadline(60)):
                pass
        done.append(pair)

    threads = [threading.Thread(target=work, args=(pair,)) for pair in pairs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(done) == sorted(pairs)


def test_a_killed_process_lets_go(tmp_path):
    code = (
        "import sys; from pathlib import Path; from pytest_kvlatency.deadline import Deadline; "
        "from pytest_kvlatency.checkup.xdist.nodelocks import NodeLocks\n"
        f"with NodeLocks(Path({str(tmp_path)!r})).hold(['a'], Deadline(60)):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with begun(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(CheckupTimeoutError), NodeLocks(tmp_path).hold(["a"], Deadline(0.05)):
            pass
        process.kill()
        process.wait()
    with NodeLocks(tmp_path).hold(["a"], Deadline(60)):
        pass
