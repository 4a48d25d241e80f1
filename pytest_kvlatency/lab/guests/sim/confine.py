"""Keeps the guests' shells from changing the host, as far as the kernel lets an ordinary process do so.

Linux' restrictions belong to threads and are inherited by what they start. So each shell is started by a thread of
its own, which first restricts itself: a private /tmp (where the lab may mount), an empty capability bounding set
and no new privileges (root's programs get no capability), and Landlock, which allows writing only in the guest's
directory, and signals only within the guest. Where there is no private /tmp, files can be made and written in
the host's, but not removed. Reading stays possible. See landlock(7), prctl(2), mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
import threading
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_LAST_CAPABILITY = 63
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _MAKE_REGULAR, _REFER, _TRUNCATE = 1 << 1, 1 << 8, 1 << 13, 1 << 14
#: Removing and making files of every kind: bits 4 to 12 of Landlock's first version.
_CHANGE_DIRECTORIES = 0x1FF0
_SCOPE_SIGNAL = 1 << 1
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 1 << 12, 1 << 14, 1 << 18
_TMP = Path("/tmp")  # noqa: S108 - the guests' own is put over it
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/pts")


def spawn(
    path: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    terminal: str,
    directory: Path,
    fifo: Path,
) -> int:
    """Start ``path`` as the leader of a session on ``terminal``; return its pid. Raises ``OSError``.

    It may write in ``directory`` (which is below the directory of ``fifo``), and to ``fifo``.
    """
    future: Future[int] = Future()

    def run() -> None:
        try:
            tmp = _private_tmp(directory, fifo.parent)
            _drop_privileges()
            if _landlock_version():
                _restrict(directory, fifo, _MAKE_REGULAR if not tmp else _CHANGE_DIRECTORIES | _REFER)
            # A session leader without a terminal gets the first one that it opens. What the lab was started to ignore,
            # under nohup for one, is no concern of a guest's.
            pid = os.posix_spawn(
                path,
                list(arguments),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, 0, 2),
                ],
                setsid=True,
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError as error:
            future.set_exception(error)
        else:
            future.set_result(pid)

    thread = threading.Thread(target=run, name="kvlatency-sim-spawn")
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    thread.join()
    return future.result()


def can_confine() -> bool:
    """Whether Landlock will keep a shell from writing to the host's files."""
    return _landlock_version() > 0


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


@cache
def _landlock_version() -> int:
    return max(
        0, int(_libc().syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1)))
    )


def _private_tmp(directory: Path, common: Path) -> bool:
    """Put ``directory``/tmp over /tmp for this thread, with ``common`` where it was; False where that is refused."""
    private = directory / "tmp"
    private.mkdir(exist_ok=True)
    if os.geteuid() != 0 or _libc().unshare(_CLONE_NEWNS) != 0:
        return False
    if _libc().mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None) != 0:
        return False
    if _TMP in common.parents:
        inner = private / common.relative_to(_TMP)
        inner.mkdir(parents=True, exist_ok=True)
        if not _bind(common, inner):
            return False
    return _bind(private, _TMP)


def _bind(source: Path, target: Path) -> bool:
    flags = ctypes.c_ulong(_MS_BIND | _MS_REC)
    return bool(_libc().mount(os.fsencode(source), os.fsencode(target), None, flags, None) == 0)


def _drop_privileges() -> None:
    for capability in range(_LAST_CAPABILITY + 1):
        _libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        _fail("no_new_privs")


def _restrict(directory: Path, fifo: Path, in_tmp: int) -> None:
    version = _landlock_version()
    write = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    everything = write | _CHANGE_DIRECTORIES | (_REFER if version >= 2 else 0)
    attributes = struct.pack("=QQQ", everything, 0, _SCOPE_SIGNAL)
    ruleset = _libc().syscall(
        ctypes.c_long(_CREATE_RULESET),
        ctypes.create_string_buffer(attributes, len(attributes)),
        ctypes.c_size_t(24 if version >= 6 else 16 if version >= 4 else 8),
        ctypes.c_uint(0),
    )
    if ruleset < 0:
        _fail("landlock_create_ruleset")
    try:
        _allow(ruleset, directory, everything)
        _allow(ruleset, fifo, write)
        _allow(ruleset, _TMP, (write | in_tmp) & everything)
        for device in _DEVICES:
            with contextlib.suppress(OSError):
                _allow(ruleset, Path(device), write)
        if _libc().syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)) != 0:
            _fail("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # struct landlock_path_beneath_attr is packed.
        rule = struct.pack("=Qi", access, fd)
        result = _libc().syscall(
            ctypes.c_long(_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            ctypes.create_string_buffer(rule, len(rule)),
            ctypes.c_uint(0),
        )
        if result != 0:
            _fail(f"landlock_add_rule {path}")
    finally:
        os.close(fd)


def _fail(what: str) -> None:
    error = ctypes.get_errno()
    raise OSError(error, f"{what}: {os.strerror(error)}")
