"""Threads that nobody has to wait for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from pytest_kvlatency.threads import Threads


def test_results_and_errors_come_back():
    threads = Threads(2, "test")
    assert threads.submit(lambda a, b: a + b, 1, 2).result(60) == 3
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(60)
    assert threads.shut_down(60)


def test_no_more_run_at_once_than_the_limit():
    threads = Threads(2, "test")
    gate, begun, lock = threading.Event(), [], threading.Lock()

    def task(number):
        with lock:
            begun.append(number)
        gate.wait(60)

    futures = [threads.submit(task, number) for number in range(5)]
    while len(begun) < 2:
        threading.Event().wait(0.001)
    assert sorted(begun) == [0, 1]
    gate.set()
    for future in futures:
        future.result(60)
    assert sorted(begun) == [0, 1, 2, 3, 4]


def test_the_end_cancels_what_has_not_begun_and_leaves_what_hangs():
    threads = Threads(1, "test")
    gate, begun = threading.Event(), threading.Event()
    hanging = threads.submit(lambda: begun.set() or gate.wait(60))
    assert begun.wait(60)
    waiting = threads.submit(int)
    assert not threads.shut_down(0.01)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="nothing is begun"):
        threads.submit(int)
    gate.set()
    assert hanging.result(60)
    assert threads.shut_down(60)


def test_E59_a_thread_that_hangs_does_not_keep_the_process():
    program = (
        "import threading; from pytest_kvlatency.threads import Threads; "
        "Threads(1, 'x').submit(threading.Event().wait)"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


FEW = """
import resource, threading
from pytest_kvlatency.threads import Threads

# Room for the stacks of eight threads, and for half of a ninth.
STACK = 128 * 1024 * 1024
threading.stack_size(STACK)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 8 * STACK + STACK // 2,) * 2)
gate, threads = threading.Event(), Threads(40, "x")
asked = [threads.submit(gate.wait) for _ in range(40)]
running = threads._running
gate.set()
assert all(one.result(60) for one in asked)
print(0 < running < 40)
"""


def test_where_the_machine_gives_fewer_threads_they_do_all_the_same():
    done = subprocess.run(
        [sys.executable, "-c", FEW],
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
        # Else each thread takes room for a heap of its own, too.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
