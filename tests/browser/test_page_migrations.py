"""Migrations on the page in a browser: the table, and a pair's samples with gaps and phases."""

from __future__ import annotations

import copy

import pypdfium2
import pytest
from documents import moved, saved

REASON = 'run: actual longest gap "2.2s" is greater than desired "1s" (at the switch-over)'


@pytest.fixture(scope="module")
def migrations(document, entries, tmp_path_factory):
    """The page of a run of which two pairs migrated, and one of these failed."""
    changed = copy.deepcopy(document)
    good = entries["worker1:worker10"]
    slow = {**moved(entries["worker2:worker10"], switchover=2.2, outcome="failed")}
    slow |= {"failureKind": "gap", "failureReason": REASON, "succeeded": False}
    slow["failures"] = [
        {"kind": "gap", "stage": "run", "sentence": "the gap exceeds the limit", "node": None, "network": None,
         "local": False, "advice": None}
    ]  # fmt: skip
    changed["measurements"] += [moved(good, preparation=0.8), slow]
    return saved(changed, tmp_path_factory.mktemp("moves") / "page.html")


def test_the_table_of_migrations_has_the_failed_one_first_and_leads_to_its_samples(browser, migrations):
    browser.open(migrations)
    assert browser.texts("#moves tbody tr td:first-child") == ["FAILED gap 2.2s > 1s", "ok"]
    assert browser.texts("#moves tbody tr td.number:nth-child(5)") == ["2200", "400"]
    browser.open_pair("#moves td[data-entry] a")
    assert browser.one("#view h2").text == "worker2 → worker10>worker10"
    assert browser.texts("#view .gap-text") == ["preparation 1300 ms", "switch-over 2200 ms"]
    assert browser.texts("#view .legend li") == [
        "no reply", "1 Pending", "2 Scheduling", "3 Scheduled", "4 PreparingTarget", "5 TargetReady", "6 Running",
        "7 Succeeded",
    ]  # fmt: skip
    assert browser.texts("#view .tiles .broken dt") == ["longest gap"]
    assert browser.complaints == []


def test_gaps_and_phases_lie_where_they_were_on_the_axis_of_time(browser, migrations):
    browser.open(migrations)
    browser.open_pair("#moves td[data-entry] a")
    shapes = browser.run(
        "const at = (one) => [Number(one.getAttribute('x')), Number(one.getAttribute('width'))];"
        "return [[...document.querySelectorAll('#view .gap-area')].map(at), [...document.querySelectorAll('#view .band')].map(at)]"
    )
    (preparation, switchover), phases = shapes
    # 13 s in all; the frame begins at the axis.
    second = switchover[1] / 2.2
    assert preparation[1] / second == pytest.approx(1.3, abs=0.02)
    assert (switchover[0] - preparation[0]) / second == pytest.approx(5.3, abs=0.02)
    assert len(phases) == 7
    running = phases[5]
    assert (running[0] - preparation[0]) / second == pytest.approx(1 + 3.9 - 1.4, abs=0.02)
    ends = [round(x + width, 1) for x, width in phases]
    assert ends[:-1] == pytest.approx([x for x, _ in phases[1:]], abs=0.3)


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_the_view_of_a_migration_is_accessible(browser, migrations, axe, scheme, width):
    browser.open(migrations, scheme=scheme, width=width)
    assert browser.accessibility(axe) == {}
    browser.open_pair("#moves td[data-entry] a")
    assert browser.accessibility(axe) == {}
    assert not browser.run(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


def test_a_migration_that_took_half_an_hour_is_drawn(browser, document, entries, tmp_path):
    long = moved(entries["worker1:worker10"])
    more = range(13_000_000_000, 2_000_000_000_000, 10_000_000)
    long["repliesNanoSec"] += more
    long["samplesNanoSec"] += [300_000] * len(more)
    changed = {**document, "measurements": [long], "causes": []}
    browser.open(saved(changed, tmp_path / "page.html"))
    browser.open_pair("#moves td[data-entry] a")
    assert browser.texts("#view .gap-text") == ["preparation 1300 ms", "switch-over 400 ms"]
    assert browser.complaints == []


def test_migrations_are_in_no_cell_of_the_heat_map(browser, migrations, page):
    browser.open(page)
    before = browser.texts(".heat td[data-pair]")
    browser.open(migrations)
    assert browser.texts(".heat td[data-pair]") == before


def test_paper_has_the_migrations_with_their_gaps(browser, migrations):
    browser.open(migrations)
    pages = list(pypdfium2.PdfDocument(browser.pdf()))
    text = "\n".join(one.get_textpage().get_text_bounded() for one in pages)
    for words in ("Live migrations", "FAILED gap 2.2s > 1s", "2200", "PreparingTarget"):
        assert words in text


def test_without_javascript_migrations_are_shown_too(browser, migrations):
    browser.open(migrations, scripts=False)
    assert len(browser.all("#moves .timeline .gap")) == 4
