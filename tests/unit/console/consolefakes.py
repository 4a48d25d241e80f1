"""Consoles for the tests: a real shell on a pseudo-terminal, and a scripted guest. Both speak a transport's language."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_kvlatency.console.login import Patience
from pytest_kvlatency.console.outcomes import ConnectionLost
from pytest_kvlatency.deadline import Backoff

#: For guests that need no time to boot, nor to answer.
IMPATIENT = Patience(
    pauses=Backoff(first=0.2, longest=1.0, factor=1.6),
    retries=Backoff(first=0.1, longest=20.0),
    interrupt_seconds=0.4,
)


def until(condition):
    """Wait until the condition holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class State:
    phase: str = "Running"
    uid: str = "uid-1"
    deleting: bool = False
    node: str | None = "worker1"


class PtyGuest:
    """A guest whose console is a pseudo-terminal with ``argv`` behind it; it outlives its connections."""

    def __init__(self, argv, env=None, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "-c", *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "vt102", "HOME": "/tmp", **(env or {})},
        )
        os.close(slave)
        self.connection = None

    def connect(self, *_):
        if self.connection is not None:
            self.connection.is_open = False
        self.connection = PtyTransport(self)
        return self.connection

    def processes(self):
        """The process ids of the guest's session: its shell, and all that was started from it, in whatever group."""
        found = set()
        for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - hundreds of names
            with contextlib.suppress(OSError):
                if os.getsid(int(name)) == self.process.pid:
                    state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.add(int(name))
        return found

    def stop(self):
        # One that has just begun has no session of its own yet.
        self.process.kill()
        until = time.monotonic() + 60
        while left := self.processes():
            assert time.monotonic() < until, left
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        os.close(self.master)
        self.process.wait(60)


class PtyTransport:
    def __init__(self, guest):
        self.guest = guest
        self.is_open = True

    def read(self, timeout_seconds):
        if not self.is_open:
            raise ConnectionLost("gone")
        ready, _, _ = select.select([self.guest.master], [], [], max(0.0, timeout_seconds))
        if not ready:
            return b""
        try:
            return os.read(self.guest.master, 4096)
        except OSError as error:
            raise ConnectionLost("gone") from error

    def write(self, data):
        if not self.is_open:
            raise ConnectionLost("gone")
        while data:
            data = data[os.write(self.guest.master, data) :]

    def close(self):
        self.is_open = False


class DroppingTransport(PtyTransport):
    """Drops for good after so many bytes were read or written."""

    def __init__(self, guest, *, after_read=None, after_written=None):
        super().__init__(guest)
        self.left_to_read = after_read
        self.left_to_write = after_written

    def read(self, timeout_seconds):
        if self.left_to_read is None:
            return super().read(timeout_seconds)
        if self.left_to_read <= 0:
            self.is_open = False
        data = super().read(timeout_seconds)
        kept = data[: self.left_to_read]
        self.left_to_read -= len(kept)
        return kept

    def write(self, data):
        if self.left_to_write is None:
            return super().write(data)
        kept = data[: self.left_to_write]
        self.left_to_write -= len(kept)
        super().write(kept)
        if len(kept) < len(data):
            self.is_open = False
            raise ConnectionLost("gone")
        return None


class LossyTransport(PtyTransport):
    """Loses ``lost`` of what is typed next that has it, as a serial port does that is overrun."""

    lost = b""

    def write(self, data):
        if self.lost and self.lost in data:
            data, self.lost = data.replace(self.lost, b"", 1), b""
        super().write(data)


class ScriptedTransport:
    """A guest that answers typed lines by a function: ``answer(line) -> bytes``; ``banner`` comes first."""

    def __init__(self, banner=b"", answer=lambda line: b"", *, echo=True):
        self.output = bytearray(banner)
        self.answer = answer
        self.echo = echo
        self.typed = []
        self.pending = b""
        self.is_open = True

    def read(self, timeout_seconds):
        if not self.is_open:
            raise ConnectionLost("gone")
        if not self.output:
            time.sleep(min(timeout_seconds, 0.01))
            return b""
        data = bytes(self.output)
        self.output.clear()
        return data

    def write(self, data):
        if not self.is_open:
            raise ConnectionLost("gone")
        if self.echo:
            self.output += data.replace(b"\n", b"\r\n")
        self.pending += data.replace(b"\x03", b"")
        while b"\n" in self.pending:
            line, _, self.pending = self.pending.partition(b"\n")
            self.typed.append(line.decode())
            self.output += self.answer(line.decode())

    def close(self):
        self.is_open = False
