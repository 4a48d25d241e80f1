"""Matrices in the HTML report: a table per network, coloured by limit, else by scale. Pure.

It must serve without colours and without eyes: each cell holds its value and a mark, and each link says its pair.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import for_html
from pytest_kvlatency.report.matrix.cell import MEANINGS, described
from pytest_kvlatency.report.matrix.matrix import matrices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_kvlatency.report.matrix.cell import Cell
    from pytest_kvlatency.report.matrix.matrix import Matrix

#: A table of more nodes would be slow to open and hopeless to read: the worst pairs are listed instead.
MOST_NODES: Final = 100
_LISTED: Final = 50
#: From the best to the worst; dark text is readable on each (contrast above 7 to 1).
_SCALE: Final = ("#ffffff", "#fff7d6", "#ffecb0", "#ffdd8a", "#ffca6e")
_OVER: Final = "#ff9d8a"
_COLOURS: Final = {
    "over": _OVER,
    "loss": "#f3b0e0",
    "error": "#c9c9d6",
    "dead": "#2b2b2b",
    "missing": "#ffffff",
}
_INK: Final = "#1a1a1a"
_MIRROR: Final = "measured the other way round, as"
_STYLE: Final = (
    "<style>"
    ".kv-heat{border-collapse:collapse;background:#fff;color:#1a1a1a;margin:4px 0}"
    ".kv-heat caption{text-align:left;padding:4px 0}"
    ".kv-heat th,.kv-heat td{border:1px solid #8c8c8c;padding:3px 6px;text-align:right;white-space:nowrap}"
    ".kv-heat thead th{vertical-align:bottom}"
    ".kv-heat th.kv-out{background:#1a1a1a;color:#fff}"
    ".kv-heat a{color:inherit}"
    ".kv-heat .kv-mirror{font-style:italic}"
    ".kv-heat .kv-worst{outline:2px solid #1a1a1a;outline-offset:-3px;font-weight:bold}"
    "td:target{outline:3px solid #1a1a1a}"
    "</style>"
)
#: Longer names of columns are turned by 90 degrees.
_LONGEST_HEAD: Final = 10


def section(entries: Sequence[Mapping[str, Any]]) -> str:
    """All matrices of a document as one block of HTML; empty when no network has enough pairs for one."""
    found = matrices(entries)
    if not found:
        return ""
    return f'<section id="kv-matrix">{_STYLE}{"".join(_network(matrix) for matrix in found)}</section>'


def _network(matrix: Matrix) -> str:
    name = for_html(matrix.nad)
    parts = [f"<h2>{name}</h2><p>{for_html(matrix.counts)}.</p>"]
    if matrix.stand_outs:
        lines = "".join(f"<li><strong>{for_html(line)}</strong></li>" for line in matrix.stand_outs.values())
        parts.append(f"<ul>{lines}</ul>")
    if len(matrix.nodes) > MOST_NODES:
        parts.append(_list(matrix))
    else:
        region = f'role="region" tabindex="0" aria-label="Matrix of {name}"'
        parts.append(f'<div style="overflow-x:auto" {region}>{_table(matrix)}</div>')
    parts.append(f"<p>{for_html(_legend(matrix))}</p>")
    return "".join(parts)


def _table(matrix: Matrix) -> str:
    heads = "".join(_head(matrix, node, "col") for node in matrix.nodes)
    rows = "".join(
        f"<tr>{_head(matrix, source, 'row')}{''.join(_td(matrix, source, target) for target in matrix.nodes)}</tr>"
        for source in matrix.nodes
    )
    caption = f"{matrix.nad}: worst round-trip time of each pair in milliseconds; row: source, column: target"
    return (
        f'<table class="kv-heat"><caption>{for_html(caption)}</caption>'
        f'<thead><tr><th scope="col">source \\ target</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _head(matrix: Matrix, node: str, scope: str) -> str:
    line = matrix.stand_outs.get(node)
    text = for_html(node)
    if scope == "col" and len(node) > _LONGEST_HEAD:
        text = f'<span style="writing-mode:vertical-rl">{text}</span>'
    if line is None:
        return f'<th scope="{scope}">{text}</th>'
    return f'<th scope="{scope}" class="kv-out" title="{for_html(line)}">{text} &#9650;</th>'


def _td(matrix: Matrix, source: str, target: str) -> str:
    cell = matrix.cell(source, target)
    if cell is not None:
        style = "kv-worst" if cell is matrix.worst_cell or (source, target) in matrix.starred else ""
        return _filled(matrix, cell, matrix.text(cell) or "ok", described(cell), style)
    cell = matrix.mirrored(source, target)
    if cell is None:
        return "<td>-</td>" if source != target else '<td aria-label="same node">&nbsp;</td>'
    words = f"{source} → {target}: {_MIRROR} {described(cell)}"
    return _filled(matrix, cell, f"({matrix.text(cell) or 'ok'})", words, "kv-mirror")


def _filled(matrix: Matrix, cell: Cell, text: str, words: str, style: str) -> str:
    safe = for_html(words)
    ink = "#ffffff" if cell.state == "dead" else _INK
    return (
        f'<td class="{style}" style="background:{_colour(matrix, cell)};color:{ink}">'
        f'<a href="#{cell.anchor}" title="{safe}" aria-label="{safe}">{for_html(text)}</a></td>'
    )


def _colour(matrix: Matrix, cell: Cell) -> str:
    """By how much of its limit a pair has used up; without a limit by its place between the best and the worst."""
    if cell.state != "ok":
        return _COLOURS[cell.state]
    if cell.max_ns is None:
        return _SCALE[0]
    if cell.limit_ns:
        share = cell.max_ns / cell.limit_ns
    else:
        low, high = matrix.span_ns
        # Small ratios do not use up the scale: a network whose pairs are alike stays pale.
        share = math.log(max(cell.max_ns, 1) / low) / math.log(max(high / low, 8)) if low > 0 else 0
    return _SCALE[max(0, min(int(share * len(_SCALE)), len(_SCALE) - 1))]


def _list(matrix: Matrix) -> str:
    worst = matrix.worst_elsewhere[:_LISTED]
    rows = "".join(
        f'<li><a href="#{cell.anchor}">{for_html(described(cell))}</a> {for_html(matrix.mark(cell))}</li>'
        for cell in worst
    )
    whose = " of the nodes not named above" if matrix.stand_outs else ""
    return (
        f"<p>{len(matrix.nodes)} nodes are too many for a table. The worst pairs{whose}:</p><ol>{rows}</ol>"
    )


def _legend(matrix: Matrix) -> str:
    marks = {matrix.mark(cell) for cell in matrix.cells.values()}
    parts = [f"{mark} {meaning}" for mark, meaning in MEANINGS.items() if mark in marks]
    if any(matrix.mirrored(target, source) is not None for source, target in matrix.cells):
        parts.append("(…) measured the other way round")
    parts.append("framed: the worst of all")
    by = "by the share of the limit" if matrix.has_time_limit else "from the fastest pair to the slowest"
    parts.append(f"colours: {by}")
    if matrix.stand_outs:
        parts.append(f"▲ {matrix.rule}")
    return "; ".join(parts) + ". Each value links to its test."
