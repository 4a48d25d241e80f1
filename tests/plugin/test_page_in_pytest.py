"""The page as runs write it that measured nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")


def page(checkup: Checkup) -> str:
    return (checkup.pytester.path / "site/page.html").read_text("utf-8")


def test_a_run_of_skipped_tests_has_a_page(checkup: Checkup) -> None:
    skipping = """
        import pytest
        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_it(): pytest.skip("today")
    """
    checkup.pytester.makepyfile(skipping)
    result = checkup.run("--kv-sample-duration=500ms", "--kv-html", "site/page.html")
    result.assert_outcomes(skipped=1)
    assert "skipped" in page(checkup)


def test_a_preflight_writes_its_checklist(checkup: Checkup) -> None:
    checkup.run(*BLUE, "--kv-preflight", "--kv-html", "site/page.html")
    text = page(checkup)
    assert "preflight" in text
    assert '<ul class="checklist">' in text


def test_a_run_whose_cluster_cannot_be_asked_writes_why(checkup: Checkup) -> None:
    checkup.run("--kv-nad", "default/no-network", "--kv-html", "site/page.html")
    assert "no-network" in page(checkup)
    assert ">1 cause<" in page(checkup)
