"""A plugin for checkups under test: from the first item on the machine gives little more.

``FILES_IN_ALL``: so many descriptors from the start, by the process's own limit. ``FILES_LEFT``: so many beyond those
in use by then. ``THREADS_LEFT``: so many starts
of a thread, for no limit on threads holds for root; what fails is what would fail, and in the same words.
"""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from pytest_kvlatency.console import opening
from pytest_kvlatency.kube import client

# Nobody closes a connection here that another could have.
client.PATIENCE_SECONDS = opening.PATIENCE_SECONDS = 0.5
_start = threading.Thread.start
_left = int(os.environ.get("THREADS_LEFT", "-1"))
_is_scarce = False
if "FILES_IN_ALL" in os.environ:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["FILES_IN_ALL"]), 4096))


def _start_one(thread):
    global _left  # noqa: PLW0603
    if _is_scarce and _left == 0:
        raise RuntimeError("can't start new thread")
    _left -= _is_scarce
    _start(thread)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    global _is_scarce  # noqa: PLW0603
    if _is_scarce:
        return
    _is_scarce = True
    if _left >= 0:
        threading.Thread.start = _start_one
    files = os.environ.get("FILES_LEFT")
    if files is not None:
        in_use = {int(one.name) for one in Path("/proc/self/fd").iterdir()}
        free = [number for number in range(4096) if number not in in_use]
        # A limit is one on numbers, the lowest of which are given first; the look itself had one.
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[int(files)], 4096))
