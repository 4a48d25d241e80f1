"""A QEMU process with its serial ports, for the lab's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.qemu.qmp import Qmp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LAUNCHER = Path(__file__).with_name("launch.py")
_STDERR_LIMIT = 8192


class Channel(asyncio.Protocol):
    """Our end of one of the guest's serial ports: always drained, into ``sink``."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for ``write``."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream socket always gets
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass on what the guest printed."""
        self._sink(data)

    def write(self, data: bytes) -> None:
        """Send ``data`` to the guest; nothing happens when it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close our end."""
        if self._transport is not None:
            self._transport.close()


async def open_channel(sink: Callable[[bytes], None]) -> tuple[Channel, socket.socket]:
    """Make a channel; the socket is QEMU's end, which the caller closes once QEMU has inherited it."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    try:
        _transport, channel = await loop.create_connection(lambda: Channel(sink), sock=ours)
    except BaseException:
        ours.close()
        theirs.close()
        raise
    return channel, theirs


def open_monitor() -> tuple[Qmp, socket.socket]:
    """Make a monitor's connection; the socket is QEMU's end, which the caller closes once QEMU has inherited it."""
    ours, theirs = socket.socketpair()
    return Qmp(ours), theirs


class Process:
    """QEMU itself. It dies with this process, and stands in its process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = b""
        self._reader = asyncio.ensure_future(self._read_stderr())

    @classmethod
    async def start(cls, qemu: Path, arguments: Sequence[str], descriptors: Sequence[int]) -> Process:
        """Start QEMU with ``descriptors`` inherited. Raises ``HypervisorError``."""
        command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(qemu), *arguments]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=descriptors,
            )
        except OSError as error:
            raise HypervisorError(f"cannot start {qemu}: {error}") from error
        return cls(process)

    async def _read_stderr(self) -> None:
        stream = self._process.stderr
        if stream is not None:
            while data := await stream.read(4096):
                self._stderr = (self._stderr + data)[-_STDERR_LIMIT:]

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    @property
    def messages(self) -> str:
        """What QEMU said on its standard error, in one line."""
        return " ".join(self._stderr.decode(errors="replace").split())

    async def wait(self) -> int:
        """Wait for its end and return the exit status, negative for a signal."""
        status = await self._process.wait()
        # QEMU has no children: its end closes the pipe.
        await self._reader
        return status

    def kill(self) -> None:
        """Kill it; harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
