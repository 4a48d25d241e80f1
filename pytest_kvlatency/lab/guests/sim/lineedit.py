"""What the shells of real guests do at their prompts, and the shell of this machine does not: edit the line themselves.

With an editor Enter works on a terminal that does not translate carriage returns (``-icrnl``). BusyBox's edits only
where the terminal echoes. Where it does not, BusyBox reads lines with ``fgets``, and takes the interruption by a child
that ends for the end of its input (``read_line_input`` in BusyBox's ``libbb/lineedit.c``; seen with 1.35).
"""

from __future__ import annotations

import os
import termios
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_POLL_SECONDS = 0.05
_IFLAG, _LFLAG = 0, 3
_END_OF_INPUT = b"\x04"


def forget_carriage_returns(master: int) -> None:
    """Leave the terminal as getty does when the user's name ended in a line feed: Enter sends none."""
    attributes = termios.tcgetattr(master)
    attributes[_IFLAG] &= ~termios.ICRNL
    termios.tcsetattr(master, termios.TCSANOW, attributes)


class LineEditor:
    """Stands between what is typed and the shell ``pid`` on the terminal ``master``.

    ``is_busybox``: as BusyBox's shell, else as bash. ``write`` types.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        master: int,
        pid: int,
        is_busybox: bool,
        write: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._master = master
        self._pid = pid
        self._is_busybox = is_busybox
        self._write = write
        self._children: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    def typed(self, data: bytes) -> bytes:
        """Return what the shell gets for ``data``."""
        self.look()
        iflag, lflag = self._flags()
        is_editing = self._is_prompting() and (not self._is_busybox or lflag & termios.ECHO)
        return data if iflag & termios.ICRNL or not is_editing else data.replace(b"\r", b"\n")

    def look(self) -> None:
        """Begin to watch the shell's children, if it is in danger of them."""
        if self._timer is None and self._is_in_danger():
            self._children = self._living_children()
            self._timer = self._loop.call_later(_POLL_SECONDS, self._poll)

    def stop(self) -> None:
        """The terminal is about to be closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _poll(self) -> None:
        self._timer = None
        if not self._is_in_danger():
            return
        living = self._living_children()
        if self._children - living and self._is_prompting():
            self._write(_END_OF_INPUT)
        else:
            self._children = living
            self._timer = self._loop.call_later(_POLL_SECONDS, self._poll)

    def _is_in_danger(self) -> bool:
        lflag = self._flags()[1]
        return self._is_busybox and lflag & (termios.ECHO | termios.ICANON) == termios.ICANON

    def _flags(self) -> tuple[int, int]:
        attributes = termios.tcgetattr(self._master)
        return attributes[_IFLAG], attributes[_LFLAG]

    def _is_prompting(self) -> bool:
        """Whether the shell itself waits for what is typed."""
        try:
            if os.tcgetpgrp(self._master) != self._pid:
                return False
            waiting = Path(f"/proc/{self._pid}/wchan").read_text(encoding="ascii")
        except OSError:
            return False
        # Where the kernel does not tell, the shell is more often at its prompt than in `wait`.
        return waiting in {"", "0"} or "read" in waiting or waiting == "wait_woken"

    def _living_children(self) -> set[int]:
        return {
            int(name)
            for name in os.listdir("/proc")  # noqa: PTH208 - hot
            if name.isdecimal() and self._is_living_child(name)
        }

    def _is_living_child(self, name: str) -> bool:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - hot
                # The name in parentheses may hold anything; the state and the parent follow it (proc(5)).
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            return False
        return int(parent) == self._pid and state != b"Z"
