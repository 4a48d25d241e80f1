"""The terminal as pytest's reporter has it, or whatever another plugin has put in that reporter's place."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.report.progressline import Piece
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

    def begin_section(self) -> None:
        """Have what follows begin on a line of its own: a reporter ends its line only for what it writes itself."""
        self._call("ensure_newline")

    def write_line(self, text: str, **markup: bool) -> None:
        """Write a line of its own."""
        if hasattr(self._reporter, "write_line"):
            self._reporter.write_line(text, **markup)
        else:
            self._call("ensure_newline")
            self.writer.line(text, **markup)

    def log(self, text: str, *, is_fresh: bool = True) -> None:
        """Write a line of its own, to be read at once.

        What the reporter was writing goes on below it, where it knows its columns. Not ``is_fresh``: others may have
        written meanwhile, and not ended their line.
        """
        if self._knows_columns:
            if self._tw.width_of_current_line or not is_fresh:
                self._tw.line()
            self._tw.line(text)
        else:
            self._call("ensure_newline")
            self.write_line(text)
        self._call("flush")

    def resume(self) -> None:
        """After ``log``, go on with the test whose name the reporter was writing (``-v``); dots just go on."""
        name = getattr(self._reporter, "currentfspath", None)
        if isinstance(name, str) and self._knows_columns and not self._tw.width_of_current_line:
            self._tw.write(name, flush=True)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at a terminal."""
        isatty = getattr(self._reporter, "isatty", False)
        return bool(isatty() if callable(isatty) else isatty)

    @property
    def is_ascii(self) -> bool:
        """Whether arrows and the like cannot be written."""
        encoding = getattr(getattr(self._tw, "_file", None), "encoding", None) or "utf-8"
        try:
            "→…".encode(encoding)
        except (LookupError, UnicodeEncodeError):
            return True
        return False

    @property
    def can_rewrite(self) -> bool:
        """Whether a line can be written over: on a terminal that takes commands, with a reporter like pytest's.

        One that is to show no colours is to be sent no other commands either.
        """
        takes_commands = getattr(self._tw, "hasmarkup", False) and os.environ.get("TERM", "dumb") != "dumb"
        return self.is_terminal and self._knows_columns and takes_commands

    @property
    def columns(self) -> int:
        """The terminal's width: never more than it really has, whatever the environment says."""
        said: int = self.writer.fullwidth
        try:
            real = os.get_terminal_size(self._tw._file.fileno()).columns  # noqa: SLF001
        except (AttributeError, OSError, ValueError):
            real = 0
        return min(said, real) if real else said

    def rewrite(self, pieces: Sequence[Piece], *, below: int | None = None) -> int:
        """Write ``pieces`` over the line of the cursor.

        ``below`` is the column of the line above, which stands as it was; None for a first line, which goes below
        the one that the reporter is writing. Return that column.
        """
        column: int = self._tw.width_of_current_line if below is None else below
        start = "\n" if below is None and column else _ERASE
        self._raw(
            start
            + "".join(
                self._tw.markup(one.text, **{one.colour: True}) if one.colour else one.text for one in pieces
            )
        )
        return column

    def erase(self, *, below: int) -> None:
        """Take a line away that was written by ``rewrite``, and go back to the column of the line above."""
        # That line may be several on the screen; at the very end of one the next is where the cursor is already.
        column = below % self.columns
        self._raw(_ERASE + (f"\x1b[1A\x1b[{column + 1}G" if column else ""))

    @property
    def _knows_columns(self) -> bool:
        return all(
            hasattr(self._tw, name) for name in ("width_of_current_line", "fullwidth", "_file", "line")
        )

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

    def line(self, s: str = "", **_: bool) -> None:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(f"{s}\n".encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def sep(self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **_: bool) -> None:
        width = fullwidth or self.fullwidth
        self.line(f" {title} ".center(width, sepchar) if title else sepchar * width)

    def markup(self, text: str, **_: bool) -> str:
        return text
