"""A pexpect spawn over a console's transport: what a test gets as ``kv_pair.source.console``."""

from __future__ import annotations

import codecs
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from pexpect.exceptions import EOF, TIMEOUT
from pexpect.spawnbase import SpawnBase

from pytest_kvlatency.console.outcomes import ConnectionLost
from pytest_kvlatency.errors import InterruptedRunError

if TYPE_CHECKING:
    from typing import Protocol

    from pytest_kvlatency.console.transport import ConsoleTransport
    from pytest_kvlatency.deadline import Stop

TRANSCRIPT_CHARACTERS: Final = 256 * 1024
SLICE_SECONDS: Final = 0.2
_CONTROL: Final = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31, "?": 127}

if TYPE_CHECKING:
    _Base = SpawnBase[str]

    class _Logfile(Protocol):
        """What pexpect asks of a log file."""

        def write(self, s: str, /) -> object: ...
        def flush(self) -> object: ...

else:
    # Generic for the type checker only.
    _Base = SpawnBase


class ConsoleSpawn(_Base):
    """Reads and writes a console as text, across reconnections: ``attach`` gives it a new transport.

    Bytes that are no UTF-8 become U+FFFD; a character split over two frames stays whole. ``is_dirty`` says that
    somebody typed through pexpect's interface since it was last cleared, so that others who share the console know.
    """

    def __init__(self, name: str, *, timeout: float = 30.0) -> None:
        super().__init__(timeout=timeout, encoding="utf-8", codec_errors="replace")
        self.name = f"<console of {name}>"
        self.linesep = "\n"
        self.delaybeforesend = None
        self.delayafterread = None
        self.stop: Stop | None = None
        self.is_dirty = False
        self.has_received = False
        self._transport: ConsoleTransport | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept: deque[str] = deque()
        self._kept_length = 0
        self._left = ""

    def __repr__(self) -> str:
        return getattr(self, "name", "<console>")

    @property
    def transcript(self) -> str:
        """All that came from the console, over all its connections; bounded to its last 256 KiB."""
        return "".join(self._kept)[-TRANSCRIPT_CHARACTERS:]

    def attach(self, transport: ConsoleTransport) -> None:
        """Read from and write to ``transport`` from now on."""
        self.detach()
        self._transport = transport
        self._decode.reset()
        self._left = ""
        self.buffer = ""
        self.flag_eof = False
        self.closed = False
        self.terminated = False
        self.has_received = False

    def detach(self) -> None:
        """Close the transport, if there is one."""
        transport, self._transport = self._transport, None
        self.closed = True
        self.terminated = True
        if transport is not None:
            transport.close()

    def receive(self, timeout_seconds: float) -> str:
        """Text that came, or ``""`` after ``timeout_seconds``. Raises ``ConnectionLost``."""
        if self._left:
            text, self._left = self._left, ""
            return text
        data = self._opened().read(timeout_seconds)
        if not data:
            return ""
        self.has_received = True
        text = self._decode.decode(data)
        self._keep(text)
        return text

    def type_in(self, text: str) -> None:
        """Write, on behalf of the shell session. Raises ``ConnectionLost``."""
        self._opened().write(text.encode("utf-8", "replace"))

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        """As pexpect's: at most ``size`` characters; raises pexpect's ``TIMEOUT`` and ``EOF``."""
        seconds = self.timeout if timeout == -1 else timeout
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            if self.stop is not None and self.stop.is_set():
                raise InterruptedRunError(
                    f"{self.stop.reason} while waiting for the console of VMI {self.name}",
                    stage="run",
                    summary=self.stop.reason,
                )
            left = SLICE_SECONDS if until is None else until - time.monotonic()
            try:
                text = self.receive(min(SLICE_SECONDS, max(0.0, left)))
            except ConnectionLost as error:
                self.flag_eof = True
                raise EOF(f"End Of File (EOF). The console is gone: {error}") from error
            if text:
                text, self._left = text[:size], text[size:]
                self._record(text, self.logfile_read)
                return text
            if until is not None and left <= 0:
                raise TIMEOUT("Timeout exceeded.")

    def send(self, s: str) -> int:
        """Type ``s``; returns the number of bytes."""
        self._record(s, self.logfile_send)
        self.is_dirty = True
        try:
            self.type_in(s)
        except ConnectionLost as error:
            self.flag_eof = True
            raise EOF(f"End Of File (EOF). The console is gone: {error}") from error
        return len(s.encode("utf-8", "replace"))

    def sendline(self, s: str = "") -> int:
        """Type ``s`` and Enter."""
        return self.send(s + self.linesep)

    def sendcontrol(self, char: str) -> int:
        """Type a control character: ``sendcontrol("c")`` is ^C."""
        lowered = char.lower()
        if len(lowered) == 1 and "a" <= lowered <= "z":
            return self.send(chr(ord(lowered) - ord("a") + 1))
        if lowered in _CONTROL:
            return self.send(chr(_CONTROL[lowered]))
        raise ValueError(f"{char!r} has no control character: expected a to z or one of {' '.join(_CONTROL)}")

    def sendintr(self) -> int:
        """Type ^C."""
        return self.sendcontrol("c")

    def sendeof(self) -> int:
        """Type ^D."""
        return self.sendcontrol("d")

    def write(self, s: str) -> None:
        """As ``send``, without a result."""
        self.send(s)

    def isalive(self) -> bool:
        """Whether the console is open, as far as is known without reading from it."""
        return self._transport is not None

    def close(self, force: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - pexpect's signature
        """Close this connection; the next command of the session opens a new one."""
        self.is_dirty = True
        self.detach()

    def isatty(self) -> bool:
        """A console is a terminal."""
        return True

    def _opened(self) -> ConsoleTransport:
        """Give the transport, looked at once: at the end of a run another thread may close it at any moment."""
        transport = self._transport
        if transport is None:
            raise ConnectionLost("the console is not open")
        return transport

    def _record(self, text: str, other: _Logfile | None) -> None:
        for file in (self.logfile, other):
            if file is not None:
                file.write(text)
                file.flush()

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._kept_length += len(text)
        while self._kept_length - len(self._kept[0]) >= TRANSCRIPT_CHARACTERS:
            self._kept_length -= len(self._kept.popleft())
