"""What the run is waiting for, shown while it waits: one line that is rewritten, or plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.report.screen import Screen
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

#: Between two lines in a log: a short run says nothing, a long one enough to follow it.
LOG_SECONDS: Final = 5.0
#: After so long a log is told again what is still waited for: a silent one looks like a run that hangs.
REPEAT_SECONDS: Final = 60.0


class ProgressLine:
    """Writes to pytest's terminal reporter, outside of its capture, from the main thread only.

    On a terminal there is one line, rewritten while the run waits and erased afterwards; the dots that pytest has
    written stand as before. Elsewhere a line is written when the text has changed, every ``LOG_SECONDS`` at most, and
    every ``REPEAT_SECONDS`` when it has not.
    With ``-q``, or without a terminal reporter, nothing is written. A terminal that is gone stops no run.
    """

    def __init__(self, config: pytest.Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        # Looked up when needed: while plugins are configured, the terminal's own is not there yet.
        self._plugins = config.pluginmanager
        self._quiet = getattr(config.option, "verbose", 0) < 0
        self._clock = clock
        self._last = ""
        self._is_shown = False
        self._column = 0
        self._logged_at: float | None = None
        self._began_at = 0.0

    def show(self, text: str) -> None:
        """Show ``text`` unless it stands there already."""
        screen = self._screen
        if screen is None or self._quiet:
            return
        if screen.can_rewrite:
            if text != self._last:
                self._last = text
                self._unhindered(lambda: self._rewrite(screen, text))
        elif line := self._due(text):
            self._last = text
            self._unhindered(lambda: screen.log(line))

    def clear(self) -> None:
        """Take the line away again, where it can be."""
        self._last = ""
        screen = self._screen
        if screen is None or not self._is_shown:
            return
        self._unhindered(lambda: self._erase(screen))

    @property
    def _screen(self) -> Screen | None:
        reporter = self._plugins.get_plugin("terminalreporter")
        return None if reporter is None else Screen(reporter)

    def _due(self, text: str) -> str:
        """The line that a log is due; empty when none is."""
        now = self._clock()
        if self._logged_at is None:
            # The first wait starts the clock.
            self._logged_at = now
        is_new = text != self._last
        if now - self._logged_at < (LOG_SECONDS if is_new else REPEAT_SECONDS):
            return ""
        self._logged_at = now
        if is_new:
            self._began_at = now
            return text
        return f"{text} (still, after {format_duration(round(now - self._began_at) * 1_000_000_000)})"

    def _unhindered(self, write: Callable[[], None]) -> None:
        capture = self._plugins.get_plugin("capturemanager")
        visible = contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled()
        # Where nobody reads: a closed stream, a terminal that hung up (EIO), a pipe that was left.
        with contextlib.suppress(OSError, ValueError), visible:
            write()

    def _rewrite(self, screen: Screen, text: str) -> None:
        """Write below the line that pytest is writing, whose length tells the way back."""
        self._column = screen.rewrite(text, below=self._column if self._is_shown else None)
        self._is_shown = True

    def _erase(self, screen: Screen) -> None:
        self._is_shown = False
        screen.erase(below=self._column)
