"""The HTML report: columns, pictures, transcript; through pytest-html itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

import pytest

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report import html, svg
from pytest_kvlatency.report.htmlcolumns import CELLS, HtmlColumns
from pytest_kvlatency.report.measurement import measurement_entry

if TYPE_CHECKING:
    from conftest import Make

COLUMNS = HtmlColumns()
HEADS = [f"<th>{name}</th>" for name in ("Result", "Test", "Duration", "Links")]


BARE = [f"<td>{n}</td>" for n in range(4)]


def row_of(entry: dict[str, Any] | None, cells: list[str] = BARE, *, when: str = "call") -> list[str]:
    report = SimpleNamespace()
    if entry is not None:
        setattr(report, CELLS, html.cells_of(entry, when=when))
    row = list(cells)
    COLUMNS.pytest_html_results_table_row(cast("pytest.TestReport", report), row)
    return row


def text_of(cell: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]*>", "", cell).strip()


def test_the_columns_stand_before_the_links(make: Make) -> None:
    heads = list(HEADS)
    COLUMNS.pytest_html_results_table_header(heads)
    cells = row_of(measurement_entry(make.item(make.measurement(transmitted=4))))
    assert [text_of(head) for head in heads] == [
        "Result", "Test", "Duration", "Nodes", "Cause", "Loss %", "Min ms", "Avg ms", "p50 ms", "p99 ms", "Max ms",
        "Gap ms", "Links",
    ]  # fmt: skip
    assert [text_of(cell) for cell in cells] == [
        "0", "1", "2", "worker1 → worker2", "loss", "50.000", "1.000", "2.000", "1.000", "", "3.000", "", "3",
    ]  # fmt: skip


def test_items_of_others_get_as_many_empty_cells(make: Make) -> None:
    cells = row_of(None)
    assert len(cells) == len(row_of(measurement_entry(make.item())))
    assert {text_of(cell) for cell in cells[3:-1]} == {""}
    assert not any("<style>" in cell for cell in cells)


@pytest.mark.parametrize(("when", "phase"), [("call", ""), ("setup", "::setup")])
def test_E67_an_id_is_no_markup_and_cells_of_other_plugins_stay(make: Make, when: str, phase: str) -> None:
    nodeid = "test_x.py::test_y[<img src=x>&]"
    own = f'<td class="col-testId">{nodeid}{phase}</td>'
    foreign = f"<td data-id='{nodeid}'>{nodeid}</td>"
    entry = measurement_entry(make.item(nodeid=nodeid))
    cells = row_of(entry, ["<td>Passed</td>", own, foreign, "<td>links</td>"], when=when)
    assert cells[:3] == [
        "<td>Passed</td>",
        f'<td class="col-testId">test_x.py::test_y[&lt;img src=x&gt;&amp;]{phase}</td>',
        foreign,
    ]


def test_a_row_that_somebody_removed_stays_removed() -> None:
    cells: list[str] = []
    COLUMNS.pytest_html_results_table_row(cast("pytest.TestReport", SimpleNamespace()), cells)
    assert cells == []


def test_numbers_are_in_order_as_text(make: Make) -> None:
    texts = [
        re.sub(r"<.*?>", "", row_of(measurement_entry(make.item(make.measurement((ns,)))))[-2])
        for ns in (900_000, 9_000_000, 10_000_000, 123_000_000)
    ]
    assert texts == sorted(texts)


def test_what_a_report_carries_is_plain_data(make: Make) -> None:
    cells = html.cells_of(measurement_entry(make.item()))
    assert json.loads(json.dumps(cells)) == cells


def test_pictures_transcript_and_further_measurements(make: Make) -> None:
    entry = measurement_entry(make.item(extra=(make.measurement((5_000_000,)),)))
    (extra,) = html.extras(entry)
    assert extra["format_type"] == "html"
    assert extra["content"].count("<svg") == 4
    assert extra["content"].count("<details>") == 2
    assert "PING 198.18.0.2" in extra["content"]
    assert "kv_ping 1: worker1 → worker2: 1 transmitted, 1 received" in extra["content"]


def test_nothing_known_adds_nothing(make: Make) -> None:
    assert html.extras(measurement_entry(make.broken(failures=(), outcome="skipped"))) == []


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [name for name, _ in attrs]


EVIL = "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>\x1b]0;x\x07\"'"


def test_E67_guest_text_is_no_markup(make: Make) -> None:
    measured = make.measurement()
    assert measured.result is not None
    assert measured.source is not None
    evil = replace(
        measured,
        result=replace(measured.result, transcript=EVIL),
        source=replace(measured.source, node=EVIL),
        notes=(EVIL,),
        failures=(Failure(kind="latency", stage="run", reason=EVIL),),
    )
    entry = measurement_entry(make.item(evil))
    parser = Elements()
    parser.feed(html.details(entry) + "".join(row_of(entry)))
    assert not {"script", "img"} & set(parser.seen)
    assert not {"onerror", "src", "href"} & set(parser.attributes)
    assert "\x1b" not in html.details(entry)


SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    "samples", [(1,), (0,), (5, 5, 5), tuple(range(1, 60)), tuple(range(10_000_000, 11_000_000, 100))]
)
@pytest.mark.parametrize("draw", [svg.over_time, svg.distribution])
def test_pictures_are_well_formed_titled_and_small(draw: Any, samples: tuple[int, ...]) -> None:
    text = draw(samples)
    root = ET.fromstring(text)
    title = root.find(f"{SVG}title")
    assert title is not None
    assert root.get("role") == "img"
    assert root.get("aria-label") == title.text
    assert f"{len(samples)} r" in (title.text or "")
    assert len(text) < 40_000
    for element in root.iter():
        for name in ("cx", "cy", "x", "y", "x1", "x2", "y1", "y2"):
            if (value := element.get(name)) is not None:
                assert -1 <= float(value) <= svg.WIDTH + 1


def test_very_many_samples_lose_no_peak() -> None:
    samples = [1_000_000] * 50_000
    samples[31_234] = 99_000_000
    root = ET.fromstring(svg.over_time(samples))
    line = root.find(f"{SVG}polyline")
    assert line is not None
    heights = [float(point.split(",")[1]) for point in (line.get("points") or "").split()]
    assert len(heights) <= 1200
    assert max(heights) - min(heights) > svg.HEIGHT / 2


def test_every_lost_ping_is_marked_where_it_was_sent() -> None:
    root = ET.fromstring(svg.over_time([1_000_000] * 8, lost=(2, 9)))
    crosses = [one.get("d") or "" for one in root.iter() if one.get("class") == "lost"]
    dots = [float(one.get("cx") or 0) for one in root.iter() if one.tag.endswith("circle")]
    places = [float(re.findall(r"M([\d.]+)", path)[0]) + 3 for path in crosses]
    assert sorted([*dots, *places]) == pytest.approx([64 + 560 * number / 9 for number in range(10)], abs=0.2)
    assert "2 pings were lost" in (root.get("aria-label") or "")


def test_every_sample_is_in_the_distribution() -> None:
    root = ET.fromstring(svg.distribution([1, 1, 2, 10, 100]))
    bars = [one for one in root.iter(f"{SVG}rect") if one.get("stroke")]
    unit = min(float(bar.get("height") or 0) for bar in bars)
    assert round(sum(float(bar.get("height") or 0) for bar in bars) / unit) == 5


def test_the_limit_is_drawn_where_it_fits() -> None:
    assert "stroke-dasharray" in svg.over_time([1_000_000], limit_ns=2_000_000)
    assert "stroke-dasharray" not in svg.over_time([1_000_000], limit_ns=900_000_000)
