"""Networks as grids of nodes, side by side where there is room, each as detailed as the room allows. Pure.

A grid holds numbers; else one character a cell; else equal rows are put together, and at last equal columns too. A pair
that was measured in one direction only fills the cell of the other direction as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.matrix.cell import MEANINGS
from pytest_kvlatency.report.terminal.grid import MIRROR, OK, Block, folded, marked, numbered
from pytest_kvlatency.report.terminal.writer import NOTHING, Span, plain, rows_of, width_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix
    from pytest_kvlatency.report.terminal.writer import Line

#: Ways to draw a grid, the most detailed first.
_MAKERS: Final = (numbered, marked, folded)
_FOLDED: Final = len(_MAKERS) - 1
_GAP: Final = "   "
_MEANINGS: Final = {OK: "ok", **MEANINGS, MIRROR: "measured the other way round"}
_BOTH_CELLS: Final = "a pair measured one way stands in both its cells"
_SAME_ROW: Final = "+N: so many more nodes have the same row"


def grids(matrices: Sequence[Matrix], width: int, room: int) -> list[Line]:
    """All networks in at most ``room`` lines: in the most detailed way that fits, and else only the worst of them."""
    if not matrices:
        return []
    ill = [matrix for matrix in matrices if _failed(matrix)]
    healthy = plain(_others(len(matrices) - len(ill), are_good=True))
    # Where not all networks can be shown in full, those with failures are rather than all of them folded.
    ways = [(matrices, level) for level in range(_FOLDED)]
    if 0 < len(ill) < len(matrices):
        ways += [(ill, level) for level in range(_FOLDED)]
    ways.append((matrices, _FOLDED))
    for shown, level in ways:
        lines = _laid_out([_block(matrix, width, level) for matrix in shown], shown, width)
        if len(shown) < len(matrices):
            lines.append(healthy)
        if rows_of(lines, width) <= room:
            return lines
    return _worst_only(matrices, width, room)


def _block(matrix: Matrix, width: int, level: int) -> Block:
    """The grid in this level of detail, or in the next one that is narrow enough."""
    for make in _MAKERS[level:]:
        block = make(matrix, width)
        if block is not None:
            return block
    return Block(lines=(plain("the grid needs a wider terminal"),))


def _laid_out(blocks: Sequence[Block], matrices: Sequence[Matrix], width: int) -> list[Line]:
    """The blocks below their networks' names, as many beside each other as fit, and the legend of them all."""
    # Beside each other there is only room for the name; what became of how many says the verdict.
    is_narrow = len(blocks) > 1
    titles = [[plain(printable(one.nad), "bold")] if is_narrow else _title(one, width) for one in matrices]
    titled = [(*title, *block.lines) for title, block in zip(titles, blocks, strict=True)]
    lines: list[Line] = []
    for row in _packed(titled, width):
        lines += _beside(row)
    slow = [plain(printable(line)) for matrix in matrices for line in _slow(matrix, is_named=is_narrow)]
    return [*lines, *_legend(blocks, width), *slow]


def _title(matrix: Matrix, width: int) -> list[Line]:
    return wrapped(f"{printable(matrix.nad)}: {matrix.counts}", width, "bold")


def _packed(blocks: Sequence[Sequence[Line]], width: int) -> list[list[Sequence[Line]]]:
    """Which blocks stand beside each other."""
    rows: list[list[Sequence[Line]]] = []
    used = 0
    for block in blocks:
        own = max(map(width_of, block))
        if rows and used + len(_GAP) + own <= width:
            rows[-1].append(block)
            used += len(_GAP) + own
        else:
            rows.append([block])
            used = own
    return rows


def _beside(blocks: Sequence[Sequence[Line]]) -> list[Line]:
    widths = [max(map(width_of, block)) for block in blocks]
    lines: list[Line] = []
    for number in range(max(map(len, blocks))):
        spans: list[Span] = []
        for block, width in zip(blocks, widths, strict=True):
            line = block[number] if number < len(block) else NOTHING
            spans += [*line, Span(" " * (width - width_of(line)) + _GAP)]
        lines.append(tuple(spans[:-1]))
    return lines


def _legend(blocks: Sequence[Block], width: int) -> list[Line]:
    """What the characters mean that are there."""
    marks = {mark for block in blocks for mark in block.marks}
    parts = []
    if any(block.has_numbers for block in blocks):
        parts.append("worst round-trip times in ms")
    parts.append("row: source, column: target")
    parts += [f"{mark} {meaning}" for mark, meaning in _MEANINGS.items() if mark in marks]
    if MIRROR not in marks and any(block.has_mirrors for block in blocks):
        parts.append(_BOTH_CELLS)
    if any(block.is_folded for block in blocks):
        parts.append(_SAME_ROW)
    return wrapped("; ".join(parts), width)


def _slow(matrix: Matrix, *, is_named: bool) -> Iterable[str]:
    name = f"{matrix.nad}: " if is_named else ""
    return (name + line for line in matrix.slow_nodes.values())


def _worst_only(matrices: Sequence[Matrix], width: int, room: int) -> list[Line]:
    """The networks with most failures first, as many as there is room for; the others are counted."""
    ranked = sorted(range(len(matrices)), key=lambda place: (-_failed(matrices[place]), place))
    for count in range(len(matrices), 0, -1):
        chosen = [matrices[place] for place in sorted(ranked[:count])]
        blocks = [_block(matrix, width, _FOLDED) for matrix in chosen]
        lines = _laid_out(blocks, chosen, width)
        rest = len(matrices) - count
        if rest:
            are_good = not any(_failed(matrices[place]) for place in ranked[count:])
            lines.append(plain(_others(rest, are_good=are_good)))
        if rows_of(lines, width) <= room:
            return lines
    are_good = not any(_failed(matrices[place]) for place in ranked[1:])
    return _shortened(matrices[ranked[0]], width, room, others=_others(len(matrices) - 1, are_good=are_good))


def _failed(matrix: Matrix) -> int:
    """How many pairs failed."""
    return sum(one.is_failed for one in matrix.cells.values())


def _others(count: int, *, are_good: bool) -> str:
    """What to say of networks that are not shown; empty where there are none."""
    if not count:
        return ""
    return f"and {count} more {'network' if count == 1 else 'networks'}{', without failures' if are_good else ''}"


def _shortened(matrix: Matrix, width: int, room: int, *, others: str) -> list[Line]:
    """The rows with most failures of the worst network."""
    block = _block(matrix, width, _FOLDED)
    heads, rows = block.lines[: block.heads], block.lines[block.heads :]
    tail = _legend([block], width)
    words = [others] if others else []
    name = _title(matrix, width)
    space = max(3, room - rows_of([*name, *heads, *tail], width) - 1)
    kept = sorted(sorted(range(len(rows)), key=lambda number: -block.badness[number])[:space])
    if len(kept) < len(rows):
        words.insert(0, f"and {len(rows) - len(kept)} more rows")
    end = [plain(", ".join(words))] if words else []
    return [*name, *heads, *(rows[number] for number in kept), *end, *tail]
