from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.units import format_duration, parse_duration, parse_percent, to_ms, to_seconds

EXPECTED = "expected a duration such as 10ms, 1.5s, 5m or 1m30s"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("10ms", 10_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("5m", 300_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("1µs", 1_000),
        ("1μs", 1_000),
        ("0.5ns", 0),
        (" 10ms ", 10_000_000),
        ("+10ms", 10_000_000),
        ("+0", 0),
    ],
)
def test_durations_are_those_of_go(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10", "has no unit. Did you mean 10ms?"),
        ("1.5", "has no unit. Did you mean 1.5ms?"),
        ("10xs", "is not a duration. Did you mean 10ms?"),
        ("", f"is not a duration: {EXPECTED}"),
        ("ms", f"is not a duration: {EXPECTED}"),
        ("1h2", "is not a duration. Did you mean 1h2m?"),
        ("1..5s", f"is not a duration: {EXPECTED}"),
        ("1 s", "is not a duration. Did you mean 1s?"),
        ("1,5s", "is not a duration. Did you mean 1.5s?"),
        ("1:30", "is not a duration. Did you mean 1m30s?"),
        ("1:00:05", "is not a duration. Did you mean 1h5s?"),
        ("5 Minutes, 30 sec", "is not a duration. Did you mean 5m30s?"),
        ("0 min", f"is not a duration: {EXPECTED}"),
        ("1e3ms", f"is not a duration: {EXPECTED}"),
        ("inf", f"is not a duration: {EXPECTED}"),
        ("-5ms", "is negative. Did you mean 5ms?"),
        ("++5ms", f"is not a duration: {EXPECTED}"),
        ("+5", "has no unit. Did you mean 5ms?"),
        ("\u0661\u0660ms", f"is not a duration: {EXPECTED}"),
        ("\uff11ms", f"is not a duration: {EXPECTED}"),
        ("300000000h", f"is longer than 292 years: {EXPECTED}"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_is_meant_or_expected(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        parse_duration(text)


@given(st.text("0123456789.,: hmsunxe", max_size=12), st.sampled_from(["ms", "s", "m"]))
def test_what_is_offered_in_the_place_of_a_wrong_duration_is_one(text: str, usual: str) -> None:
    try:
        parse_duration(text, usual=usual)
    except ValueError as error:
        offered = str(error).partition("Did you mean ")[2].removesuffix("?")
        assert not offered or parse_duration(offered) >= 0


@given(st.integers(0, 2**63 - 1))
def test_a_duration_survives_its_text(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text(max_size=12))
def test_no_text_crashes_the_duration_parser(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (12_300_000, "12.3ms"),
        (5_000_000_000, "5s"),
        (100_000_000_000, "1m40s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_read_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0.5", 0.5), ("10%", 10.0), (" 100 % ", 100.0)])
def test_percentages(text: str, value: float) -> None:
    assert parse_percent(text) == value


@pytest.mark.parametrize("text", ["", "-1", "100.1", "ten", "1e1", "nan", "%", "\u0665"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^is not a percentage from 0 to 100: expected a number such as 0, 0\.5 or 10%$"
    ):
        parse_percent(text)


def test_units_convert() -> None:
    assert to_ms(1_500_000) == 1.5
    assert to_seconds(1_500_000_000) == 1.5
