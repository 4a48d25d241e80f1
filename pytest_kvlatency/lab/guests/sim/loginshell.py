"""A guest's login shell: a process on a pty, in a session of its own.

The process is not isolated from the host beyond its PATH, its environment and what ``confine`` achieves: by absolute
path it can read the host's files as the user who runs the lab.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.lineedit import LineEditor, forget_carriage_returns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_READ_BYTES = 65536
_POLL_SECONDS = 0.2


class ShellProcess:
    """Starts at once; ``on_output`` gets what it prints, ``on_exit`` is called once when the shell itself ended.

    ``spawn`` starts it on the terminal that it is given, and returns its pid. ``is_busybox``: at its prompt it does
    as BusyBox's shell does, else as bash. ``sends_returns``: whether Enter was a carriage return at the login.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        spawn: Callable[[str], int],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[], None],
        is_busybox: bool,
        sends_returns: bool = True,
    ) -> None:
        self._loop = loop
        self._on_output = on_output
        self._on_exit = on_exit
        self._pending = bytearray()
        self._pidfd = -1
        self._timer: asyncio.TimerHandle | None = None
        self._master, slave = os.openpty()
        try:
            os.set_blocking(self._master, False)
            if not sends_returns:
                forget_carriage_returns(self._master)
            self.pid = spawn(os.ttyname(slave))
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._editor = LineEditor(
            loop, master=self._master, pid=self.pid, is_busybox=is_busybox, write=self._type
        )
        loop.add_reader(self._master, self._readable)
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._poll()
        else:
            loop.add_reader(self._pidfd, self._exited)

    def write(self, data: bytes) -> None:
        """Type ``data``."""
        if self._master >= 0:
            self._type(self._editor.typed(data))

    def _type(self, data: bytes) -> None:
        self._pending += data
        self._flush()

    def close(self) -> None:
        """Hang up and kill the shell's process group. What left the group or the session is for ``reaper``."""
        if self._master < 0:
            return
        self._stop_watching()
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        with contextlib.suppress(OSError):
            foreground = os.tcgetpgrp(self._master)
            if foreground > 1 and foreground != os.getpgrp():
                os.killpg(foreground, signal.SIGKILL)
        os.close(self._master)
        self._master = -1
        if self.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reap(0)

    def _flush(self) -> None:
        if self._master < 0:
            return
        try:
            written = os.write(self._master, self._pending)
        except OSError as error:
            # A terminal without readers takes no more input: like a real line, it loses it.
            written = 0 if error.errno == errno.EAGAIN else len(self._pending)
        del self._pending[:written]
        if self._pending:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            # EIO: no process has the terminal open any more; the shell's own end is reported apart.
            self._loop.remove_reader(self._master)
            return
        self._on_output(data)
        if self._master >= 0:
            self._editor.look()

    def _poll(self) -> None:
        if self._reap(os.WNOHANG):
            self._ended()
        else:
            self._timer = self._loop.call_later(_POLL_SECONDS, self._poll)

    def _exited(self) -> None:
        self._reap(0)
        self._ended()

    def _ended(self) -> None:
        self._stop_watching()
        with contextlib.suppress(OSError):
            while data := os.read(self._master, _READ_BYTES):
                self._on_output(data)
        self._on_exit()

    def _reap(self, flags: int) -> bool:
        try:
            pid, _ = os.waitpid(self.pid, flags)
        except ChildProcessError:
            pid = self.pid
        if pid:
            self.pid = -1
        return bool(pid)

    def _stop_watching(self) -> None:
        self._editor.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
