"""What writes to a terminal, and lines in several colours. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The name of a colour or style of pytest's terminal writer; empty for none.
Colour = Literal["", "red", "green", "yellow", "purple", "blue", "bold", "light"]


class Writer(Protocol):
    """What is needed of pytest's terminal writer."""

    fullwidth: int

    def line(self, s: str = "", **markup: bool) -> None:
        """Write a line."""

    def sep(
        self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **markup: bool
    ) -> None:
        """Write a title in the middle of a rule."""

    def markup(self, text: str, **markup: bool) -> str:
        """Put colours around a text, where the terminal has them."""


@dataclass(frozen=True)
class Span:
    """Text in one colour."""

    text: str
    colour: Colour = ""

    def __len__(self) -> int:
        return len(self.text)


Line = tuple[Span, ...]
#: Text is broken as if a terminal had at least so many columns.
NARROWEST: Final = 20
NOTHING: Final[Line] = ()


def plain(text: str, colour: Colour = "") -> Line:
    """A line in one colour."""
    return (Span(text, colour),)


def wrapped(text: str, width: int, colour: Colour = "", *, indent: str = "") -> list[Line]:
    """A text in as many lines as it takes, broken between words; ``indent`` stands before all but the first."""
    lines = textwrap.wrap(
        text,
        max(width, NARROWEST),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [plain(line, colour) for line in lines]


def width_of(line: Iterable[Span]) -> int:
    """How many columns a line takes."""
    return sum(map(len, line))


def rows_of(lines: Iterable[Line], width: int) -> int:
    """How many rows of a terminal the lines take: one that is longer than ``width`` goes on in the next row."""
    return sum(max(1, -(-width_of(line) // max(width, 1))) for line in lines)


def write(writer: Writer, lines: Iterable[Line]) -> None:
    """Write each line in its colours."""
    for line in lines:
        parts = [writer.markup(one.text, **{one.colour: True}) if one.colour else one.text for one in line]
        writer.line("".join(parts).rstrip())


def cut(text: str, width: int) -> str:
    """The middle goes: names differ at their ends as often as at their beginnings."""
    if len(text) <= width:
        return text
    keep = max(width - 1, 0)
    return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"
