"""Where there is no browser, the tests that need one are skipped; in CI they fail instead."""

from __future__ import annotations

from pathlib import Path

import pytest

WHY = "chromium is not there"


@pytest.mark.parametrize(
    ("required", "unsupported", "outcome"),
    [
        pytest.param("1", None, {"errors": 1, "passed": 1}, id="required-in-ci"),
        pytest.param("1", "not root", {"skipped": 1, "passed": 1}, id="impossible-here"),
        pytest.param("", None, {"skipped": 1, "passed": 1}, id="optional-elsewhere"),
    ],
)
def test_tests_in_a_browser_without_what_they_need(pytester, monkeypatch, required, unsupported, outcome):
    monkeypatch.setattr("browser_setup.unusable", lambda: WHY)
    monkeypatch.setattr("browser_setup.unsupported", lambda: unsupported)
    monkeypatch.setenv("KVLATENCY_REQUIRE_BROWSER", required)
    pytester.makeini("[pytest]\nmarkers = browser: a browser")
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("def test_real(browser): pass\ndef test_other(): pass")
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(f"*{WHY}*")
