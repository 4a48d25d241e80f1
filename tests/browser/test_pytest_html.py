"""pytest-html's report in a browser: what leads from its heat map to the rows, and from its rows to the page."""

from __future__ import annotations

import pytest
from own_checkup import checkup

LAB = """
guests: sim
nodes: 3
networks:
  default/blue-network: {latency: 100us}
seed: 7
boot: 100ms
time_scale: 20
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report beside which no page was written."""
    directory = tmp_path_factory.mktemp("alone")
    options = ("-p", "pytest_html", "-p", "pytest_metadata", "--html", "out.html", "--self-contained-html")
    done = checkup(directory, LAB, "--kv-nodes", "mesh", "--kv-sample-duration", "1s", *options)
    assert done.returncode == 0, done.stdout
    return directory / "out.html"


def is_open(browser, place):
    return browser.run(
        "const row = document.getElementById(arguments[0])?.closest('tbody'); "
        "return Boolean(row && !row.querySelector('.extras-row').classList.contains('hidden'))",
        place,
    )


def test_a_cell_of_the_heat_map_leads_to_an_open_row(browser, report):
    browser.open(report)
    link = browser.one("#kv-matrix td a")
    place = link.get_attribute("href").partition("#")[2]
    assert not is_open(browser, place), "pytest-html folds what passed"
    link.click()
    browser.until(
        f"document.getElementById('{place}')?.closest('tbody').querySelector('.extras-row:not(.hidden)')"
    )
    assert browser.run("return document.querySelectorAll('.extras-row:not(.hidden) svg').length") == 2
    browser.one("#kv-matrix td a").click()
    assert is_open(browser, place), "a second click closes nothing"


def test_a_cell_leads_to_its_row_though_the_filters_hide_it(browser, report):
    browser.open(report)
    browser.one("input[data-test-result=passed]").click()
    link = browser.one("#kv-matrix td a")
    place = link.get_attribute("href").partition("#")[2]
    browser.until(f"document.getElementById('{place}') === null")
    link.click()
    browser.until(
        f"document.getElementById('{place}')?.closest('tbody').querySelector('.extras-row:not(.hidden)')"
    )


def test_a_link_with_a_hash_opens_its_row(browser, report):
    place = browser.open(report).one("#kv-matrix td a").get_attribute("href").partition("#")[2]
    browser.open(report, place=f"#{place}")
    browser.until(
        f"document.getElementById('{place}')?.closest('tbody').querySelector('.extras-row:not(.hidden)')"
    )


def test_beside_a_page_each_row_leads_to_its_pair_there(browser, run):
    browser.open(run / "plain.html")
    assert not browser.all("#kv-matrix")
    assert not browser.all(".extraHTML svg")
    browser.run(
        "[...document.querySelectorAll('td.kv-col a')].find((one) => one.textContent === 'worker1 → worker3').click()"
    )
    browser.until("document.getElementById('view')?.open")
    assert browser.one("#view-title").text == "worker1 → worker3"
