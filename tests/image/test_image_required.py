"""Where the image cannot be built, its tests are skipped; in CI they fail instead."""

from __future__ import annotations

from pathlib import Path

import pytest

WHY = "buildah is not there"


@pytest.mark.parametrize(
    ("required", "unsupported", "outcome"),
    [
        pytest.param("1", None, {"errors": 1, "passed": 1}, id="required-in-ci"),
        pytest.param("1", "not root", {"skipped": 1, "passed": 1}, id="impossible-here"),
        pytest.param("", None, {"skipped": 1, "passed": 1}, id="optional-elsewhere"),
    ],
)
def test_tests_of_the_image_without_what_they_need(pytester, monkeypatch, required, unsupported, outcome):
    monkeypatch.setattr("image_setup.unusable", lambda: WHY)
    monkeypatch.setattr("image_setup.unsupported", lambda: unsupported)
    monkeypatch.setenv("KVLATENCY_REQUIRE_IMAGE", required)
    pytester.makeini("[pytest]\nmarkers = image: the image")
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\n@pytest.mark.image\ndef test_real(): pass\ndef test_other(): pass")
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(f"*{WHY}*")
