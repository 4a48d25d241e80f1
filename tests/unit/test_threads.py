"""Threads that nobody has to wait for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from pytest_kvlatency.threads import Threads

pytestmark = pytest.mark.smoke


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
    with pytest.raises(RuntimeError, match="cannot start anything after the end"):
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
running = sum(one.name == "x" for one in threading.enumerate())
gate.set()
assert all(one.result(60) for one in asked)
print(0 < running < 40)
"""


NONE = """
import resource, threading
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.threads import Threads

lasting = Threads(40, "x")
lasting.keep_one()
# No room for the stack of one thread more.
STACK = 128 * 1024 * 1024
threading.stack_size(STACK)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + STACK // 2,) * 2)
names = [lasting.submit(lambda: threading.current_thread().name).result(60) for _ in range(40)]
print(set(names))
print(lasting.shut_down(60))
try:
    Threads(1, "y").keep_one()
except ConfigError as error:
    print(error)
here = Threads(1, "z")
print(here.submit(threading.current_thread).result(0) is threading.main_thread())
print(repr(here.submit(lambda: 1 / 0).exception(0)))
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (FEW, ["True"]),
        (
            NONE,
            [
                "{'x'}",
                "True",
                "this process cannot start more threads: a limit on processes or on memory is reached",
                "True",
                "ZeroDivisionError('division by zero')",
            ],
        ),
    ],
    ids=["few", "none"],
)
def test_where_the_machine_gives_fewer_threads_they_do_all_the_same(program, said):
    done = subprocess.run(
        [sys.executable, "-c", program],
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
        # Else each thread takes room for a heap of its own, too.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
    )
    assert (done.stdout.splitlines(), done.stderr) == (said, "")


def test_a_lasting_thread_is_there_for_what_comes_later_and_others_come_to_help():
    threads = Threads(3, "test")
    threads.keep_one()
    meet = threading.Barrier(3)
    for _ in range(3):
        assert len({one.result(60) for one in [threads.submit(meet.wait) for _ in range(3)]}) == 3
    assert threads.shut_down(60)
