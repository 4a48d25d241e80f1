"""Small pictures as inline SVG: readable in black and white, with a title for those who cannot see them. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import for_html

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 640
HEIGHT: Final = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 36
_PLOT_WIDTH: Final = WIDTH - _LEFT - _RIGHT
_PLOT_HEIGHT: Final = HEIGHT - _TOP - _BOTTOM
_INK: Final = "#1a1a1a"
_FILL: Final = "#3b6ea5"
_GRID: Final = "#c8c8c8"
_LOST: Final = "#7d2fb8"
#: More points than this are indistinguishable: each column then shows its shortest and longest.
_MOST_POINTS: Final = 600
_BINS: Final = 32


def over_time(samples_ns: Sequence[int], *, limit_ns: int | None = None, lost: Sequence[int] = ()) -> str:
    """Round-trip times in the order in which they were sent; the limit as a dashed line where it fits in.

    ``lost`` are the positions, from 0, of the pings without a reply: each is marked below the times.
    """
    highest = max(samples_ns)
    shows_limit = limit_ns is not None and limit_ns <= 4 * highest
    ticks = _ticks(max(highest, limit_ns if limit_ns is not None and shows_limit else 0) / 1e6)
    scale = _PLOT_HEIGHT / ticks[-1]
    missing = frozenset(lost)
    sent = len(samples_ns) + len(missing)
    answered = [number for number in range(sent) if number not in missing]
    points = [(answered[index], value) for index, value in _thinned(samples_ns)]
    last = max(1, sent - 1, *missing)
    xy = [
        (_LEFT + _PLOT_WIDTH * index / last, _TOP + _PLOT_HEIGHT - value / 1e6 * scale)
        for index, value in points
    ]
    parts = _axes(ticks, scale)
    parts.append(
        f'<polyline fill="none" stroke="{_FILL}" stroke-width="1" '
        f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in xy)}"/>'
    )
    if len(xy) <= 200:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{_FILL}"/>' for x, y in xy]
    if limit_ns is not None and shows_limit:
        y = _TOP + _PLOT_HEIGHT - limit_ns / 1e6 * scale
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{_INK}" '
            'stroke-width="1.5" stroke-dasharray="6 4"/>'
        )
        parts.append(_text(WIDTH - _RIGHT, y - 4, "limit", anchor="end"))
    parts += [
        _cross(_LEFT + _PLOT_WIDTH * number / last, _TOP + _PLOT_HEIGHT - 6) for number in sorted(missing)
    ]
    parts.append(_text(_LEFT, HEIGHT - 18, "1", anchor="middle"))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 18, str(sent), anchor="end"))
    said = f"ping ({len(missing)} lost: ×)" if missing else "ping"  # noqa: RUF001 - as it is drawn
    parts.append(_text(_LEFT + _PLOT_WIDTH / 2, HEIGHT - 4, said, anchor="middle"))
    title = (
        f"Round-trip times of {len(samples_ns)} replies in the order of sending, "
        f"from {min(samples_ns) / 1e6:.3f} ms to {highest / 1e6:.3f} ms"
    )
    if missing:
        title += f"; {len(missing)} pings were lost"
    return _svg(title, parts)


def distribution(samples_ns: Sequence[int]) -> str:
    """How many replies took how long."""
    lowest, highest = min(samples_ns), max(samples_ns)
    bins = 1 if lowest == highest else min(_BINS, math.ceil(math.sqrt(len(samples_ns)) * 1.5))
    span = max(highest - lowest, 1)
    counts = [0] * bins
    for value in samples_ns:
        counts[min(bins - 1, (value - lowest) * bins // span)] += 1
    ticks = _ticks(max(counts))
    scale = _PLOT_HEIGHT / ticks[-1]
    parts = _axes(ticks, scale, unit="replies")
    step = _PLOT_WIDTH / bins
    for index, count in enumerate(counts):
        if count:
            parts.append(
                f'<rect x="{_LEFT + index * step:.1f}" y="{_TOP + _PLOT_HEIGHT - count * scale:.1f}" '
                f'width="{step:.1f}" height="{count * scale:.1f}" fill="{_FILL}" stroke="{_INK}" stroke-width="0.5"/>'
            )
    parts.append(_text(_LEFT, HEIGHT - 18, f"{lowest / 1e6:.3f}", anchor="start"))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 18, f"{highest / 1e6:.3f}", anchor="end"))
    parts.append(_text(_LEFT + _PLOT_WIDTH / 2, HEIGHT - 4, "round-trip time, ms", anchor="middle"))
    title = (
        f"Distribution of {len(samples_ns)} round-trip times "
        f"between {lowest / 1e6:.3f} ms and {highest / 1e6:.3f} ms"
    )
    return _svg(title, parts)


def _cross(x: float, y: float) -> str:
    path = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"
    return f'<path class="lost" d="{path}" stroke="{_LOST}" stroke-width="1.5" fill="none"/>'


def _svg(title: str, parts: Sequence[str]) -> str:
    safe = for_html(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{safe}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" style="max-width:100%;background:#fff">'
        f'<title>{safe}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _axes(ticks: Sequence[float], scale: float, *, unit: str = "ms") -> list[str]:
    parts = []
    for tick in ticks:
        y = _TOP + _PLOT_HEIGHT - tick * scale
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{_GRID}"/>'
            + _text(_LEFT - 6, y + 4, f"{tick:g}", anchor="end")
        )
    bottom = _TOP + _PLOT_HEIGHT
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{WIDTH - _RIGHT}" fill="none" stroke="{_INK}"/>')
    middle = _TOP + _PLOT_HEIGHT / 2
    parts.append(
        f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle" '
        f'font-family="sans-serif" font-size="12" fill="{_INK}">{unit}</text>'
    )
    return parts


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-family="sans-serif" font-size="12" '
        f'fill="{_INK}">{for_html(text)}</text>'
    )


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to at least ``highest``, four or five of them."""
    top = max(highest, 1e-6)
    rough = top / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [round(step * index, 9) for index in range(math.ceil(top / step * 0.999) + 1)]


def _thinned(samples_ns: Sequence[int]) -> list[tuple[int, int]]:
    """Every sample with its index; of very many only the extremes of each stretch, so that no peak is lost."""
    indexed = list(enumerate(samples_ns))
    if len(indexed) <= _MOST_POINTS:
        return indexed
    width = math.ceil(2 * len(indexed) / _MOST_POINTS)
    kept: list[tuple[int, int]] = []
    for start in range(0, len(indexed), width):
        stretch = indexed[start : start + width]
        ends = {min(stretch, key=lambda one: one[1]), max(stretch, key=lambda one: one[1])}
        kept += sorted(ends)
    return kept
