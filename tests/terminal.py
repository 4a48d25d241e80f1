"""What a person sees: a command on a pseudo-terminal, and the screen that a terminal makes of what it writes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from itertools import groupby

import pyte

SECONDS = 120
#: A run that is told to end deletes its VMIs first.
ENDING_SECONDS = 60
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
        self._master, inside = pty.openpty()
        try:
            fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            # The leader of a session and of a process group, whose terminal this is.
            self._process = subprocess.Popen(
                ["setsid", "-c", *map(str, command)],
                stdin=inside,
                stdout=inside,
                stderr=inside,
                cwd=directory,
                env={**inherited, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(inside)
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        #: All that was written, as it was.
        self.written = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.close()
        except (OSError, subprocess.TimeoutExpired):
            # What the test has found is not hidden by what came of it.
            if kind is None:
                raise

    def close(self):
        """End the command and all that it has started in its process group: as it likes, or else by force."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                # Read on: it must not wait for a reader.
                with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                    self.ends(seconds=ENDING_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(SECONDS)
        finally:
            os.close(self._master)

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
        return self._process.wait(max(0.0, until - time.monotonic()))

    def resize(self, columns):
        """Make the terminal wider or narrower."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self._screen.lines, columns, 0, 0))
        self._screen.resize(columns=columns)

    def presses(self, keys):
        """Type something."""
        os.write(self._master, keys.encode())

    def _hear(self, until):
        """Take what is written next; False when nothing more comes, since the command has ended."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"nothing more came in time:\n{self}"
        try:
            # Little at once: no view between two moments is missed.
            data = os.read(self._master, 256)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
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
