"""Finds and kills what a guest's shell left running outside its session (``setsid``, ``nohup``)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

#: Guests that end within this time are looked for together: one walk over /proc is the cost.
_GATHER_SECONDS = 0.02
_ROUNDS = 4


class Reaper:
    """Kills every process whose environment says that it belongs to a guest that has ended."""

    def __init__(self) -> None:
        self._directories: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def reap(self, directory: str) -> None:
        """Kill all processes of the guest in ``directory``; returns when none is left."""
        self._directories.add(directory)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        await asyncio.shield(self._task)

    async def _run(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        while self._directories:
            directories, self._directories = self._directories, set()
            kill_all(directories)


def kill_all(directories: set[str]) -> None:
    """Kill the processes of these guests; again while there are some, for one may have just been forked."""
    marks = {f"KVLAB={directory}".encode() for directory in directories}
    for _ in range(_ROUNDS):
        found = [int(name) for name in os.listdir("/proc") if name.isdecimal() and _marked(name, marks)]  # noqa: PTH208
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _marked(pid: str, marks: set[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - hot
            return not marks.isdisjoint(file.read().split(b"\0"))
    except OSError:
        return False
