"""The terminal as pytest's reporter has it, or whatever another plugin has put in that reporter's place."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pytest_kvlatency.report.terminal.writer import Writer

_ERASE: Final = "\r\x1b[2K"


class Screen:
    """Writes lines to a terminal reporter. Of a reporter only that it is an object is taken for granted.

    What a reporter lacks is done without it: lines go to standard output, and no line is rewritten.
    """

    def __init__(self, reporter: object) -> None:
        self._reporter: Any = reporter
        self._tw: Any = getattr(reporter, "_tw", None)  # pytest has no public way to it

    @property
    def writer(self) -> Writer:
        """What writes whole tables."""
        if all(hasattr(self._tw, name) for name in ("line", "sep", "markup", "fullwidth")):
            writer: Writer = self._tw
            return writer
        return _PlainWriter()

    def write_line(self, text: str, **markup: bool) -> None:
        """Write a line of its own."""
        if hasattr(self._reporter, "write_line"):
            self._reporter.write_line(text, **markup)
        else:
            self._call("ensure_newline")
            self.writer.line(text, **markup)

    def log(self, text: str) -> None:
        """Write a line of its own, to be read at once."""
        self._call("ensure_newline")
        self.write_line(text)
        self._call("flush")

    @property
    def can_rewrite(self) -> bool:
        """Whether a line can be written over: on a terminal that moves its cursor, with a reporter like pytest's."""
        isatty = getattr(self._reporter, "isatty", False)
        is_terminal = bool(isatty() if callable(isatty) else isatty)
        knows_columns = all(
            hasattr(self._tw, name) for name in ("width_of_current_line", "fullwidth", "_file")
        )
        return is_terminal and knows_columns and os.environ.get("TERM", "dumb") != "dumb"

    def rewrite(self, text: str, *, below: int | None = None) -> int:
        """Write ``text`` over the line of the cursor.

        ``below`` is the column of the line above, which stands as it was; None for a first line, which goes below
        the one that the reporter is writing. Return that column.
        """
        column: int = self._tw.width_of_current_line if below is None else below
        start = "\n" if below is None and column else _ERASE
        self._raw(start + text[: self._tw.fullwidth - 1])
        return column

    def erase(self, *, below: int) -> None:
        """Take a line away that was written by ``rewrite``, and go back to the column of the line above."""
        self._raw(_ERASE + (f"\x1b[1A\x1b[{below + 1}G" if below else ""))

    def _raw(self, text: str) -> None:
        # Past the writer, which would count columns.
        self._tw._file.write(text)  # noqa: SLF001
        self._tw._file.flush()  # noqa: SLF001

    def _call(self, name: str) -> None:
        method = getattr(self._reporter, name, None)
        if callable(method):
            method()


class _PlainWriter:
    """Lines on standard output, without colours."""

    def __init__(self) -> None:
        self.fullwidth = shutil.get_terminal_size().columns

    def line(self, s: str = "", **markup: bool) -> None:
        del markup
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(f"{s}\n".encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def sep(
        self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **markup: bool
    ) -> None:
        del markup
        width = fullwidth or self.fullwidth
        self.line(f" {title} ".center(width, sepchar) if title else sepchar * width)

    def markup(self, text: str, **markup: bool) -> str:
        del markup
        return text
