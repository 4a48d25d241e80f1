"""A heat map for each network: HTML with its values, which the script makes into links and switches. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html
from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.matrix.heatmap import MOST_NODES
from pytest_kvlatency.report.matrix.matrix import matrices
from pytest_kvlatency.report.page.shades import METRICS, Shading, shadings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix

#: From so many nodes on the cells are small; from the next on a network takes the page's whole width.
_DENSE, _WIDE = 17, 9
#: Longer names of columns are turned, and may be cut short.
_LONG: Final = 9


class Heat:
    """One network: its grid, which of the document's entries each pair is, and its shades by metric."""

    def __init__(self, matrix: Matrix, document: Mapping[str, Any]) -> None:
        self.matrix = matrix
        entries = document["measurements"]
        blamed = {cause["node"] for cause in causes_of(document)}
        #: Nodes that differ from the others, unless a cause says so already.
        self.remarks = [line for node, line in matrix.stand_outs.items() if node not in blamed]
        places = {(one["nodeid"], one["attempt"]): number for number, one in enumerate(entries)}
        self.indexes = {place: places[cell.nodeid, cell.attempt] for place, cell in matrix.cells.items()}
        self.shadings: Mapping[str, Shading] = shadings(
            matrix, {place: entries[index] for place, index in self.indexes.items()}
        )


def heats(document: Mapping[str, Any]) -> list[Heat]:
    """Every network with enough pairs for a grid, in the document's order."""
    return [Heat(matrix, document) for matrix in matrices(document["measurements"])]


def section(found: Sequence[Heat]) -> str:
    """All heat maps, with the metric that is shown first; the switch is for the script."""
    if not found:
        return ""
    metrics = [name for name in METRICS if any(name in heat.shadings for heat in found)]
    switch = "".join(
        f'<label><input type="radio" name="metric" value="{name}"{" checked" if name == metrics[0] else ""}>'
        f"<span>{METRICS[name]}</span></label>"
        for name in metrics
    )
    networks = "".join(_network(number, heat, metrics[0]) for number, heat in enumerate(found))
    return (
        '<section id="networks"><div class="bar"><h2>Networks</h2>'
        f'<fieldset class="switch needs-script" id="metric"><legend>Show</legend>{switch}</fieldset></div>'
        f'<div class="networks">{networks}</div></section>'
    )


def _network(number: int, heat: Heat, metric: str) -> str:
    matrix = heat.matrix
    name = for_html(matrix.nad)
    size = len(matrix.nodes)
    lines = "".join(f"<li>{for_html(line)}</li>" for line in heat.remarks)
    outs = f'<ul class="outs" title="{for_html(matrix.rule)}">{lines}</ul>' if lines else ""
    if size > MOST_NODES:
        # The table of pairs has them, the failures first.
        body = f"<p>{size} nodes are too many for a picture: see the table of pairs.</p>"
    else:
        region = f'role="region" tabindex="0" aria-label="Heat map of {name}"'
        body = f'<div class="scroll" {region}>{_table(heat, metric)}</div>{_legend(heat, metric)}'
    look = "dense wide" if size >= _DENSE else "wide" if size >= _WIDE else ""
    return (
        f'<article class="network {look}" data-heat="{number}"><h3>{name}</h3>'
        f'<p class="counts">{for_html(matrix.counts)}</p>{body}{outs}</article>'
    )


def _table(heat: Heat, metric: str) -> str:
    matrix = heat.matrix
    is_tall = len(matrix.nodes) >= _DENSE or max(map(len, matrix.nodes)) > _LONG
    heads = "".join(_head(matrix, node, "col", is_tall=is_tall) for node in matrix.nodes)
    rows = "".join(
        f"<tr>{_head(matrix, source, 'row')}"
        f"{''.join(_cell(heat, metric, source, target) for target in matrix.nodes)}</tr>"
        for source in matrix.nodes
    )
    return (
        f'<table class="heat"><caption>{METRICS[metric]}; row: source, column: target</caption>'
        f'<thead><tr><td class="corner"></td>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _head(matrix: Matrix, node: str, scope: str, *, is_tall: bool = False) -> str:
    looks = [*(["out"] if node in matrix.stand_outs else []), *(["tall"] if is_tall else [])]
    look = f' class="{" ".join(looks)}"' if looks else ""
    name = for_html(node)
    title = f' title="{name}"' if len(node) > _LONG else ""
    return f'<th scope="{scope}"{look}{title}><span>{name}</span></th>'


def _cell(heat: Heat, metric: str, source: str, target: str) -> str:
    place = (source, target) if (source, target) in heat.indexes else (target, source)
    if place not in heat.indexes:
        return '<td class="self"></td>' if source == target else '<td class="none">·</td>'
    text, look = heat.shadings[metric].cells[place]
    mirror = "" if place == (source, target) else " mirror"
    return f'<td class="{look}{mirror}" data-pair="{heat.indexes[place]}">{for_html(text)}</td>'


def _legend(heat: Heat, metric: str) -> str:
    items = "".join(
        f'<li><span class="swatch {look}"></span>{for_html(text)}</li>'
        for look, text in heat.shadings[metric].legend
    )
    return f'<ul class="legend" aria-label="Legend">{items}</ul>'
