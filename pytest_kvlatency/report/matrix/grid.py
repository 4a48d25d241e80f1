"""Matrices on a terminal: the grid where it fits, else in words. Pure text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.matrix.cell import MARKS, MEANINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix

#: Stands where the pair was measured in the other direction only.
MIRROR: Final = "="
_MIRROR_MEANING: Final = "measured the other way round"
_NARROWEST_NAME: Final = 8
_WORST: Final = 10
_GAP: Final = " "


def lines(matrix: Matrix, width: int) -> list[str]:
    """What to print of a network: the counts, the grid (or its ten worst pairs), and who stands out."""
    grid = _grid(matrix, width)
    text = [f"{printable(matrix.nad)}: {matrix.counts}"]
    if grid is None:
        worst = matrix.worst_elsewhere[:_WORST]
        whose = "the worst pairs of the nodes not named below" if matrix.stand_outs else "the worst pairs"
        text += _wrapped(f"the grid of {len(matrix.nodes)} nodes needs a wider terminal; {whose}:", width)
        text += [f"  {printable(one.source)} → {printable(one.target)}  {matrix.text(one)}" for one in worst]
        text += _wrapped(
            f"worst round-trip times in ms; {_legend({matrix.mark(one) for one in worst})}", width
        )
    else:
        text.append("worst round-trip times in ms; row: source, column: target")
        text += grid
        text += _wrapped(_legend(_marks(matrix)), width)
    # A line of its own each, as long as it is: what is cut out of a terminal should be whole.
    text += [printable(line) for line in matrix.stand_outs.values()]
    if matrix.stand_outs:
        text += _wrapped(f"({matrix.rule})", width)
    return text


def _grid(matrix: Matrix, width: int) -> list[str] | None:
    """The table; with numbers for the columns' names where these are too long; None when it is too wide."""
    if 2 * len(matrix.nodes) > width:
        # Not even one character each: nothing that grows with the square of the nodes can be read.
        return None
    names = [printable(node) for node in matrix.nodes]
    cells = [[_text(matrix, source, target) for target in matrix.nodes] for source in matrix.nodes]
    columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
    digits = len(str(len(names)))
    numbered = [f"{number:>{digits}} {name}" for number, name in enumerate(names, start=1)]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    shortest = digits + 1 + _NARROWEST_NAME
    for labels, heads in ((names, names), (numbered, numbers)):
        widths = [max(pair) for pair in zip(columns, map(len, heads), strict=True)]
        room = width - sum(widths) - len(_GAP) * len(widths)
        longest = max(map(len, labels))
        if room >= longest or (labels is numbered and room >= min(shortest, longest)):
            label_width = min(longest, room)
            rows = zip(["", *labels], [heads, *cells], strict=True)
            return [_row(_cut(label, label_width).ljust(label_width), row, widths) for label, row in rows]
    return None


def _row(label: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(
        [label, *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]
    ).rstrip()


def _text(matrix: Matrix, source: str, target: str) -> str:
    cell = matrix.cell(source, target)
    if cell is not None:
        # The place of a mark is kept free, so that the numbers stand below each other.
        return matrix.text(cell) + ("" if matrix.mark(cell) else " ")
    if matrix.mirrored(source, target) is not None:
        return MIRROR
    return "" if source == target else MARKS["missing"]


def _marks(matrix: Matrix) -> set[str]:
    return {_text(matrix, source, target)[-1:] for source in matrix.nodes for target in matrix.nodes}


def _legend(marks: set[str]) -> str:
    meanings: Mapping[str, str] = {**MEANINGS, MIRROR: _MIRROR_MEANING}
    return ", ".join(f"{mark} {meaning}" for mark, meaning in meanings.items() if mark in marks)


def _cut(text: str, width: int) -> str:
    """The middle goes: names differ at their ends as often as at their beginnings."""
    if len(text) <= width:
        return text
    keep = width - 1
    return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)
