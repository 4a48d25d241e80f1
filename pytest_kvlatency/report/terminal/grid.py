"""One network as a grid: of numbers, of one character a cell, or with equal rows put together. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.matrix.cell import MARKS, WORST_MARK
from pytest_kvlatency.report.terminal.writer import Span, cut, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.report.matrix.cell import State
    from pytest_kvlatency.report.matrix.matrix import Matrix
    from pytest_kvlatency.report.terminal.writer import Colour, Line

#: Stands before the value of a pair that was measured in the other direction only.
MIRROR: Final = "="
#: A pair within its limits, where there is room for one character only.
OK: Final = "·"
_COLOURS: Final[Mapping[State, Colour]] = {
    "ok": "green",
    "over": "yellow",
    "loss": "purple",
    "dead": "red",
    "error": "red",
    "missing": "",
}
_NARROWEST_NAME: Final = 8
#: A column's head of one character a line: what differs of the names must be as short as this.
_TALLEST_HEAD: Final = 3


@dataclass(frozen=True, kw_only=True)
class Block:
    """The lines of one grid; the first ``heads`` of them are its columns' heads.

    ``marks`` are the characters that need an explanation; ``badness`` says of each row how much of it failed.
    """

    lines: tuple[Line, ...]
    heads: int = 0
    marks: frozenset[str] = frozenset()
    badness: tuple[int, ...] = ()
    has_numbers: bool = False
    has_mirrors: bool = False
    is_folded: bool = False


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What stands in one cell."""

    text: str = ""
    mark: str = ""
    colour: Colour = ""
    is_mirrored: bool = False
    is_failed: bool = False

    @property
    def character(self) -> str:
        """The cell in one character."""
        return self.mark or (OK if self.text else " ")


def numbered(matrix: Matrix, width: int) -> Block | None:
    """A grid of numbers; None when it is too wide."""
    if 4 * len(matrix.nodes) > width:
        return None
    places = _places(matrix)
    names = [printable(node) for node in matrix.nodes]
    cells = [[one.text + ("" if one.mark or not one.text else " ") for one in row] for row in places]
    if not any(one.mark for row in places for one in row):
        cells = [[text.rstrip() for text in row] for row in cells]
    columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
    short = _short_names(names)
    ordinals = _ordinals(names)
    for heads in (names, short or ordinals):
        labels = names if heads is not ordinals else _with_ordinals(names, range(len(names)))
        widths = [max(pair) for pair in zip(columns, map(len, heads), strict=True)]
        label_width = _label_width(labels, width - sum(widths) - len(widths), is_cut=heads is not names)
        if label_width is None:
            continue
        lines = [
            plain(
                " " * label_width
                + "".join(f" {head:>{size}}" for head, size in zip(heads, widths, strict=True))
            )
        ]
        for label, row, texts in zip(labels, places, cells, strict=True):
            spans = [Span(cut(label, label_width).ljust(label_width))]
            spans += [
                Span(" " + text.rjust(size), one.colour)
                for one, text, size in zip(row, texts, widths, strict=True)
            ]
            lines.append(tuple(spans))
        return _block(lines, 1, places, has_numbers=True)
    return None


def marked(matrix: Matrix, width: int) -> Block | None:
    """A grid of one character a cell; None when even that is too wide."""
    places = _places(matrix)
    return _characters([printable(node) for node in matrix.nodes], places, width)


def folded(matrix: Matrix, width: int) -> Block | None:
    """As ``marked``, with nodes whose rows are equal in one row; in one column too where the terminal is narrow."""
    places = _places(matrix)
    names = [printable(node) for node in matrix.nodes]
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(places):
        groups.setdefault(_pattern(row, number), []).append(number)
    first = [numbers[0] for numbers in groups.values()]
    labels = [
        names[numbers[0]] + (f" +{len(numbers) - 1}" if len(numbers) > 1 else "")
        for numbers in groups.values()
    ]
    rows = [places[number] for number in first]
    block = _characters(names, rows, width, labels=labels, own=first)
    if block is not None:
        return block
    inner = [
        [_common(row[number] for number in numbers if number != own) for numbers in groups.values()]
        for own, row in zip(first, rows, strict=True)
    ]
    return _characters(labels, inner, width, is_folded=True)


def _characters(
    names: Sequence[str],
    rows: Sequence[Sequence[_Place]],
    width: int,
    *,
    labels: Sequence[str] = (),
    own: Sequence[int] = (),
    is_folded: bool = False,
) -> Block | None:
    """Rows of one character a cell, below heads that are read from top to bottom. None when it is too wide.

    ``labels`` are the rows', and ``own`` their places among the columns, where these are not the same.
    """
    short = _short_names(names)
    shown = list(labels or names)
    if not short:
        short = _ordinals(names)
        shown = _with_ordinals(shown, own or range(len(names)))
    gap = " " if 2 * len(names) + _NARROWEST_NAME <= width else ""
    label_width = _label_width(shown, width - len(names) * (1 + len(gap)) - (not gap), is_cut=True)
    if label_width is None:
        return None
    tall = max(map(len, short))
    start = " " * label_width + ("" if gap else " ")
    lines: list[Line] = [
        plain(start + "".join(gap + head.rjust(tall)[level] for head in short)) for level in range(tall)
    ]
    for label, row in zip(shown, rows, strict=True):
        spans = [Span(cut(label, label_width).ljust(label_width) + ("" if gap else " "))]
        spans += [Span(gap + one.character, one.colour) for one in row]
        lines.append(tuple(spans))
    return _block(lines, tall, rows, is_folded=is_folded or len(rows) < len(names))


def _block(
    lines: Sequence[Line],
    heads: int,
    rows: Sequence[Sequence[_Place]],
    *,
    has_numbers: bool = False,
    is_folded: bool = False,
) -> Block:
    every = [one for row in rows for one in row]
    marks = {one.mark for one in every if one.mark}
    has_mirrors = any(one.is_mirrored for one in every)
    if has_numbers:
        marks |= {MIRROR} if has_mirrors else set()
    elif any(one.character == OK for one in every):
        marks.add(OK)
    return Block(
        lines=tuple(lines),
        heads=heads,
        marks=frozenset(marks),
        badness=tuple(sum(one.is_failed for one in row) for row in rows),
        has_numbers=has_numbers,
        has_mirrors=has_mirrors,
        is_folded=is_folded,
    )


def _places(matrix: Matrix) -> list[list[_Place]]:
    return [[_place(matrix, source, target) for target in matrix.nodes] for source in matrix.nodes]


def _place(matrix: Matrix, source: str, target: str) -> _Place:
    cell, is_mirrored = matrix.cell(source, target), False
    if cell is None:
        cell, is_mirrored = matrix.mirrored(source, target), True
    if cell is None:
        return _Place() if source == target else _Place(text=MARKS["missing"], mark=MARKS["missing"])
    mark, text = matrix.mark(cell), matrix.text(cell) or "ok"
    colour: Colour = "bold" if mark == WORST_MARK else _COLOURS[cell.state]
    return _Place(
        text=(MIRROR if is_mirrored else "") + text,
        mark=mark,
        colour=colour,
        is_mirrored=is_mirrored,
        is_failed=cell.is_failed,
    )


def _pattern(row: Sequence[_Place], own: int) -> str:
    """A row's characters, with its own place as most of the others: nodes of one pattern are alike."""
    characters = [one.character for one in row]
    others = Counter(characters[:own] + characters[own + 1 :])
    characters[own] = min(others, key=lambda one: (-others[one], one))
    return "".join(characters)


def _common(places: Iterable[_Place]) -> _Place:
    """What most of the places hold; nothing where there are none."""
    found = list(places)
    if not found:
        return _Place()
    return Counter(found).most_common(1)[0][0]


def _short_names(names: Sequence[str]) -> list[str]:
    """What differs of the names, where that is short: ``1`` of ``worker1``. Empty where it is not."""
    start = _shared(names)
    while start and names[0][start - 1].isdecimal():
        start -= 1
    end = _shared([name[::-1] for name in names])
    parts = [name[start : len(name) - min(end, len(name) - start)] for name in names]
    if all(0 < len(part) <= _TALLEST_HEAD for part in parts) and len(set(parts)) == len(parts):
        return parts
    return []


def _shared(names: Sequence[str]) -> int:
    """How many characters the names begin with alike."""
    first, last = min(names), max(names)
    pairs = zip(first, last, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(first))


def _ordinals(names: Sequence[str]) -> list[str]:
    return [str(number) for number in range(1, len(names) + 1)]


def _with_ordinals(labels: Sequence[str], places: Sequence[int]) -> list[str]:
    digits = len(str(max(places, default=0) + 1))
    return [f"{place + 1:>{digits}} {label}" for place, label in zip(places, labels, strict=True)]


def _label_width(labels: Sequence[str], room: int, *, is_cut: bool) -> int | None:
    """How wide the rows' labels are; None when they do not fit, or would lose too much where they may be cut."""
    longest = max(map(len, labels))
    if room >= longest:
        return longest
    return room if is_cut and room >= min(longest, _NARROWEST_NAME) else None
