"""Where QEMU cannot be had, the tests with real guests are skipped; in CI they fail instead."""

from __future__ import annotations

from pathlib import Path

import pytest

WHY = "qemu-system-x86_64 is not there"


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        pytest.param("1", {"errors": 1, "passed": 1}, id="required-in-ci"),
        pytest.param("", {"skipped": 1, "passed": 1}, id="optional-elsewhere"),
    ],
)
def test_tests_with_real_guests_without_qemu(pytester, monkeypatch, required, outcome):
    monkeypatch.setattr("pytest_kvlatency.lab.guests.qemu.setup.usable", lambda: WHY)
    monkeypatch.setenv("KVLATENCY_REQUIRE_QEMU", required)
    pytester.makeini("[pytest]\nmarkers = qemu: real guests")
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\n@pytest.mark.qemu\ndef test_real(): pass\ndef test_other(): pass")
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(f"*{WHY}*")
