"""Which pings of a sample were lost, by their positions in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kvlatency.model import PingResult
from pytest_kvlatency.ping.output import parse
from pytest_kvlatency.ping.selection import Asked

DATA = Path(__file__).parent / "data" / "ping"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_bytes().decode()


def printed(
    numbers: list[int], sent: int, *, first: int = 0, received: int | None = None, more: str = ""
) -> str:
    """What BusyBox (``first`` 0) or iputils prints that sent so many, and got replies to these."""
    word = "seq" if first == 0 else "icmp_seq"
    replies = [
        f"64 bytes from 198.18.0.2: {word}={(first + number) % 65536} ttl=64 time=0.500 ms"
        for number in numbers
    ]
    count = len(set(numbers)) if received is None else received
    loss = 100 * (sent - count) // sent
    tail = [
        "--- 198.18.0.2 ping statistics ---",
        f"{sent} packets transmitted, {count} packets received, {more}{loss}% packet loss",
    ]
    return "\n".join([*replies, *tail])


@pytest.mark.parametrize(
    ("name", "asked", "lost"),
    [
        ("busybox-1.35-loopback", None, ()),
        ("busybox-1.35-all-lost", None, (0, 1)),
        ("busybox-1.30-loss-duplicates", None, (4, 5, 7)),
        ("iputils-s20161105-loss-duplicates", None, (4, 5, 7)),
        ("iputils-20221126-all-lost", None, (0, 1, 2, 3, 4)),
        ("iputils-20221126-lost-fifth", 5, (4,)),
        ("iputils-20221126-lost-eighth", 5, ()),
        ("iputils-20221126-late-fifth", 5, ()),
        ("iputils-20250605-corrupted", 5, None),
    ],
)
def test_E31_recorded_pings_say_which_were_lost(
    name: str, asked: int | None, lost: tuple[int, ...] | None
) -> None:
    result = parse(recorded(name), expected_count=asked, surplus=9 if asked else 0)
    assert result.lost_sequence is not None
    assert len(result.lost_sequence) == result.transmitted - result.received
    if lost is not None:
        assert result.lost_sequence == lost


@pytest.mark.parametrize("first", [0, 1])
def test_E31_the_first_ping_is_position_0_whatever_number_it_has(first: int) -> None:
    assert parse(printed([1, 2, 4], 5, first=first), asked=Asked(first=first)).lost_sequence == (0, 3)


def test_E32_a_late_reply_is_lost_as_it_is_not_received() -> None:
    late = "\n64 bytes from 198.18.0.2: seq=2 ttl=64 time=9000.000 ms\n"
    result = parse(printed([0, 1, 3], 4) + late)
    assert (result.received, result.late, result.lost_sequence) == (3, 1, (2,))


def test_E32_a_duplicate_hides_no_lost_ping() -> None:
    result = parse(printed([0, 1, 1, 3], 4, more="1 duplicates, "))
    assert (result.duplicates, result.lost_sequence) == (1, (2,))


def test_E32_a_duplicate_whose_first_reply_is_torn_is_an_answer() -> None:
    text = printed([0, 1, 1, 3], 4, more="1 duplicates, ").replace("time=0.500 ms", "time=0.500 ms (DUP!)")
    text = text.replace(" (DUP!)", "", 1).replace("seq=1 ttl=64 time=0.500 ms (DUP!)", "random: crng", 1)
    text = text.replace("seq=3 ttl=64 time=0.500 ms (DUP!)", "seq=3 ttl=64 time=0.500 ms")
    result = parse(f"{text}\nround-trip min/avg/max = 0.500/0.500/0.500 ms")
    assert (len(result.samples_ns), result.lost_sequence) == (2, (2,))


def test_E12_a_reply_that_cannot_be_read_leaves_open_which_were_lost() -> None:
    text = printed([0, 1, 2, 4], 6).replace("seq=2 ttl", "random: crng init")
    result = parse(f"{text}\nround-trip min/avg/max = 0.500/0.500/0.500 ms")
    assert (result.received, len(result.samples_ns), result.lost_sequence) == (4, 3, None)


def test_E12_no_ping_is_lost_where_all_replies_are_counted_and_one_is_torn() -> None:
    text = printed([0, 1, 2, 3], 4).replace("seq=2 ttl", "random: crng init")
    result = parse(f"{text}\nround-trip min/avg/max = 0.500/0.500/0.500 ms")
    assert (len(result.samples_ns), result.lost_sequence) == (3, ())


@pytest.mark.once
def test_E31_sequence_numbers_wrap_and_positions_go_on() -> None:
    sent, lost = 66_000, (7, 65_534, 65_535, 65_536, 65_999)
    answered = [number for number in range(sent) if number not in lost]
    for first in (0, 1):
        text = printed(answered, sent, first=first)
        assert parse(text, asked=Asked(first=first)).lost_sequence == lost


def test_an_interrupted_ping_has_lost_only_what_it_sent() -> None:
    result = parse(printed([0, 2], 3), expected_count=50)
    assert (result.transmitted, result.lost_sequence) == (3, (1,))
    assert result.warnings == ("ping sent 3 of 50 requests before it ran out of time",)


def test_E75_a_ping_that_another_address_answered_is_lost() -> None:
    text = printed([0, 1, 2, 3], 4).replace("198.18.0.2: seq=2", "198.18.0.9: seq=2")
    result = parse(text, asked=Asked(address="198.18.0.2"))
    assert (result.received, result.lost_sequence) == (3, (2,))


def test_what_is_lost_is_known_without_its_numbers_where_all_or_none_was() -> None:
    assert PingResult(transmitted=3, received=0).lost_sequence == (0, 1, 2)
    assert PingResult(transmitted=3, received=3).lost_sequence == ()
    assert PingResult(transmitted=3, received=2).lost_sequence is None


@pytest.mark.parametrize("received", [0, 1])
def test_counters_that_are_only_a_guests_words_fill_no_memory(received: int) -> None:
    reply = "64 bytes from 10.0.0.2: seq=0 ttl=64 time=0.5 ms\n" * received
    end = f"999999999 packets transmitted, {received} packets received, {100 - received * 1e-7:.0f}% packet loss\n"
    result = parse(
        f"PING 10.0.0.2 (10.0.0.2): 56 data bytes\n{reply}\n--- 10.0.0.2 ping statistics ---\n{end}"
    )
    assert (result.transmitted, result.received) == (999_999_999, received)
    assert result.lost_sequence is None
