"""Text of strangers, made harmless."""

from __future__ import annotations

import string
import unicodedata
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.escape import Redactor, for_html, for_xml, harmless, printable, printable_lines

ANYTHING = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=100)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode → 日本\ttab", "plain ünïcode → 日本\ttab"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("two\r\nlines", "two\\x0d\\x0alines"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202eevil", "\\u202eevil"),
        ("\udc80", "\\udc80"),
    ],
)
def test_E67_controls_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANYTHING)
def test_E67_no_control_survives(text: str) -> None:
    assert all(unicodedata.category(one) not in {"Cc", "Cs"} or one == "\t" for one in printable(text))


def test_lines_stay_lines() -> None:
    assert printable_lines("a\r\nb\x1b\n") == "a\nb\\x1b\n"


@pytest.mark.parametrize("show", [printable, printable_lines])
def test_E89_of_a_megabyte_in_one_line_both_ends_are_shown(show) -> None:
    shown = show("the beginning" + "x" * 1_000_000 + "the end")
    assert shown.startswith("the beginning")
    assert shown.endswith("the end")
    assert " characters cut]" in shown
    assert len(shown) < 20_000


def test_E89_a_file_holds_the_whole_text_and_no_control() -> None:
    assert harmless("x" * 100_000 + "\x1b[2J\ty\r\n\x9b\rz") == "x" * 100_000 + "\\x1b[2J\ty\n\\x9b\\x0dz"


def test_E67_html_is_text() -> None:
    assert for_html("<script>\"'&\x1b") == "&lt;script&gt;&quot;&#x27;&amp;\\x1b"


@given(ANYTHING)
def test_E67_any_text_can_be_put_in_xml(text: str) -> None:
    element = ET.Element("a")
    element.text = for_xml(text)
    ET.fromstring(ET.tostring(element, encoding="utf-8"))


def test_E67_the_clusters_credentials_are_taken_out_wherever_they_stand() -> None:
    redact = Redactor(["s3cret-token", "s3cret-token-longer\n", "", "root"])
    assert redact("Bearer s3cret-token-longer, s3cret-token; root") == "Bearer [redacted], [redacted]; root"
    assert redact.data({"a": ["x s3cret-token", 1, None], "s3cret-token": True}) == {
        "a": ["x [redacted]", 1, None],
        "[redacted]": True,
    }


@given(st.text(alphabet=string.printable, max_size=100))
def test_without_secrets_nothing_changes(text: str) -> None:
    assert Redactor()(text) == text
