"""Whatever stands in between: no sample is invented, no counter is misread, nothing but typed errors is raised."""

from __future__ import annotations

import contextlib
import re
import string
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.model import Limits, PingParameters
from pytest_kvlatency.ping.command import Dialect, asked_of, detect
from pytest_kvlatency.ping.output import parse
from pytest_kvlatency.ping.verdict import judge

ADDRESSES = st.sampled_from(["198.18.0.2", "10.0.0.1", "fd00::2", "fe80::1%eth0"])


@dataclass(frozen=True)
class Run:
    """A ping as it really went, and its transcript."""

    text: str
    times: dict[int, int]
    transmitted: int
    duplicates: int
    address: str
    busybox: bool


@st.composite
def runs(draw: st.DrawFn) -> Run:
    busybox = draw(st.booleans())
    address = draw(ADDRESSES)
    transmitted = draw(st.integers(1, 40))
    answered = sorted(draw(st.sets(st.integers(0, transmitted - 1))))
    microseconds = {number: draw(st.integers(1, 99_999)) for number in answered}
    repeated = draw(st.lists(st.sampled_from(answered), max_size=3)) if answered else []
    order = draw(st.permutations(answered))
    name, first = ("seq", 0) if busybox else ("icmp_seq", 1)
    lines = [f"PING {address} ({address}): 56 data bytes"]
    times = {}
    for number in order:
        us = microseconds[number]
        text = f"{us // 1000}.{us % 1000:03d}"
        times[number] = us * 1000
        lines.append(f"64 bytes from {address}: {name}={number + first} ttl=64 time={text} ms")
        if number in repeated:
            lines.append(f"64 bytes from {address}: {name}={number + first} ttl=64 time={us} ms (DUP!)")
    duplicates = len(set(repeated))
    loss = 100 * (transmitted - len(answered))
    lines += ["", f"--- {address} ping statistics ---"]
    if busybox:
        extra = f"{duplicates} duplicates, " if duplicates else ""
        lines.append(
            f"{transmitted} packets transmitted, {len(answered)} packets received, {extra}"
            f"{loss // transmitted}% packet loss"
        )
    else:
        extra = f"+{duplicates} duplicates, " if duplicates else ""
        lines.append(
            f"{transmitted} packets transmitted, {len(answered)} received, {extra}"
            f"{loss / transmitted:.6g}% packet loss, time 123ms"
        )
    if answered:
        # Both count duplicates in, and cut the mean.
        every = [times[number] for number in answered] + [
            microseconds[number] * 1_000_000 for number in set(repeated)
        ]
        mean = sum(every) // len(every)
        figures = "/".join(
            f"{value / 1_000_000:.3f}" for value in (min(every), mean // 1000 * 1000, max(every))
        )
        lines.append(
            f"round-trip min/avg/max = {figures} ms"
            if busybox
            else f"rtt min/avg/max/mdev = {figures}/0.123 ms, pipe 3"
        )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return Run(end.join(lines) + end, times, transmitted, duplicates, address, busybox)


STAMP = st.builds("[{:5d}.{:06d}] ".format, st.integers(0, 99_999), st.integers(0, 999_999))
WORDS = st.text(alphabet=string.ascii_letters + string.digits + " :=()!%,./", max_size=60)
STAMPED = st.builds("{}{}\r\n".format, STAMP, WORDS)
BARE = st.builds("random: {}\n".format, st.text(alphabet=string.ascii_letters + " :()", max_size=40))


def insert(text: str, noise: list[tuple[int, str]]) -> str:
    for place, one in sorted(noise, reverse=True):
        at = place % (len(text) + 1)
        text = text[:at] + one + text[at:]
    return text


@given(run=runs())
def test_a_clean_transcript_is_read_exactly(run: Run) -> None:
    result = parse(run.text, expected_count=run.transmitted)
    assert result.transmitted == run.transmitted
    assert result.received == len(run.times)
    assert result.duplicates == run.duplicates
    assert result.samples_ns == tuple(run.times[number] for number in sorted(run.times))
    assert result.warnings == ()


@given(run=runs(), noise=st.lists(st.tuples(st.integers(0, 4000), STAMPED), min_size=1, max_size=6))
def test_E12_kernel_messages_anywhere_cost_no_more_than_the_lines_they_tear(
    run: Run, noise: list[tuple[int, str]]
) -> None:
    check_not_misread(run, insert(run.text, noise))


@given(run=runs(), noise=st.lists(st.tuples(st.integers(0, 4000), BARE), min_size=1, max_size=4))
def test_E12_messages_without_a_time_stamp_are_not_misread_either(
    run: Run, noise: list[tuple[int, str]]
) -> None:
    check_not_misread(run, insert(run.text, noise))


@given(run=runs(), cut=st.integers(0, 4000))
def test_E10_a_transcript_cut_anywhere_is_right_or_an_error(run: Run, cut: int) -> None:
    check_not_misread(run, run.text[:cut])


@st.composite
def strays(draw: st.DrawFn) -> str:
    """A line that looks like one of a ping, whoever printed it."""
    sender = draw(ADDRESSES | st.sampled_from(["8.8.8.8", "fd00:0::2", "fe80::1", "a.b (198.18.0.2)"]))
    name = draw(st.sampled_from(["seq", "icmp_seq", "icmp_req"]))
    number = draw(st.integers(0, 45) | st.just(65_535))
    time = draw(st.sampled_from([" time=888.888 ms", " time=0.001 ms", " time=5 ms", " time<1 ms", ""]))
    mark = draw(st.sampled_from(["", "", " (DUP!)", " (DIFFERENT ADDRESS!)"]))
    return draw(
        st.sampled_from(
            [
                f"64 bytes from {sender}: {name}={number} ttl=64{time}{mark}",
                f"--- {sender} ping statistics ---",
                f"{number + 1} packets transmitted, {number + 1} packets received, 0% packet loss",
                "round-trip min/avg/max = 0.001/5.000/888.888 ms",
            ]
        )
    )


@given(run=runs(), lines=st.lists(st.tuples(st.integers(0, 60), strays()), min_size=1, max_size=4))
def test_E75_stray_lines_add_no_sample(run: Run, lines: list[tuple[int, str]]) -> None:
    text = run.text.split("\n")
    for place, line in lines:
        text.insert(min(place, len(text) - 1), line)
    check_not_misread(run, "\n".join(text))


@given(
    run=runs().filter(lambda run: len(run.times) > 1),
    slow=st.integers(101, 999),
    strays=st.lists(strays(), max_size=3),
)
def test_E75_what_is_printed_in_place_of_a_slow_reply_does_not_hide_it(
    run: Run, slow: int, strays: list[str]
) -> None:
    """The slowest reply is over the limit, and its line is lost."""
    text = run.text.split("\n")
    replies = [index for index, line in enumerate(text) if " bytes from " in line]
    figures = next(index for index, line in enumerate(text) if "min/avg/max" in line)
    torn = float(text[replies[0]].partition("time=")[2].partition(" ")[0])
    least, mean = re.findall(r"[0-9.]+", text[figures].partition(" = ")[2])[:2]
    own = f"= {least}/{float(mean) + (slow - torn) / len(replies):.3f}/{slow}.000"
    text[figures] = re.sub(r"= [0-9.]+/[0-9.]+/[0-9.]+", own, text[figures])
    text[replies[0] : replies[0] + 1] = strays
    with contextlib.suppress(KvLatencyError):
        result = parse("\n".join(text), expected_count=run.transmitted)
        assert judge(result, Limits(max_latency_ns=99_999_999)) != ()


def check_not_misread(run: Run, text: str) -> None:
    dialect = Dialect.BUSYBOX if run.busybox else Dialect.IPUTILS
    asked = asked_of(PingParameters(), run.address, dialect=dialect, count=run.transmitted)
    try:
        result = parse(text, expected_count=run.transmitted, asked=asked)
    except KvLatencyError:
        return
    assert result.transmitted == run.transmitted
    assert result.received == len(run.times)
    known = [run.times[number] for number in sorted(run.times)]
    # In order and each at most once: a subsequence of what really happened. A torn first reply leaves its
    # duplicate, which is marked and no sample.
    rest = iter(known)
    assert all(sample in rest for sample in result.samples_ns)


@settings(max_examples=300)
@given(text=st.text(max_size=400), expected=st.none() | st.integers(1, 1000))
def test_any_text_gives_an_error_and_no_sample(text: str, expected: int | None) -> None:
    try:
        parse(text, expected_count=expected)
    except KvLatencyError:
        pass
    else:
        raise AssertionError("no text without a summary is a result")


PIECES = st.sampled_from(
    [
        "64 bytes from 198.18.0.2: seq=1 ttl=64 time=0.5 ms",
        "64 bytes from ",
        "seq=99999 ttl=64 time=0.5 ms",
        "time=999999999.999999 ms",
        "64 bytes from fe80::1%eth0: icmp_seq=1 ttl=64 time<1 ms (DUP!)",
        "--- x ping statistics ---",
        "5 packets transmitted, 4 packets received, 20% packet loss",
        "0 packets transmitted, 0 received, 0% packet loss",
        "999999999 packets transmitted, 0 received, 100% packet loss",
        "rtt min/avg/max/mdev = 1/2/3/4 ms",
        "ping: sendto: Network is unreachable",
        "[    1.0] x",
        "\r",
        "\x00\x1b[2J",
    ]
)


@settings(max_examples=300)
@given(pieces=st.lists(st.tuples(PIECES, st.sampled_from(["\n", "", "\r\n"])), max_size=30))
def test_any_mixture_of_its_own_words_gives_a_sound_result_or_a_typed_error(
    pieces: list[tuple[str, str]],
) -> None:
    try:
        result = parse("".join(a + b for a, b in pieces))
    except KvLatencyError:
        return
    assert 0 <= result.received <= result.transmitted
    assert 0 <= result.loss_percent <= 100
    assert all(sample >= 0 for sample in result.samples_ns)


@given(text=st.text(max_size=200))
def test_detecting_never_crashes(text: str) -> None:
    with contextlib.suppress(KvLatencyError):
        detect(text)
