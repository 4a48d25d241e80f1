"""What is left of the page on paper, and without a script."""

from __future__ import annotations

import pypdfium2
import pytest

SCALE = 3


class Paper:
    """A PDF: where words stand, and how dark it is beside them."""

    def __init__(self, data, cells):
        self.cells = cells
        self._pages = list(pypdfium2.PdfDocument(data))
        self._bitmaps = [one.render(scale=SCALE) for one in self._pages]
        self.text = "\n".join(one.get_textpage().get_text_bounded() for one in self._pages)

    def darkness(self, words):
        """How dark the ground is left of each place where the words stand, from 0 to 255."""
        return [value for number in range(len(self._pages)) for value in self._darkness(number, words)]

    def _darkness(self, number, words):
        page, bitmap = self._pages[number], self._bitmaps[number]
        text = page.get_textpage()
        found = text.search(words, match_case=True, match_whole_word=True)
        while (place := found.get_next()) is not None:
            left, bottom, _, top = text.get_charbox(place[0])
            x = round((left - 1.5) * SCALE)
            y = round((page.get_height() - (bottom + top) / 2) * SCALE)
            start = y * bitmap.stride + x * bitmap.n_channels
            yield 255 - sum(bitmap.buffer[start : start + 3]) / 3


@pytest.fixture(params=["light", "dark"], scope="module")
def paper(request, browser, page):
    browser.open(page, scheme=request.param)
    return Paper(browser.pdf(), set(browser.texts(".heat td[data-pair]")))


def test_the_dead_cell_is_the_darkest_on_paper(paper):
    dead = max(paper.darkness("✕"))
    assert dead > 230
    others = {words: max(paper.darkness(words)) for words in paper.cells - {"✕"}}
    assert len(others) > 4
    assert max(others.values()) < 160


def test_colours_of_cells_survive_a_print_without_backgrounds(paper, entries):
    over = max(paper.darkness(f"{entries['worker1:worker2']['maxLatencyNanoSec'] / 1e6:.1f}!"))
    assert over > 40


def test_paper_has_verdict_causes_and_failures(paper):
    for words in ("Failed", "4 causes", "worker11 is cordoned", "default/blue-network", "LAB"):
        assert words in paper.text
    assert "Filter" not in paper.text


def test_without_javascript_the_page_still_tells_what_happened(browser, page):
    browser.open(page, scripts=False)
    try:
        text = browser.one("body").text
        assert "4 causes" in text
        assert "need JavaScript" in text
        assert len(browser.all(".heat td.dead")) == 2
        assert not browser.one("#pairs").is_displayed()
        assert not browser.one("#metric").is_displayed()
    finally:
        browser.open(page)
