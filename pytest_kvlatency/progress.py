"""What the run is waiting for, shown while it waits: one line that is rewritten, or plain lines in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter


class Progress:
    """Writes to pytest's terminal reporter, outside of its capture, from the main thread only.

    On a terminal there is one line, rewritten and erased at the end; elsewhere each new text is a line of its own.
    With ``-q``, or without a terminal reporter, nothing is written.
    """

    def __init__(self, config: pytest.Config) -> None:
        # Looked up when needed: while plugins are configured, the terminal's own is not there yet.
        self._plugins = config.pluginmanager
        self._quiet = config.get_verbosity() < 0
        self._last = ""
        self._shown = 0

    def show(self, text: str) -> None:
        """Show ``text`` unless it stands there already."""
        if self._reporter is None or self._quiet or text == self._last:
            return
        self._last = text
        self._write(text)

    def clear(self) -> None:
        """Take the line away again, where it can be."""
        self._last = ""
        if self._reporter is None or not self._shown or not self._reporter.isatty:
            return
        self._write("")
        self._shown = 0

    @property
    def _reporter(self) -> TerminalReporter | None:
        reporter: TerminalReporter | None = self._plugins.get_plugin("terminalreporter")
        return reporter

    def _write(self, text: str) -> None:
        capture = self._plugins.get_plugin("capturemanager")
        if capture is None:
            self._write_now(text)
            return
        with capture.global_and_fixture_disabled():
            self._write_now(text)

    def _write_now(self, text: str) -> None:
        reporter = self._reporter
        if reporter is None:
            return
        if reporter.isatty:
            width = reporter._tw.fullwidth - 1  # noqa: SLF001 - pytest offers no public way to its width
            line = text[:width]
            reporter._tw.write("\r" + line.ljust(self._shown))  # noqa: SLF001
            if not text:
                reporter._tw.write("\r")  # noqa: SLF001
            self._shown = len(line)
        else:
            reporter.ensure_newline()
            reporter.write_line(text)
        reporter.flush()
