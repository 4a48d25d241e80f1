"""Processes that tests start: what a test has found is heard, also of one that would go on."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path


@contextlib.contextmanager
def begun(command, **more):
    """Be with a process, as with one of ``subprocess.Popen``; where the test fails, its end is not waited for."""
    with subprocess.Popen(command, **more) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def until_gone(pid):
    """Wait for the end of a process; a zombie has ended, too."""
    until = time.monotonic() + 60
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX":
            assert time.monotonic() < until, f"process {pid} goes on"
            time.sleep(0.01)
