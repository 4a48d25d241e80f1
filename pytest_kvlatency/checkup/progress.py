"""What the run is waiting for, shown while it waits: one line that is rewritten, or plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.report.progressline import Progress, progress_line, words_line
from pytest_kvlatency.report.screen import Screen
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from pytest_kvlatency.report.progressline import Piece

#: Before the first line in a log, and between two: a short run says nothing, a long one enough to follow it.
LOG_SECONDS: Final = 5.0
#: The pauses grow with the run, to this part of what it has taken.
GROWTH: Final = 0.25
#: The longest pause, and with ``-q`` every one. A log that is silent for longer looks like a run that hangs.
REPEAT_SECONDS: Final = 60.0
PREFIX: Final = "kvlatency: "


class ProgressLine:
    """Writes to pytest's terminal reporter, outside of its capture, from the main thread only.

    On a terminal with colours there is one line, rewritten while the run waits and erased afterwards; the dots that
    pytest has written stand as before. Where that cannot be, or others write too (``-s``, live logs), lines are
    written, each on a line of its own, after growing pauses; with ``-q`` one a minute, and with ``-qq`` none.
    Without a terminal reporter nothing is written. A terminal that is gone stops no run.
    """

    def __init__(self, config: pytest.Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        # Looked up when needed: while plugins are configured, the terminal's own is not there yet.
        self._plugins = config.pluginmanager
        self._verbosity = getattr(config.option, "verbose", 0)
        self._is_shared = getattr(config.option, "capture", "") in {"no", "tee-sys"} or _logs_live(config)
        #: Under pytest-xdist lines come from several tests at once: none of them is gone on with.
        self._is_distributed = getattr(config.option, "dist", "no") != "no"
        self._clock = clock
        self._shown: list[Piece] = []
        self._column: int | None = None
        self._logged: list[Piece] = []
        self._first_at: float | None = None
        self._logged_at = 0.0
        self._began_at = 0.0
        self._has_logged = False

    def show(self, line: str | Progress) -> None:
        """Show a line unless it stands there already."""
        screen = self._screen
        if screen is None or self._verbosity < -1:
            return
        if not self._verbosity < 0 and not self._is_shared and screen.can_rewrite:
            whole = _pieces(line)
            if whole != self._shown:
                self._shown = whole
                self._unhindered(lambda: self._rewrite(screen, line))
        elif more := self._due(line):
            self._unhindered(lambda: self._log(screen, line, more))

    def clear(self) -> None:
        """Take the line away again, where it can be; else have pytest go on where it was."""
        screen, column = self._screen, self._column
        has_logged, self._has_logged = self._has_logged, False
        self._shown, self._logged, self._column = [], [], None
        if screen is None:
            return
        if column is not None:
            self._unhindered(lambda: screen.erase(below=column))
        elif has_logged and not self._is_distributed:
            self._unhindered(screen.resume)

    @property
    def _screen(self) -> Screen | None:
        reporter = self._plugins.get_plugin("terminalreporter")
        return None if reporter is None else Screen(reporter)

    def _due(self, line: str | Progress) -> tuple[str, ...]:
        """What a log is due: nothing, or a line, with what is said behind it."""
        now = self._clock()
        if self._first_at is None:
            # The first wait starts the clock.
            self._first_at = self._logged_at = now
        passed = now - self._logged_at
        grown = max(LOG_SECONDS, GROWTH * (self._logged_at - self._first_at))
        if passed < (REPEAT_SECONDS if self._verbosity < 0 else min(REPEAT_SECONDS, grown)):
            return ()
        whole = _pieces(line)
        if whole == self._logged and passed < REPEAT_SECONDS:
            return ()
        self._logged_at = now
        if whole == self._logged:
            return (f" (still, after {format_duration(round(now - self._began_at) * 1_000_000_000)})",)
        self._logged, self._began_at = whole, now
        return ("",)

    def _unhindered(self, write: Callable[[], None]) -> None:
        capture = self._plugins.get_plugin("capturemanager")
        visible = contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled()
        # Where nobody reads: a closed stream, a terminal that hung up (EIO), a pipe that was left.
        with contextlib.suppress(OSError, ValueError), visible:
            write()

    # The terminal's width is known only while pytest captures nothing: these are called then.

    def _rewrite(self, screen: Screen, line: str | Progress) -> None:
        """Write below the line that pytest is writing, whose length tells the way back."""
        pieces = _pieces(line, screen.columns - 1, is_plain=screen.is_ascii)
        self._column = screen.rewrite(pieces, below=self._column)

    def _log(self, screen: Screen, line: str | Progress, more: Sequence[str]) -> None:
        """Write a line. Where a test writes too, it may have left a line of its own unfinished before this wait."""
        behind = "".join(more)
        # A log, which is wider than any screen, is read without what stands around the line.
        prefix = "" if screen.is_terminal or (isinstance(line, str) and line.startswith(PREFIX)) else PREFIX
        width = screen.columns - 1 - len(behind) if screen.is_terminal else None
        said = "".join(piece.text for piece in _pieces(line, width, is_plain=screen.is_ascii))
        screen.log(prefix + said + behind, is_fresh=self._has_logged or not self._is_shared)
        self._has_logged = True


def _pieces(line: str | Progress, width: int | None = None, *, is_plain: bool = False) -> list[Piece]:
    if isinstance(line, Progress):
        return progress_line(line, width, is_plain=is_plain)
    return words_line(line, width, is_plain=is_plain)


def _logs_live(config: pytest.Config) -> bool:
    """Whether pytest shows log messages as they come, of whatever thread."""
    if getattr(config.option, "log_cli_level", None):
        return True
    try:
        return bool(config.getini("log_cli"))
    except (KeyError, ValueError):
        # Without pytest's logging (-p no:logging) there is no such value.
        return False
