"""Processes that tests start: what a test has found is heard, also of one that would go on."""

from __future__ import annotations

import contextlib
import subprocess


@contextlib.contextmanager
def begun(command, **more):
    """Be with a process, as with one of ``subprocess.Popen``; where the test fails, its end is not waited for."""
    with subprocess.Popen(command, **more) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
