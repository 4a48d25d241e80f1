"""The line that shows how far a run is."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from pytest_kvlatency.engine.steps import Wait
from pytest_kvlatency.report.progressline import (
    Progress,
    about,
    fitting,
    progress_line,
    span,
    text_width,
    words_line,
)

SCHEDULING = Wait(who="worker6", phase="Scheduling", seconds=8.2)
WHOLE = Progress(
    measured=21,
    total=45,
    failed=3,
    worst=(24_300_000, "worker1→worker3"),
    round=(4, 7),
    seconds_left=24.0,
    waiting=(SCHEDULING,),
)
LONG = replace(
    WHOLE,
    worst=(24_300_000, "ip-10-0-131-54.compute.internal→ip-10-0-131-77.compute.internal"),
    waiting=(Wait(who="ip-10-0-131-99.compute.internal", phase="Scheduling", seconds=8.2),),
)


def text(progress: Progress, width: int | None = None, *, is_plain: bool = False) -> str:
    return "".join(piece.text for piece in progress_line(progress, width, is_plain=is_plain))


def test_numbers_come_first_and_then_what_is_waited_for() -> None:
    assert text(WHOLE) == (
        "21/45  3 failed  worst 24.3 ms worker1→worker3  round 4/7  ~25 s left  waiting: worker6 Scheduling 8 s"
    )
    assert text(Progress(measured=0, total=1)) == "0/1"


def test_only_failures_have_a_colour() -> None:
    coloured = [piece.text for piece in progress_line(WHOLE) if piece.colour]
    assert coloured == ["3 failed"]


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (101, "21/45  3 failed  worst 24.3 ms worker1→worker3  ~25 s left  waiting: worker6 Scheduling 8 s"),
        (79, "21/45  3 failed  worst 24.3 ms  ~25 s left  waiting: worker6 Scheduling 8 s"),
        (60, "21/45  3 failed  worst 24.3 ms  ~25 s left"),
        (40, "21/45  3 failed  ~25 s left"),
        (20, "21/45  3 failed"),
        (12, "21/45"),
        (4, "21…5"),
    ],
)
def test_what_gives_way_on_a_narrow_terminal_stands_in_one_order(width: int, said: str) -> None:
    assert text(WHOLE, width) == said


def test_a_name_is_shortened_in_its_middle_before_what_is_waited_for_goes() -> None:
    assert text(LONG, 79) == (
        "21/45  3 failed  worst 24.3 ms  ~25 s left  waiting: ip-10…ernal Scheduling 8 s"
    )
    pair = replace(LONG, waiting=(Wait(who="a" * 20 + "→" + "b" * 20, phase="pinging", seconds=3),))
    assert text(pair, 88) == (
        "21/45  3 failed  worst 24.3 ms  ~25 s left  waiting: aaaaa…aaaaa→bbbbb…bbbbb pinging 3 s"
    )


def test_of_several_waits_the_longest_is_said_and_the_other_nodes_are_counted() -> None:
    waiting = (
        Wait(who="worker2", phase="booting", seconds=3),
        SCHEDULING,
        Wait(who="worker6", phase="booting", seconds=2),
        Wait(who="worker4", phase="Pending", seconds=0),
    )
    said = text(Progress(measured=0, total=3, waiting=waiting))
    assert said == "0/3  waiting: worker6 Scheduling 8 s, +2"


def test_a_wait_that_has_just_begun_has_no_time() -> None:
    waiting = (Wait(who="worker2", phase="booting", seconds=0.9),)
    assert text(Progress(measured=0, total=3, waiting=waiting)) == "0/3  waiting: worker2 booting"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "~1 s"),
        (7.4, "~7 s"),
        (12, "~10 s"),
        (23, "~25 s"),
        (88, "~90 s"),
        (170, "~3 min"),
        (4800, "~1 h 20 min"),
    ],
)
def test_an_estimate_is_no_more_exact_than_it_can_be(seconds: float, said: str) -> None:
    assert about(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(8.9, "8 s"), (75, "75 s"), (130, "2 min"), (3600 + 65, "1 h 1 min")]
)
def test_a_time_that_goes_on_is_said_in_one_or_two_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_a_terminal_without_arrows_gets_ascii() -> None:
    wide = replace(WHOLE, worst=(1_000_000, "节点→worker3"))
    said = text(wide, is_plain=True)
    assert "worst 1.00 ms \\u8282\\u70b9->worker3" in said
    assert said.isascii()
    assert text(LONG, 79, is_plain=True).isascii()
    assert "".join(one.text for one in words_line("a→" + "b" * 30, 10, is_plain=True)).isascii()


def test_names_that_are_wide_or_command_a_terminal_do_not_break_the_line() -> None:
    hostile = replace(
        WHOLE,
        worst=(24_300_000, "节点一→\x1b[2Jworker3\n"),
        waiting=(Wait(who="节点六节点六节点六节点六", phase="Sched\ruling", seconds=8),),
    )
    for width in range(6, 140):
        said = text(hostile, width)
        assert wcswidth(said) == text_width(said) <= width
    assert "\\x1b[2Jworker3\\x0a" in text(hostile)


NAMES = st.text(max_size=40)


@pytest.mark.once
@given(
    who=NAMES,
    pair=st.tuples(NAMES, NAMES),
    width=st.integers(min_value=1, max_value=200),
    others=st.integers(min_value=0, max_value=3),
    is_plain=st.booleans(),
)
def test_whatever_the_names_are_the_line_is_one_and_fits(
    who: str, pair: tuple[str, str], width: int, others: int, *, is_plain: bool
) -> None:
    waiting = [Wait(who=who + str(one), phase="Pending", seconds=one) for one in range(others)]
    progress = replace(WHOLE, worst=(1, "→".join(pair)), waiting=waiting)
    said = text(progress, width, is_plain=is_plain)
    assert text_width(said) <= width
    assert not any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in said)
    # Numbers outlast names.
    assert said.startswith("21/45") or width < 5


@given(text=st.text(max_size=60), width=st.integers(min_value=0, max_value=50))
def test_a_shortened_text_never_takes_more_columns_than_it_may(text: str, width: int) -> None:
    assert text_width(fitting(text, width)) <= width
