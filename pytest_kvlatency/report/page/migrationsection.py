"""The live migrations of a run: a table with the phases and gaps of each as bands on one axis. Pure.

HTML and SVG that need no script; the script makes links of the pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html, printable
from pytest_kvlatency.report.entries import fixture_of
from pytest_kvlatency.report.gapnumbers import gap_milliseconds, whole_milliseconds
from pytest_kvlatency.report.migrationrows import migration_rows, resolution
from pytest_kvlatency.report.page.entry import pair_text, plural
from pytest_kvlatency.report.page.phases import bands, look_of
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.migrationrows import MigrationRow

    Entry = Mapping[str, Any]

_WIDTH: Final = 300
_HEIGHT: Final = 30
_GAP_TOP, _GAP_HEIGHT = 3, 9
_BAND_TOP, _BAND_HEIGHT = 15, 11
#: What a gap is called, and where the document has it.
_GAPS: Final = (("preparation", "preparationGap"), ("switch-over", "switchoverGap"))
_GOOD: Final = ("passed", "xpassed")


def section(document: Mapping[str, Any]) -> str:
    """The table, the failed ones first, then those with the longest gaps; empty without a migration."""
    entries = document["measurements"]
    places = {id(entry): number for number, entry in enumerate(entries)}
    found = migration_rows(last_attempts(entries))
    if not found:
        return ""
    start, end = _span([one.measured for one in found])
    networks = {one.measured["nad"] for one in found}
    rows = "".join(
        _row(places[id(one.test)], one, (start, end), has_network=len(networks) > 1) for one in found
    )
    known = resolution(found)
    exact = "" if known is None else f" Gaps are right to {whole_milliseconds(known)} ms."
    where = f" on {printable(found[0].measured['nad'] or 'no network')}" if len(networks) == 1 else ""
    text = (
        f"{plural(len(found), 'migration')}{where}. A gap is the longest time between two replies: "
        f"during the preparation, until the phase Running, and during the switch-over, from then on.{exact}"
    )
    heads = "".join(
        f'<th scope="col"{look}>{for_html(name)}</th>'
        for name, look in (
            ("Outcome", ""), *([("Network", "")] if len(networks) > 1 else []), ("Pair", ""),
            (f"{_tenths(start)} to {_tenths(end)} s since it was created", ""),
            ("Preparation ms", ' class="number"'), ("Switch-over ms", ' class="number"'),
            ("Lost", ' class="number"'), ("RTT ms before → after", ' class="number"'),
        )
    )  # fmt: skip
    return (
        f'<section id="moves"><div class="bar"><h2>Live migrations</h2></div><p class="counts">{for_html(text)}</p>'
        '<div class="scroll" role="region" tabindex="0" aria-label="Table of migrations"><table class="moves">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{_legend(found)}</section>"
    )


def _row(number: int, one: MigrationRow, span: tuple[float, float], *, has_network: bool) -> str:
    measured, migration = one.measured, one.measured.get("migration")
    is_good = one.is_own and one.test["outcome"] in _GOOD
    look = "bad" if one.is_failed else "good" if is_good else "odd"
    word = printable(one.verdict or fixture_of(measured))
    lengths = [one.gaps[key] for _, key in _GAPS]
    said = ["" if length is None else str(gap_milliseconds(length)) for length in lengths]
    said.append("" if one.lost is None else str(one.lost))
    means = " → ".join("?" if mean is None else f"{mean / 1e6:.3f}" for mean in one.means)
    said.append("" if one.means == (None, None) else means)
    numbers = "".join(f'<td class="number">{text}</td>' for text in said)
    network = f"<td>{for_html(printable(measured['nad'] or ''))}</td>" if has_network else ""
    return (
        f'<tr class="{look}"><td><span class="state {look}">{for_html(word)}</span></td>'
        f'{network}<td data-entry="{number}">{for_html(pair_text(measured))}</td>'
        f"<td>{_picture(measured, migration, *span) if migration else ''}</td>"
        f"{numbers}</tr>"
    )


def _seconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e9:.3g}"


def _tenths(nanoseconds: float) -> str:
    # What rounds to -0 is 0.
    return f"{round(nanoseconds / 1e9, 1) + 0.0:g}"


def _span(measured: Sequence[Entry]) -> tuple[float, float]:
    """What the axis shows, since the creations: from the first gap or creation to the end of the last one."""
    starts, ends, gaps = [0.0], [1e9], [0.0]
    for one in measured:
        migration = one.get("migration") or {}
        created = migration.get("createdNanoSec") or 0
        ends += [band.end for band in bands(migration)]
        for _, key in _GAPS:
            gap = migration.get(key)
            if gap is not None:
                starts.append(gap["beginsNanoSec"] - created)
                gaps.append(gap["beginsNanoSec"] + gap["nanoSec"] - created)
    # One that never ended would leave no room for the others: its length stands beside it.
    return min(starts), max(*ends, min(max(gaps), 2 * max(ends)))


def _picture(one: Entry, migration: Mapping[str, Any], start: float, end: float) -> str:
    """Two tracks: the gaps above the phases."""
    scale = _WIDTH / (end - start)
    created = migration["createdNanoSec"] or 0
    shapes = [f'<rect x="0" y="{_GAP_TOP}" width="{_WIDTH}" height="{_GAP_HEIGHT}" class="track"/>']
    said = []
    for band in bands(migration):
        x = (band.start - start) * scale
        words = f"{band.name}: {_seconds(band.end - band.start)} s"
        shapes.append(
            f'<rect x="{x:.1f}" y="{_BAND_TOP}" width="{max((band.end - band.start) * scale, 0.5):.1f}" '
            f'height="{_BAND_HEIGHT}" class="band {band.look}"><title>{for_html(words)}</title></rect>'
        )
    for name, key in _GAPS:
        gap = migration.get(key)
        if gap is not None:
            x = (gap["beginsNanoSec"] - created - start) * scale
            width = min(max(gap["nanoSec"] * scale, 1.5), max(_WIDTH - x, 1.5))
            words = f"{name} gap: {gap_milliseconds(gap['nanoSec'])} ms"
            said.append(words)
            shapes.append(
                f'<rect x="{x:.1f}" y="{_GAP_TOP}" width="{width:.1f}" '
                f'height="{_GAP_HEIGHT}" class="gap"><title>{for_html(words)}</title></rect>'
            )
    title = for_html(f"{pair_text(one)}: {', '.join(said) or 'no gaps are known'}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{title}" class="timeline">{"".join(shapes)}</svg>'
    )


def _legend(found: Sequence[MigrationRow]) -> str:
    """The phases in their order, after the gap."""
    shown = (band for one in found for band in bands(one.measured.get("migration") or {}))
    named = dict.fromkeys(band.name for band in shown if band.end > band.start)
    items = "".join(
        f'<li><span class="swatch {look_of(name)}"></span>{for_html(name)}</li>'
        for name in sorted(named, key=look_of)
    )
    gap = '<li><span class="swatch gap"></span>no reply (above)</li>'
    return f'<ul class="legend" aria-label="Legend">{gap}{items}</ul>' if items else ""
