"""A client of QEMU's monitor: commands, their answers, and events (QEMU Machine Protocol, ``qmp-spec.txt``).

The lab needs few commands, one of them with a descriptor beside it: a package for that would be one more to install.
"""

from __future__ import annotations

import array
import asyncio
import itertools
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CHUNK = 65_536
_GREETING = "QMP"


class QmpError(Exception):
    """A command failed, or QEMU is gone; the text is QEMU's where it gave one."""


def _ignore(_name: str, _data: Mapping[str, Any]) -> None:
    """Take an event that is of no interest."""


class Qmp:
    """One connection. ``on_event`` is called in the event loop with the name and the data of each event."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self.on_event: Callable[[str, Mapping[str, Any]], None] = _ignore
        self._sock = sock
        self._ids = itertools.count()
        self._waiting: dict[object, asyncio.Future[Any]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._closed = False

    async def negotiate(self) -> None:
        """Make the connection take commands; harmless when it does already. Raises ``QmpError``."""
        if self._reader is not None:
            return
        greeting = asyncio.get_running_loop().create_future()
        self._waiting[_GREETING] = greeting
        self._reader = asyncio.ensure_future(self._read())
        await greeting
        await self.execute("qmp_capabilities")

    async def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, descriptor: int | None = None
    ) -> Any:
        """Return what ``command`` returns. ``descriptor`` goes along (unix(7), ``SCM_RIGHTS``). Raises ``QmpError``."""
        if self._closed:
            raise QmpError(f"{command}: QEMU is gone")
        number = next(self._ids)
        request: dict[str, Any] = {"execute": command, "id": number}
        if arguments is not None:
            request["arguments"] = arguments
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(json.dumps(request).encode() + b"\n", descriptor)
            return await answer
        except OSError as error:
            raise QmpError(f"{command}: QEMU is gone: {error}") from error
        except QmpError as error:
            raise QmpError(f"{command}: {error}") from error
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Close our end; commands that wait for an answer fail. May be called twice."""
        if self._reader is not None:
            self._reader.cancel()
        self._end()
        self._sock.close()

    async def _send(self, data: bytes, descriptor: int | None) -> None:
        if descriptor is not None:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            data = data[self._sock.sendmsg([data], [rights]) :]
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        try:
            while data := await loop.sock_recv(self._sock, _CHUNK):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        except OSError:
            # A QEMU that is killed leaves a connection that is reset.
            pass
        finally:
            self._end()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "event" in message:
            self.on_event(message["event"], message.get("data", {}))
            return
        key = _GREETING if _GREETING in message else message.get("id")
        answer = self._waiting.pop(key, None)
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(QmpError(message["error"].get("desc", "failed")))
        else:
            answer.set_result(message.get("return"))

    def _end(self) -> None:
        self._closed = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(QmpError("QEMU is gone"))
        self._waiting.clear()
