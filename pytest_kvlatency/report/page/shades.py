"""What a heat map's cells show, by metric: a text, and a class that the style sheet colours. Pure.

Classes ``h0`` to ``h4`` go from the best to the worst within the limit; ``d0`` to ``d4`` from faster to slower than
the baseline; the others are named after what became of the pair, which no colour says alone: each has its mark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report.matrix.cell import MARKS, MEANINGS, milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.report.matrix.cell import Cell
    from pytest_kvlatency.report.matrix.matrix import Matrix

    Place = tuple[str, str]

#: The switch's metrics in its order, and what each is called above the table.
METRICS: Final[Mapping[str, str]] = {
    "max": "max ms",
    "p90": "p90 ms",
    "p50": "p50 ms",
    "loss": "loss %",
    "delta": "Δ p50 %",
}
_KEYS: Final = {"max": "maxLatencyNanoSec", "p90": "p90LatencyNanoSec", "p50": "p50LatencyNanoSec"}
_STEPS: Final = 5
#: Times that differ by less than this factor are shades of the same: a network whose pairs are alike stays pale.
_LEAST_SPAN: Final = 8
#: Where a change against the baseline gets another colour, in percent.
_CHANGES: Final = (-25, -10, 10, 25)


@dataclass(frozen=True, kw_only=True)
class Shading:
    """One metric of one network: text and class of each pair, and the legend as pairs of class and text."""

    cells: Mapping[Place, tuple[str, str]]
    legend: tuple[tuple[str, str], ...]


def shadings(matrix: Matrix, entries: Mapping[Place, Mapping[str, Any]]) -> dict[str, Shading]:
    """Every metric that some pair of the network has; ``max`` always."""
    found = {}
    for metric, key in _KEYS.items():
        if metric == "max" or any(one[key] is not None for one in entries.values()):
            found[metric] = _times(
                matrix, {place: one[key] for place, one in entries.items()}, is_max=metric == "max"
            )
    found["loss"] = _losses(matrix, entries)
    if any(one.get("comparison") for one in entries.values()):
        found["delta"] = _changes(matrix, entries)
    return found


def _times(matrix: Matrix, values: Mapping[Place, int | None], *, is_max: bool) -> Shading:
    limits = {cell.limit_ns for cell in matrix.cells.values()}
    limit = next(iter(limits)) if is_max and len(limits) == 1 else None
    known = [
        value for place, value in values.items() if value is not None and matrix.cells[place].state == "ok"
    ]
    if limit:
        bounds = [limit * step // _STEPS for step in range(1, _STEPS + 1)]
    else:
        bounds = _scale(min(known), max(known)) if known else []
    cells = {}
    for place, cell in matrix.cells.items():
        value = values[place]
        text = "" if value is None else milliseconds(value)
        cells[place] = _shown(cell, text, _step(value, bounds))
    named = [f"{bound / 1e6:g}" if limit else milliseconds(bound) for bound in bounds]
    steps = [(f"h{step}", f"≤ {bound} ms") for step, bound in enumerate(named)]
    return Shading(cells=cells, legend=_legend(cells, steps))


def _losses(matrix: Matrix, entries: Mapping[Place, Mapping[str, Any]]) -> Shading:
    bounds = [0, 1, 5, 20, 100]
    cells = {}
    for place, cell in matrix.cells.items():
        value = entries[place]["lossPercent"]
        # A pair that is only slow has lost nothing.
        kept = "ok" if cell.state == "over" else cell.state
        text = "" if value is None else f"{value:.3g}"
        mark = MARKS.get(kept, "")
        look = f"h{_step(value, bounds)}" if kept == "ok" else kept
        cells[place] = (f"{'' if kept == 'dead' else text}{_spoken(mark)}" or "ok", look)
    steps = [(f"h{step}", "0%" if step == 0 else f"≤ {bound}%") for step, bound in enumerate(bounds)]
    return Shading(cells=cells, legend=_legend(cells, steps))


def _changes(matrix: Matrix, entries: Mapping[Place, Mapping[str, Any]]) -> Shading:
    cells = {}
    for place, cell in matrix.cells.items():
        comparison = entries[place].get("comparison") or {}
        delta = (comparison.get("p50") or {}).get("deltaPercent")
        if delta is None:
            cells[place] = _shown(cell, "", 0) if cell.is_failed else ("new", "missing")
            continue
        step = sum(delta > bound for bound in _CHANGES)
        text = f"{round(delta):+d}" if round(delta) else "0"
        cells[place] = (f"{text}{'▲' if comparison.get('regressed') else ''}", f"d{step}")
    low, less, more, high = _CHANGES
    words = (f"< {low}%", f"{low} to {less}%", f"{less} to +{more}%", f"+{more} to +{high}%", f"> +{high}%")
    steps = [(f"d{step}", text) for step, text in enumerate(words)]
    if ("new", "missing") in cells.values():
        steps.append(("missing", "new: not in the baseline"))
    failed = [one for one in _legend(cells, []) if one[0] != "missing"]
    return Shading(cells=cells, legend=(*steps, *failed))


def _shown(cell: Cell, text: str, step: int) -> tuple[str, str]:
    mark = _spoken(MARKS.get(cell.state, ""))
    if cell.state in ("dead", "error", "missing"):
        return mark, cell.state
    return f"{text}{mark}" or "ok", f"h{step}" if cell.state == "ok" else cell.state


def _spoken(mark: str) -> str:
    return {"x": "✕", "-": "·"}.get(mark, mark)


def _scale(low: int, high: int) -> list[int]:
    """Upper bounds of the steps, in equal ratios from the fastest to the slowest."""
    ratio = max(high / max(low, 1), _LEAST_SPAN) ** (1 / _STEPS)
    bounds = [math.ceil(low * ratio**step) for step in range(1, _STEPS + 1)]
    last = next(step for step, bound in enumerate(bounds) if bound >= high or step == _STEPS - 1)
    return [*bounds[:last], high]


def _step(value: float | None, bounds: list[int] | list[float]) -> int:
    return next((step for step, bound in enumerate(bounds) if (value or 0) <= bound), _STEPS - 1)


def _legend(
    cells: Mapping[Place, tuple[str, str]], steps: list[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    looks = {look for _, look in cells.values()}
    states = [(state, MEANINGS[mark]) for state, mark in MARKS.items() if state in looks]
    return (*steps, *((state, f"{_spoken(MARKS[state])} {text}") for state, text in states))
