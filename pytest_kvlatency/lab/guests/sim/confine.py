"""Keeps the guests' shells from changing the host, as far as the kernel lets an ordinary process do so.

Linux' restrictions belong to threads and are inherited by what they start. So all shells are started by one
thread that has first restricted itself: no new privileges, an empty capability bounding set (root's programs get
no capability), and Landlock, which allows writing only below the lab's directory and to terminals, and signals
only to processes that are restricted with it. Reading stays possible. See landlock(7), prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import struct
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_LAST_CAPABILITY = 63
_RULE_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1
#: Removing and making files of every kind: bits 4 to 12 of the first version.
_CHANGE_DIRECTORIES = 0x1FF0
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_SCOPE_SIGNAL = 1 << 1
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/pts")

_Job = tuple["Future[int]", str, "Sequence[str]", "Mapping[str, str]", str]


class Spawner:
    """Starts shells. ``confined`` says whether Landlock keeps them from writing outside ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.confined = False
        self._directory = directory
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ready: Future[bool] = Future()
        self._thread = threading.Thread(target=self._run, name="kvlatency-sim-spawner", daemon=True)
        self._thread.start()
        self.confined = self._ready.result()

    def spawn(
        self, path: str, arguments: Sequence[str], environment: Mapping[str, str], terminal: str
    ) -> int:
        """Start ``path`` as the leader of a session on ``terminal``; return its pid. Raises ``OSError``."""
        future: Future[int] = Future()
        self._jobs.put((future, path, arguments, environment, terminal))
        return future.result()

    def close(self) -> None:
        """End the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._ready.set_result(_restrict(self._directory))
        while (job := self._jobs.get()) is not None:
            future, path, arguments, environment, terminal = job
            try:
                future.set_result(_spawn(path, arguments, environment, terminal))
            except OSError as error:
                future.set_exception(error)


def _spawn(path: str, arguments: Sequence[str], environment: Mapping[str, str], terminal: str) -> int:
    # A session leader without a terminal gets the first one that it opens.
    return os.posix_spawn(
        path,
        arguments,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ],
        setsid=True,
    )


def _restrict(directory: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    libc.syscall.restype = ctypes.c_long
    version = libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False
    access = _WRITE_FILE | _CHANGE_DIRECTORIES
    access |= _REFER if version >= 2 else 0
    access |= _TRUNCATE if version >= 3 else 0
    attributes = struct.pack("=QQQ", access, 0, _SCOPE_SIGNAL)
    length = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        ctypes.create_string_buffer(attributes, len(attributes)),
        ctypes.c_size_t(length),
        ctypes.c_uint(0),
    )
    if ruleset < 0:
        return False
    try:
        _allow(libc, ruleset, str(directory), access)
        for device in _DEVICES:
            with contextlib.suppress(OSError):
                _allow(libc, ruleset, device, access & (_WRITE_FILE | (_TRUNCATE if version >= 3 else 0)))
        return bool(libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # struct landlock_path_beneath_attr is packed.
        rule = struct.pack("=Qi", access, fd)
        result = libc.syscall(
            ctypes.c_long(_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            ctypes.create_string_buffer(rule, len(rule)),
            ctypes.c_uint(0),
        )
        if result != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
    finally:
        os.close(fd)
