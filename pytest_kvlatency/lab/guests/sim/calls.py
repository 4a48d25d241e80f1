"""How programs that the shell runs reach this process, and get their output and exit status back.

Each program is a small script that writes its name (``ping@root`` where ``sudo`` started it) and arguments to one FIFO
shared by all guests, and reads lines from a FIFO of its own: ``o`` (standard output), ``e`` (standard error), ``x``
(exit status), ``k`` (die of SIGINT). A record is at most PIPE_BUF bytes, so that records never mix.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

UNIT = "\x1f"
RECORD = "\x1e"
INTERRUPT = "!INT"
_NO_FIFO = "-"


class PipeCall:
    """A program under way, at the other end of its FIFO (see ``machine.Call``); an ``fd`` of -1: unread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, name: str, arguments: Sequence[str]) -> None:
        self._loop = loop
        self._fd = fd
        self.name, _, user = name.partition("@")
        self.as_root = user == "root"
        self.arguments = arguments
        self.on_interrupt: Callable[[], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.on_closed: Callable[[], None] | None = None
        self._buffer = bytearray(b"\n")
        self._writing = False
        self._exiting = False
        if fd >= 0:
            # The write end of a FIFO becomes "readable" when its last reader is gone.
            loop.add_reader(fd, self.close)

    def out(self, text: str) -> None:
        """See ``machine.Call``."""
        self._lines("o", text)

    def err(self, text: str) -> None:
        """See ``machine.Call``."""
        self._lines("e", text)

    def exit(self, status: int) -> None:
        """See ``machine.Call``."""
        self._finish(f"x{status}")

    def interrupt(self) -> None:
        """Deliver SIGINT."""
        if self.on_interrupt is None:
            self._finish("k")
        else:
            self.on_interrupt()
            self.flush()

    def flush(self) -> None:
        """See ``machine.Call``."""
        if self._fd < 0 or not self._buffer:
            return
        try:
            written = os.write(self._fd, self._buffer)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close()
            return
        del self._buffer[:written]
        if self._buffer and not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self.flush)
        elif not self._buffer:
            if self._writing:
                self._writing = False
                self._loop.remove_writer(self._fd)
            if self._exiting:
                self.close()

    def close(self) -> None:
        """End it without a word; the script sees the end of its FIFO and exits."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._exiting = True
        for callback in (self.on_end, self.on_closed):
            if callback is not None:
                callback()

    def _finish(self, line: str) -> None:
        if not self._exiting:
            self._lines(line[0], line[1:])
            self._exiting = True
            self.flush()

    def _lines(self, kind: str, text: str) -> None:
        if self._fd >= 0 and not self._exiting:
            for line in text.split("\n"):
                self._buffer += f"{kind}{line}\n".encode(errors="surrogateescape")


class CallServer:
    """Reads the common FIFO, and gives each program to the guest that runs it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fifo: Path) -> None:
        self._loop = loop
        self._handlers: dict[str, Callable[[PipeCall], None]] = {}
        self._calls: dict[str, dict[str, PipeCall]] = {}
        self._pending = b""
        os.mkfifo(fifo, 0o600)
        self._fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        loop.add_reader(self._fd, self._readable)

    def register(self, guest: str, handler: Callable[[PipeCall], None]) -> None:
        """Give the programs of ``guest`` (its directory) to ``handler``; those that run already go on."""
        self._handlers[guest] = handler
        self._calls.setdefault(guest, {})

    def unregister(self, guest: str) -> None:
        """End all programs of ``guest``."""
        self._handlers.pop(guest, None)
        for call in list(self._calls.pop(guest, {}).values()):
            call.close()

    def close(self) -> None:
        """End all programs and stop reading."""
        for guest in list(self._handlers):
            self.unregister(guest)
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        try:
            self._pending += os.read(self._fd, 65536)
        except BlockingIOError:
            return
        *records, self._pending = self._pending.split((RECORD + UNIT).encode())
        for record in records:
            guest, fifo, name, *arguments = record.decode(errors="surrogateescape").split(UNIT)[:-1]
            self._take(guest, fifo, name, arguments)

    def _take(self, guest: str, fifo: str, name: str, arguments: list[str]) -> None:
        handler = self._handlers.get(guest)
        calls = self._calls.get(guest)
        if handler is None or calls is None:
            return
        if name == INTERRUPT:
            if fifo in calls:
                calls[fifo].interrupt()
            return
        if fifo == _NO_FIFO:
            handler(PipeCall(self._loop, -1, name, arguments))
            return
        path = os.path.join(guest, fifo)  # noqa: PTH118 - hot, and plain strings
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.unlink(path)  # noqa: PTH108
        except OSError:
            return
        call = PipeCall(self._loop, fd, name, arguments)
        calls[fifo] = call
        call.on_closed = lambda: self._forget(guest, fifo, call)
        handler(call)
        call.flush()

    def _forget(self, guest: str, fifo: str, call: PipeCall) -> None:
        calls = self._calls.get(guest, {})
        if calls.get(fifo) is call:
            del calls[fifo]
