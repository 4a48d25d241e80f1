"""What a guest prints without end, or to command a terminal, in everything that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

MEGABYTE: Final = 1_000_000
REPORTS: Final = ("--junitxml=junit.xml", "--html=report.html", "--kv-artifacts=kept")
HOOK: Final = """
    def pytest_kvlatency_measurement(item):
        return "judged: " + "j" * 1_000_000 + " and no more" if item.name.startswith("test_judged") else None
"""
TESTS: Final = r"""
    import pytest
    from pytest_kvlatency.errors import GuestError

    pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
    MANY = "head -c 1000000 /dev/zero | tr '\\000' c"

    def test_command(kv_pair):
        kv_pair.source.run(f"printf 'the beginning'; {MANY}; printf '\\033[31mthe \\302\\233end'; exit 3", check=True)

    @pytest.fixture
    def broken():
        raise GuestError("r" * 1_000_000, hint="h" * 1_000_000, transcript="t" * 1_000_000)

    def test_fixture(broken):
        pass

    def test_judged():
        pass
"""


@pytest.mark.edge_case(
    "E89",
    happens="A guest prints a megabyte in one line.",
    does="Each report shows its beginning and its end, and how much is left out: “characters cut]”.",
)
@pytest.mark.edge_case(
    "E89",
    happens="A guest prints terminal sequences, and its console is kept as an artifact.",
    does="The file shows them as escapes such as “\\x1b”, so that `cat` is safe.",
)
def test_E89_a_megabyte_in_one_line_is_cut_in_every_report_and_artifacts_are_safe_to_cat(
    checkup: Checkup,
) -> None:
    checkup.pytester.makeconftest(HOOK)
    checkup.pytester.makepyfile(TESTS)
    result = checkup.quick(*REPORTS)
    result.assert_outcomes(failed=2, errors=1)
    place = checkup.pytester.path
    reports = {
        name: (place / name).read_text("utf-8") for name in ("junit.xml", "report.html", "result.json")
    }
    reports["terminal"] = result.stdout.str()
    for name, text in reports.items():
        assert "characters cut]" in text, name
        assert len(text) < MEGABYTE // 2, (name, len(text))
    assert [one["failureKind"] for one in checkup.document["measurements"]] == [
        "assertion",
        "guest",
        "assertion",
    ]
    for name in ("terminal", "junit.xml", "report.html"):
        assert "the beginning" in reports[name]
        assert "and no more" in reports[name]
    assert r"the \x9bend" in reports["terminal"]
    consoles = [one.read_text("utf-8") for one in place.glob("kept/*/console.log")]
    assert any(r"\x1b[31mthe \x9bend" in one for one in consoles)
    assert not any("\x1b" in one or "\x9b" in one or "\r" in one for one in consoles)
