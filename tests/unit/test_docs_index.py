"""The index of the docs: by role, and of every page."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
PAGES = {"README.md", "CHANGELOG.md", "conftest_example/README.md"}


def test_every_page_is_in_the_index() -> None:
    pages = PAGES | {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)\)", INDEX)}
    assert linked == {ROOT / page for page in pages}


def test_the_readme_leads_to_the_index() -> None:
    assert "](docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", ["administrators", "CI engineers", "authors of tests", "SREs"])
def test_the_index_has_a_section_for(role: str) -> None:
    (section,) = [one for one in INDEX.split("\n## ") if f"\nFor {role}.\n" in one]
    assert section.count("\n- [") >= 3


def test_the_site_is_built_by_tox_with_warnings_as_errors_and_pinned_tools() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "docs" in re.split(r",\s*", tox["tox"]["env_list"])
    docs = tox["testenv:docs"]
    assert " -W " in docs["commands"]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", one) for one in docs["deps"].split())
