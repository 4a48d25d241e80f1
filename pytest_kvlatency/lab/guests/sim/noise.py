"""The fault kernel-noise: kernel messages between and inside the lines of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.bootmessages import NOISE, stamped

if TYPE_CHECKING:
    from collections.abc import Callable


class Noise:
    """Puts a message after each ``every``-th line, and in the middle of every other such line if it is ping's."""

    def __init__(self, every: int, now: Callable[[], float]) -> None:
        self._every = max(1, every)
        self._now = now
        self._lines = 0
        self._said = 0

    def apply(self, data: bytes) -> bytes:
        """Return ``data`` with the messages that came while it was printed."""
        lines = data.split(b"\n")
        result = []
        for line in lines[:-1]:
            self._lines += 1
            if self._lines % self._every:
                result.append(line + b"\n")
            elif b" bytes from " in line and self._said % 2 == 0:
                middle = line.index(b" bytes from ") + 20
                result.append(line[:middle] + self._message() + line[middle:] + b"\n")
            else:
                result.append(line + b"\n" + self._message())
        return b"".join([*result, lines[-1]])

    def _message(self) -> bytes:
        text = stamped(self._now(), NOISE[self._said % len(NOISE)])
        self._said += 1
        return f"{text}\r\n".encode()
