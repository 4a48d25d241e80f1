"""The document in pytest-html's report (4.x): numbers of each row; pictures and the transcript in each item's fold.

In a run that writes a page of its own (``--kv-html``), each item leads there instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html
from pytest_kvlatency.report import svg
from pytest_kvlatency.report.entries import fixture_of
from pytest_kvlatency.report.gapnumbers import gap_milliseconds, gaps_of
from pytest_kvlatency.report.htmlcolumns import CELLS, COLUMNS, ID_CELL, Cells
from pytest_kvlatency.report.matrix import heatmap
from pytest_kvlatency.report.matrix.cell import anchor
from pytest_kvlatency.report.page.entry import pair_id
from pytest_kvlatency.report.page.hyperlinks import link
from pytest_kvlatency.report.places import moved

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

# The head hides the columns until a row brings numbers.
_SHOW: Final = "<style>th.kv-col,td.kv-col{display:table-cell}</style>"
# pytest-html folds what passed, and leaves out what its filters hide: a cell of a matrix leads to an open row.
_UNFOLD: Final = """
(() => {
  const cell = () => (location.hash.startsWith("#kv-") ? document.getElementById(location.hash.slice(1)) : null);
  const unfold = () => {
    if (!location.hash.startsWith("#kv-")) return;
    if (!cell()) document.querySelectorAll('input[name="filter_checkbox"]:not(:checked)').forEach((one) => one.click());
    const row = cell()?.closest("tbody");
    if (row?.querySelector(".extras-row.hidden")) row.querySelector(".collapsible td.col-result")?.click();
    cell()?.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", unfold);
  addEventListener("load", () => setTimeout(unfold));
  document.addEventListener("click", (event) => {
    if (event.target.closest("#kv-matrix a")) setTimeout(unfold);
  });
})();
"""


def summary(
    prefix: list[str], postfix: list[str], document: Mapping[str, Any], *, page: str | None = None
) -> None:
    """Add the run's reasons, its notes and the matrices above the table (hook ``pytest_html_results_summary``).

    ``page`` is the link to the page of the run, which has the matrices then.
    """
    if document["failureReason"]:
        prefix.append(f"<p><strong>{for_html(document['failureReason'])}</strong></p>")
    prefix += [f"<p>Note: {for_html(note)}</p>" for note in document["notes"]]
    if page is not None:
        words = "causes, heat maps, and the pings of each pair"
        postfix.append(f'<p id="kv-page"><a href="{for_html(page)}">The page of this run</a>: {words}</p>')
        return
    section = heatmap.section(document["measurements"])
    if section:
        postfix.append(f"{section}<script>{_UNFOLD}</script>")


def link_to_page(page: Path | None, report: str) -> str | None:
    """The link from pytest-html's report to the page of the run; None in a run that writes none."""
    return link(None if page is None else str(page), Path(report).absolute().parent)


def show(
    report: pytest.TestReport, entry: Mapping[str, Any], *, with_details: bool, page: str | None = None
) -> None:
    """Give a report, whose row is to come, its item's numbers, and what its fold shows.

    ``page`` is the link to the page of the run: the pair is shown there, and not in the fold.
    """
    place = None if page is None else f"{page}#{pair_id(entry)}"
    setattr(report, CELLS, cells_of(entry, when=report.when, page=place))
    if with_details and page is None:
        report.extras = [*getattr(report, "extras", []), *extras(entry)]  # type: ignore[attr-defined]


def cells_of(entry: Mapping[str, Any], *, when: str | None = "call", page: str | None = None) -> Cells:
    """The cells of an item's row; ``page`` is the link to its pair. ``when`` is the phase: ``setup``, ``call``."""
    cells = [
        f'<td class="kv-col" id="{anchor(entry["nodeid"], entry["attempt"])}">{_SHOW}{_linked_nodes(entry, page)}</td>',
        f'<td class="kv-col">{for_html(entry["failureKind"] or "")}</td>',
    ]
    for key, _, name in COLUMNS:
        # Sorted as text: blanks in front, which HTML does not show, put numbers in their order.
        value = entry.get(name)
        text = "" if value is None else f"{_number(name, value):>12}"
        cells.append(f'<td class="kv-col col-{key}">{text}</td>')
    # pytest-html's own cell has the id as it is, which may be markup.
    phase = "" if when == "call" else f"::{when}"
    return {"id": f"{ID_CELL}{for_html(entry['nodeid'] + phase)}</td>", "columns": cells}


def extras(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What to add to ``report.extras``: one self-contained block of HTML; nothing when there is nothing to show."""
    # Only when an HTML report is written; the package has no types.
    from pytest_html import extras as of_pytest_html  # type: ignore[import-untyped]  # noqa: PLC0415

    content = details(entry)
    return [dict(of_pytest_html.html(content))] if content else []


def details(entry: Mapping[str, Any]) -> str:
    """Pictures of the sample and the folded transcript, of the item and of what its test measured beyond."""
    beyond = (_block(one, f"{fixture_of(one)} {number}: ") for number, one in enumerate(entry["extra"], 1))
    body = "".join([_block(entry, ""), *beyond])
    return f'<div style="background:#fff;color:#1a1a1a;padding:4px">{body}</div>' if body else ""


def _block(entry: Mapping[str, Any], name: str) -> str:
    samples = entry["samplesNanoSec"]
    parts = []
    if entry["failureReason"]:
        parts.append(f"<p><strong>{for_html(name + entry['failureReason'])}</strong></p>")
    if entry["transmitted"] is not None:
        parts.append(
            f"<p>{for_html(f'{name}{_nodes(entry)}: ')}{entry['transmitted']} transmitted, "
            f"{entry['received']} received, {entry['duplicates']} duplicates</p>"
        )
    if entry.get("migration"):
        parts.append(f"<p>{for_html(name + _migration(entry))}</p>")
    if samples:
        limit = (entry["limits"] or {}).get("maxLatencyNanoSec")
        parts.append(
            f"<div>{svg.over_time(samples, limit_ns=limit, lost=entry.get('lostSequence') or ())}</div>"
        )
        parts.append(f"<div>{svg.distribution(samples)}</div>")
    parts += [f"<p>Note: {for_html(note)}</p>" for note in entry["notes"]]
    if entry["transcript"]:
        parts.append(
            f"<details><summary>{for_html(name)}Console transcript</summary>"
            f'<pre style="white-space:pre-wrap">{for_html(entry["transcript"])}</pre></details>'
        )
    return "".join(parts)


def _migration(entry: Mapping[str, Any]) -> str:
    """The migration and its gaps, in a sentence."""
    migration, gaps = entry["migration"], gaps_of(entry)
    known = [
        f"{words} gap {gap_milliseconds(length)} ms"
        for words, key in (("preparation", "preparationGap"), ("switch-over", "switchoverGap"))
        if (length := gaps[key]) is not None
    ]
    why = migration["failureReason"] or "no reason is known"
    end = "" if migration["succeeded"] else f", which failed: {why}"
    return f"Live migration {migration['name']}: {', '.join(known) or 'no gaps are known'}{end}"


def _number(name: str, value: Any) -> str:
    if name == "longestGap":
        return str(gap_milliseconds(value["nanoSec"]))
    return f"{value if name == 'lossPercent' else value / 1e6:.3f}"


def _linked_nodes(entry: Mapping[str, Any], page: str | None) -> str:
    text = for_html(_nodes(entry))
    return text if page is None else f'<a href="{for_html(page)}">{text or "pair"}</a>'


def _nodes(entry: Mapping[str, Any]) -> str:
    if entry["sourceNode"] is None or entry["targetNode"] is None:
        return entry["nodes"] or ""
    return f"{entry['sourceNode']} → {entry['targetNode']}{moved(entry)}"
