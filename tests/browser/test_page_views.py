"""The page of a failing mesh in a browser: what a reader sees, clicks, types and prints."""

from __future__ import annotations

import re

import pytest


@pytest.fixture
def opened(browser, page):
    return browser.open(page)


def cells(browser):
    """What each cell of the heat map shows, by pair."""
    found = browser.run(
        "return [...document.querySelectorAll('.heat td[data-pair]:not(.mirror)')].map((cell) => "
        "[cell.firstChild.title.split(': ')[0], cell.textContent, cell.className])"
    )
    return {pair.replace(" → ", ":"): (text, look) for pair, text, look in found}


def column(browser, key):
    place = (
        "[...document.querySelectorAll('#table th')].findIndex((head) => head.dataset.key === arguments[0])"
    )
    return browser.run(
        f"const at = {place}; return [...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[at].textContent)",
        key,
    )


def test_the_page_of_a_failing_mesh_opens_with_the_network_off(opened):
    assert opened.texts("h1 .verdict") == ["Failed"]
    assert opened.texts(".badge") == ["LAB", "TIME COMPRESSED 20 TIMES"]
    assert [one.split()[0] for one in opened.texts(".card .kind")] == [
        "provision", "latency", "loss", "connectivity",
    ]  # fmt: skip
    assert opened.complaints == []
    assert (
        opened.run(
            "return performance.getEntriesByType('resource').filter((one) => one.name.startsWith('http'))"
        )
        == []
    )


def test_cells_say_what_became_of_each_pair_and_nodes_are_in_natural_order(opened):
    shown = cells(opened)
    assert shown["worker1:worker2"][0].endswith("!")
    assert shown["worker1:worker2"][1] == "over"
    assert shown["worker1:worker3"][1] == "loss"
    assert shown["worker2:worker3"] == ("✕", "dead")
    assert shown["worker1:worker10"][1] == "h0"
    assert shown["worker10:worker11"] == ("E", "error")
    heads = opened.texts(".heat tbody th")
    assert [one.strip() for one in heads] == ["worker1", "worker2", "worker3", "worker10", "worker11"]


def test_the_switch_shows_another_metric_in_the_cells_and_the_legend(opened, entries):
    before = cells(opened)["worker1:worker10"][0]
    opened.one("#metric input[value=p50]").click()
    p50 = entries["worker1:worker10"]["p50LatencyNanoSec"] / 1e6
    assert float(cells(opened)["worker1:worker10"][0]) == pytest.approx(p50, abs=0.005)
    assert before != cells(opened)["worker1:worker10"][0]
    assert opened.texts(".heat caption") == ["p50 ms; row: source, column: target"]
    opened.one("#metric input[value=loss]").click()
    loss = entries["worker1:worker3"]["lossPercent"]
    assert cells(opened)["worker1:worker3"][0] == f"{loss:.3g}L"
    assert cells(opened)["worker1:worker10"] == ("0", "h0")
    assert "≤ 20%" in opened.texts(".legend li")


def test_failures_come_first_and_columns_sort_by_number(opened):
    assert column(opened, "outcome") == ["failed"] * 3 + ["error"] * 4 + ["passed"] * 3
    head = opened.one("#table th[data-key=max] button")
    head.click()
    slowest = [float(one) for one in column(opened, "max") if one]
    assert slowest == sorted(slowest, reverse=True)
    assert len({len(str(int(one))) for one in slowest}) > 1, "as text they would have another order"
    head.click()
    fastest = column(opened, "max")
    assert [float(one) for one in fastest if one] == slowest[::-1]
    assert fastest[-5:] == [""] * 5, "what was not measured stays last"
    assert opened.one("#table th[data-key=max]").get_attribute("aria-sort") == "ascending"
    opened.one("#table th[data-key=pair] button").click()
    assert column(opened, "pair")[2:4] == ["worker1 → worker10", "worker1 → worker11"]


def test_columns_that_no_row_fills_stay_away(opened):
    heads = opened.texts("#table th")
    assert {"max ms", "p90 ms", "Pings"} <= set(heads)
    assert not {"p99 ms", "Test", "Attempt", "Δ p50 %"} & set(heads)


def test_the_table_filters_by_words_outcome_and_cause(opened):
    opened.one("#filter").send_keys("worker10 passed")
    assert sorted(column(opened, "pair")) == [f"worker{number} → worker10" for number in (1, 2, 3)]
    opened.run("document.getElementById('filter').value = ''")
    opened.one("#filter").send_keys(" ")
    opened.one("#outcomes [data-outcome=failed]").click()
    assert len(column(opened, "pair")) == 3
    opened.one("#outcomes [data-outcome=all]").click()
    opened.one(".card .concerns a").click()
    assert {one.split()[-1] for one in column(opened, "pair")} == {"worker11"}
    assert opened.one("#shown").text.startswith("4 of 10 pairs")
    opened.one("#shown button").click()
    assert len(column(opened, "pair")) == 10


def test_a_cell_leads_to_its_pair_and_escape_leads_back(opened):
    cell = opened.one(".heat td.loss:not(.mirror) a")
    opened.open_pair(".heat td.loss:not(.mirror) a")
    assert opened.one("#view-title").text == "worker1 → worker3"
    opened.press("ESCAPE")
    assert not opened.one("#view").is_displayed()
    assert opened.run("return location.hash") == ""
    assert opened.focused == cell


def test_a_link_with_a_hash_opens_the_pair_at_once(browser, page, opened):
    place = opened.one(".heat td.dead a").get_attribute("href").partition("#")[2]
    browser.open(page, place=f"#{place}")
    assert browser.one("#view-title").text == "worker2 → worker3"
    assert "None of" not in browser.one("#view").text


def test_every_lost_ping_of_a_lossy_link_is_on_its_picture(opened, entries):
    entry = entries["worker1:worker3"]
    assert 0 < len(entry["lostSequence"]) == entry["transmitted"] - entry["received"]
    opened.open_pair(".heat td.loss a")
    marks = opened.run(
        "return [...document.querySelectorAll('#view .rtt .lost')].map((one) => +one.dataset.ping)"
    )
    assert marks == entry["lostSequence"]
    numbers = [int(re.match(r"ping (\d+):", one)[1]) - 1 for one in opened.texts("#view .rtt .reply title")]
    assert sorted([*numbers, *marks]) == list(range(entry["transmitted"]))
    assert opened.texts("#view .rtt .limit-text") == ["limit 10 ms (above the scale)"]


def test_the_limit_is_drawn_where_the_pings_exceed_it(opened):
    opened.open_pair(".heat td.over a")
    assert opened.texts("#view .rtt .limit-text") == ["limit 10 ms"]
    limit, highest = opened.run(
        "const at = (one) => one.getBoundingClientRect().top; "
        "return [at(document.querySelector('#view .rtt .limit')), at(document.querySelector('#view .rtt .above'))]"
    )
    assert highest < limit


def test_distributions_of_a_network_share_an_axis(opened):
    shown = []
    for look in ("over", "loss"):
        opened.open_pair(f".heat td.{look} a")
        labels = "[...document.querySelectorAll('#view .ecdf text')].map((one) => [one.textContent, one.getAttribute('x')])"
        shown.append(opened.run(f"return {labels}"))
        opened.press("ESCAPE")
    assert shown[0] == shown[1]


def test_a_pair_without_numbers_is_shown_with_its_reason(opened):
    opened.open_pair(".heat td.error a")
    view = opened.one("#view").text
    assert "worker11 is cordoned" in view
    assert "Nothing was measured" in view
    assert not opened.all("#view svg")


def test_transcript_and_artifacts_of_a_pair_are_at_hand(opened, run):
    opened.open_pair(".heat td.loss a")
    assert "packets transmitted" in opened.run("return document.querySelector('#view pre').textContent")
    links = [one.get_attribute("href") for one in opened.all("#view .facts a")]
    for one in links:
        assert one.startswith(run.as_uri())
        assert (run / one.removeprefix(f"{run.as_uri()}/")).exists()
    assert len(links) == 2


def test_the_page_is_used_with_the_keyboard_alone(opened):
    opened.run("document.querySelector('.heat td[data-pair] a[tabindex=\"0\"]').focus()")
    start = opened.focused.get_attribute("title")
    opened.press("ARROW_RIGHT")
    assert opened.focused.get_attribute("title") != start
    opened.press("ARROW_LEFT")
    assert opened.focused.get_attribute("title") == start
    opened.press("ENTER")
    opened.until("document.getElementById('view').open")
    first = opened.one("#view-title").text
    opened.press("ARROW_RIGHT")
    opened.until(f"document.getElementById('view-title').textContent !== '{first}'")
    opened.press("ESCAPE")
    assert opened.focused.get_attribute("title") == start
    opened.run("document.querySelector('#table th[data-key=loss] button').focus()")
    opened.press("ENTER")
    assert column(opened, "loss")[0] == "100"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_itself_never_scrolls_sideways(browser, page, width):
    browser.open(page, width=width)
    beyond = "const root = document.documentElement; return root.scrollWidth - root.clientWidth"
    assert browser.run(beyond) == 0
    browser.open_pair(".heat td.loss a")
    assert browser.run(beyond) == 0
    inside = browser.run(
        "const view = document.getElementById('view'); return view.scrollWidth - view.clientWidth"
    )
    assert inside == 0


def test_dark_mode_follows_the_preference_of_the_reader(browser, page):
    ground = {}
    for scheme in ("light", "dark"):
        browser.open(page, scheme=scheme)
        colour = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
        ground[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert ground["dark"] < 150
    assert ground["light"] > 600


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious(browser, page, axe, scheme, width):
    browser.open(page, scheme=scheme, width=width)
    assert browser.accessibility(axe) == {}
    browser.open_pair(".heat td.loss a")
    browser.run("document.querySelector('#view details').open = true")
    assert browser.accessibility(axe) == {}
    browser.press("ESCAPE")
    browser.run("document.querySelector('#metric input[value=loss]').click()")
    assert browser.accessibility(axe) == {}
