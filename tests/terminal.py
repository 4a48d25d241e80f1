"""What a person sees: a command on a pseudo-terminal, and the screen that a terminal makes of what it writes."""

from __future__ import annotations

import os
import re
import time
from itertools import groupby

import pexpect
import pyte

SECONDS = 60
#: What shows no two times alike: times, versions, addresses of processes. Each is as long as what it stands for.
_CHANGING = re.compile(r"(?<![\w.])\d+(?:\.\d+)+(?![\w.])|\d+(?= s\b)|\d+(?=s left)|(?<=in )\d+\.\d+(?=s)")


class Terminal:
    """Runs ``command`` where a person would: on a terminal of so many columns and rows.

    ``environment`` is added to the process's own, from which what decides about colours is left out.
    """

    def __init__(self, command, *, columns=80, rows=24, directory=None, environment=None):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CI"}
        }
        self._child = pexpect.spawn(
            str(command[0]),
            [str(one) for one in command[1:]],
            dimensions=(rows, columns),
            cwd=None if directory is None else str(directory),
            env={**inherited, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
            timeout=SECONDS,
        )
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        #: All that was written, as it was.
        self.written = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._child.close(force=True)

    # --- as time goes by

    def sees(self, pattern, *, seconds=SECONDS):
        """Wait until the screen shows a line that matches, all that was written up to then; return the view."""
        until = time.monotonic() + seconds
        while not any(re.search(pattern, line) for line in self.view):
            assert self._hear(until), f"{pattern!r} never came, and the command has ended:\n{self}"
        return self.view

    def ends(self, *, seconds=SECONDS):
        """Wait until the command has ended; return its exit status."""
        until = time.monotonic() + seconds
        while self._hear(until):
            pass
        self._child.wait()
        return self._child.exitstatus

    def presses(self, keys):
        """Type something."""
        self._child.send(keys)

    def _hear(self, until):
        """Take what is written next; False when nothing more comes, since the command has ended."""
        try:
            # Little at once: no view between two moments is missed.
            data = self._child.read_nonblocking(size=256, timeout=max(0.0, until - time.monotonic()))
        except pexpect.EOF:
            return False
        except pexpect.TIMEOUT:
            raise AssertionError(f"nothing more came in time:\n{self}") from None
        self.written += data
        self._stream.feed(data)
        return True

    # --- the screen

    def __str__(self):
        return "\n".join(self.all)

    @property
    def view(self):
        """The lines that are on the screen now, without the empty ones at the end."""
        return _without_end([line.rstrip() for line in self._screen.display])

    @property
    def all(self):
        """Every line, from the first, also those that have left the screen at its top."""
        gone = [_text(line, self._screen.columns) for line in self._screen.history.top]
        return _without_end([*gone, *self.view])

    @property
    def marked(self):
        """As ``all``, with what is not in plain letters in brackets: ``<red bold>1 failed</>``."""
        rows = [*self._screen.history.top, *(self._screen.buffer[row] for row in range(self._screen.lines))]
        return _without_end([_marked(line, self._screen.columns) for line in rows])

    @property
    def cursor(self):
        """Row and column of the cursor, from 0."""
        return self._screen.cursor.y, self._screen.cursor.x


def steady(lines, changes=()):
    """The lines with digits in place of what differs from run to run: ``24.3 ms`` is ``00.0 ms``.

    Where columns stand does not change. ``changes`` are further patterns and what is written in their place.
    """
    found = []
    for line in lines:
        said = _CHANGING.sub(lambda match: re.sub(r"\d", "0", match.group()), line)
        for pattern, instead in changes:
            said = re.sub(pattern, instead, said)
        found.append(said)
    return found


def _without_end(lines):
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def _cells(line, columns):
    return [line[column] for column in range(columns)]


def _text(line, columns):
    return "".join(cell.data for cell in _cells(line, columns)).rstrip()


def _style(cell):
    names = [] if cell.fg == "default" else [cell.fg]
    names += [] if cell.bg == "default" else [f"on-{cell.bg}"]
    return " ".join([*names, *(name for name in ("bold", "reverse", "underscore") if getattr(cell, name))])


def _marked(line, columns):
    text = ""
    cells = _cells(line, columns)
    while cells and cells[-1].data == " " and not _style(cells[-1]):
        cells.pop()
    for style, run in groupby(cells, _style):
        said = "".join(cell.data for cell in run)
        text += f"<{style}>{said}</>" if style else said
    return text
