"""Pages of other documents: guests that write markup, hundreds of pairs, older documents, reruns."""

from __future__ import annotations

import copy

import pytest
from documents import HOSTILE, large, saved, with_hostile_texts

#: What documents of earlier releases lack.
ADDITIONS = ("startTimestamp", "round", "lostSequence", "guest", "failedNode", "advice", "comparison")


def test_E67_hostile_text_of_guests_is_text_wherever_it_stands(browser, document, tmp_path):
    browser.open(saved(with_hostile_texts(document, "provision"), tmp_path / "page.html"))
    elements = browser.run("return document.querySelectorAll('img, svg[onload], [onerror]').length")
    opened = 0
    for look in ("loss", "error", "dead"):
        opened += browser.open_pair(f".heat td.{look} a").is_displayed()
        elements += browser.run("return document.querySelectorAll('img, svg[onload], [onerror]').length")
        browser.press("ESCAPE")
    browser.one("#filter").send_keys("img")
    assert opened == 3
    assert elements == 0
    assert browser.run("return window.hacked") is None
    assert browser.complaints == []
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\u2028", "\\u2028")
    assert shown in browser.one(".card h3").text


@pytest.fixture(scope="module")
def mesh(document, entries):
    """A document of 496 pairs; a test that changes it takes a copy."""
    return large(document, entries["worker1:worker10"])


@pytest.fixture(scope="module")
def mesh_page(mesh, tmp_path_factory):
    return saved(mesh, tmp_path_factory.mktemp("mesh") / "page.html")


def test_the_page_of_496_pairs_is_small(mesh, mesh_page, tmp_path):
    without_transcripts = [{**one, "transcript": None} for one in mesh["measurements"]]
    small = saved({**mesh, "measurements": without_transcripts}, tmp_path / "page.html")
    assert mesh_page.stat().st_size <= 3_000_000
    assert small.stat().st_size <= 1_000_000


def test_496_pairs_open_and_sort_within_a_second(browser, mesh_page, tmp_path):
    (tmp_path / "empty.html").write_text("<!DOCTYPE html><title>empty</title>", encoding="utf-8")
    empty = browser.open(tmp_path / "empty.html").script_seconds
    browser.open(mesh_page)
    browser.run("document.querySelector('#table th[data-key=max] button').click()")
    assert browser.script_seconds - empty < 1
    assert len(browser.all("#table tbody tr")) == 496
    assert len(browser.all(".heat td[data-pair]")) == 2 * 496
    assert browser.complaints == []


def test_a_dense_heat_map_keeps_its_heads_in_sight(browser, mesh_page):
    browser.open(mesh_page, height=700)
    place = browser.run(
        "const box = document.querySelector('.network .scroll'); box.scrollTo(500, 400); "
        "const at = (one, side) => one.getBoundingClientRect()[side] - box.getBoundingClientRect()[side]; "
        "return [at(box.querySelector('thead th'), 'top'), at(box.querySelectorAll('tbody th')[20], 'left')]"
    )
    assert [abs(one) < 2 for one in place] == [True, True]


def test_a_thousand_rows_are_shown_at_first_and_the_rest_on_demand(browser, document, entries, tmp_path):
    browser.open(
        saved(large(document, entries["worker1:worker10"], nodes=46, pings=5), tmp_path / "page.html")
    )
    assert browser.run("return document.querySelectorAll('#table tbody tr').length") == 1000
    browser.one("#more").click()
    assert browser.run("return document.querySelectorAll('#table tbody tr').length") == 46 * 45 // 2
    assert not browser.one("#more").is_displayed()


def test_documents_without_later_keys_open_too(browser, document, tmp_path):
    older = copy.deepcopy(document)
    for entry in older["measurements"]:
        for key in ADDITIONS:
            entry.pop(key, None)
    for key in ("namespace", "settings", "causes", "baseline"):
        older.pop(key, None)
    browser.open(saved(older, tmp_path / "page.html"))
    browser.open_pair(".heat td.loss a")
    assert "This document does not say which pings were lost." in browser.one("#view").text
    assert browser.complaints == []


def test_reruns_show_each_attempt_and_the_map_the_last(browser, document, entries, tmp_path):
    rerun = copy.deepcopy(document)
    good = copy.deepcopy(entries["worker1:worker10"])
    lossy = entries["worker1:worker3"]
    again = {
        **good,
        **{key: lossy[key] for key in ("nodeid", "nodes", "sourceNode", "targetNode")},
        "attempt": 2,
    }
    rerun["measurements"].append(again)
    browser.open(saved(rerun, tmp_path / "page.html"))
    assert not browser.all(".heat td.loss")
    assert browser.texts("#table tr.earlier .of-pair") == ["worker1 → worker3"]
    browser.open_pair("#table tr.earlier a")
    assert browser.one("#view .attempts").text == "Attempt 1 2"
    browser.one("#view .attempts a").click()
    browser.until("document.querySelector('#view .attempts b').textContent === '2'")
    assert "passed" in browser.one("#view .said").text
    assert browser.complaints == []


def test_a_baseline_colours_the_changes(browser, document, tmp_path):
    compared = copy.deepcopy(document)
    measured = [one for one in compared["measurements"] if one["p50LatencyNanoSec"] is not None]
    for number, entry in enumerate(measured):
        change = {"baselineNanoSec": 500_000, "deltaPercent": -30.0 + 20 * number, "regressed": number > 4}
        common = {"p90": change, "p99": None, "significant": True, "reason": None}
        entry["comparison"] = {"p50": change, "regressed": number == len(measured) - 1, **common}
    browser.open(saved(compared, tmp_path / "page.html"))
    browser.one("#metric input[value=delta]").click()
    shown = browser.texts(".heat td[class^=d]")
    assert "-30" in shown
    assert any(one.endswith("▲") for one in shown)
    assert "Δ p50 %" in browser.texts("#table th")
    browser.open_pair(".heat td.d0 a")
    assert "-30.0%" in browser.texts("#view .before")[0]
    assert browser.texts("#view .before")[1] == "was 0.50 ms"


def test_a_measurement_of_a_test_is_shown_beside_the_pair(browser, document, tmp_path):
    more = copy.deepcopy(document)
    entry = next(one for one in more["measurements"] if one["outcome"] == "passed")
    extra = {**copy.deepcopy(entry), "ping": {**entry["ping"], "packetSizeBytes": 1400}, "limits": None}
    entry |= {
        "nodeid": "tests/test_net.py::test_large[default/blue-network-worker1:worker10]",
        "extra": [extra],
    }
    browser.open(saved(more, tmp_path / "page.html"))
    assert "Test" in browser.texts("#table th")
    browser.run(
        "[...document.querySelectorAll('#table tr')].find((row) => row.textContent.includes('test_large')).querySelector('a').click()"
    )
    browser.until("document.getElementById('view').open")
    assert browser.one("#view .extra").text == "kv_ping 1: 1400 bytes"
    assert browser.one("#view .kicker").text == "default/blue-network · test_large"
    assert len(browser.all("#view .rtt")) == 2


def test_a_run_that_measured_nothing_has_a_page(browser, document, tmp_path):
    browser.open(
        saved({**document, "measurements": [], "causes": [], "cluster": None}, tmp_path / "page.html")
    )
    assert "nothing was measured" in browser.one("h1").text
    assert browser.complaints == []
