"""A program of a guest's that has no terminal, such as what its cloud-init runs while it boots."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def reap(loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """Have the kernel forget a child when it ends; what it has left running is for ``reaper``."""
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        loop.run_in_executor(None, _wait, pid)
        return

    def ended() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        _wait(pid)

    loop.add_reader(pidfd, ended)


def _wait(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return
