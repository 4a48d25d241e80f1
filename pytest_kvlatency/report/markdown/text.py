"""Text that is no Markdown, and a text of bounded size, which says what it leaves out. Pure."""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What begins or ends markup within a line. An underscore within a word does not; a link needs no markup.
_MARKUP: Final = re.compile(r"[\\`*\[\]{}|~#$!@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)
_WHITESPACE: Final = re.compile(r"\s+")
#: Bytes that are kept for what is said of what is left out.
_RESERVED: Final = 1_000


def escaped(text: object) -> str:
    """Text as it is, in one line: neither markup nor HTML, and no end of its cell."""
    line = printable(_WHITESPACE.sub(" ", str(text)).strip())
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", html.escape(line, quote=False))


def preformatted(text: str) -> str:
    """Text of several lines as it is, in HTML: a guest's words could end a block of code."""
    return f"<pre>{html.escape(printable_lines(text), quote=False)}</pre>"


class Bounded:
    """Markdown that grows block by block, up to so many bytes in all; what has no room is counted."""

    def __init__(self, most: int) -> None:
        self._room = most - _RESERVED
        self._lines: list[str] = []
        self._left_out: list[str] = []
        self._blocks = Counter[str]()

    def add(self, *lines: str, name: str = "") -> None:
        """Add a block, or nothing of it; ``name`` is what such blocks are called that are left out."""
        if not self._take(lines) and name:
            self._blocks[name] += 1

    def table(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, name: str, title: str = ""
    ) -> None:
        """Add a table with as many rows as there is room for; with a ``title`` it is folded."""
        opening = [f"<details><summary>{title}</summary>", ""] if title else []
        closing = ["", "</details>", ""] if title else [""]
        frame = [*opening, _row(heads), _row(["---"] * len(heads)), *closing]
        if not rows or not self._take(frame):
            self._left_out += [f"{len(rows)} {name}"] if rows else []
            return
        del self._lines[-len(closing) :]
        for number, row in enumerate(rows):
            if not self._take([_row(row)]):
                self._left_out.append(f"{len(rows) - number} of {len(rows)} {name}")
                break
        self._lines += closing

    @property
    def text(self) -> str:
        """All of it; at its end what is left out."""
        lines = list(self._lines)
        left_out = [*self._left_out, *(f"{count} {name}" for name, count in self._blocks.items())]
        if left_out:
            lines += [f"Left out, because a summary has at most 1 MB: {', '.join(left_out)}.", ""]
        return "\n".join(lines)

    def _take(self, lines: Iterable[str]) -> bool:
        given = list(lines)
        size = sum(len(line.encode()) + 1 for line in given)
        if size > self._room:
            return False
        self._room -= size
        self._lines += given
        return True


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
