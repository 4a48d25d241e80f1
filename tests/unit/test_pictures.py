"""The pictures of README and docs: small, used, and with words for those who cannot see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "images").iterdir())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown() -> list[tuple[Path, str]]:
    """Each picture that a page shows, and its words."""
    return [
        ((page.parent / target).resolve(), words)
        for page in PAGES
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    ]


def test_every_picture_is_shown_and_every_shown_picture_is_there() -> None:
    assert {path for path, _ in shown()} == set(PICTURES)


def test_pictures_are_small_enough_for_a_checkout() -> None:
    assert {one.name: one.stat().st_size for one in PICTURES if one.stat().st_size >= 150_000} == {}


def test_every_picture_has_words() -> None:
    assert [path.name for path, words in shown() if len(words) < 20] == []
