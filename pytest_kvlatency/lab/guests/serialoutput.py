"""What a guest prints on its serial console: the end of it is kept, and a console that is open gets it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG_BYTES = 256 * 1024


class SerialOutput:
    """The output of one guest. Without scrollback: what was printed before ``attach`` is only in the log."""

    def __init__(self) -> None:
        self._log = bytearray()
        self._sink: Callable[[bytes], None] | None = None

    @property
    def log(self) -> bytes:
        """The last 256 KiB."""
        return bytes(self._log[-_LOG_BYTES:])

    def add(self, data: bytes) -> None:
        """Take what the guest prints now."""
        self._log += data
        if len(self._log) > 2 * _LOG_BYTES:
            del self._log[:-_LOG_BYTES]
        if self._sink is not None:
            self._sink(data)

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Send output to ``sink`` from now on, instead of to an earlier one."""
        self._sink = sink

    def detach(self, sink: Callable[[bytes], None] | None = None) -> None:
        """Stop sending to ``sink``, or to any; harmless if another one has replaced it."""
        if sink is None or self._sink == sink:
            self._sink = None
