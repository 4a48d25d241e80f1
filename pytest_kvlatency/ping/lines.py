"""What ping printed, line by line: replies, errors, statistics. Nothing is judged here. Pure.

The console carries kernel messages too, between lines and inside them. Stamped ones are taken out; a line that does
not read as a whole afterwards is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FLAG: Final = r"\((?:DUP!|DIFFERENT ADDRESS!|BAD CHECKSUM!|truncated)\)"
# Old iputils called it icmp_req. A host's name stands before its address in parentheses.
_REPLY: Final = re.compile(
    r"[0-9]+ bytes from (?P<from>\S+)(?: \((?P<address>[^()]*)\))?: (?:icmp_)?(?:seq|req)=(?P<seq>[0-9]{1,5})"
    r" ttl=[0-9]+(?P<cut> \(truncated\))?(?: time(?P<sign>[=<])(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,6})?) ?ms)?"
    rf"(?P<flags>(?: {_FLAG})*)"
)
_SUMMARY: Final = re.compile(
    r"(?P<transmitted>[0-9]{1,9}) packets transmitted, (?P<received>[0-9]{1,9})(?: packets)? received,"
    r"(?: \+?(?P<duplicates>[0-9]{1,9}) duplicates,)?(?: \+(?P<corrupted>[0-9]{1,9}) corrupted,)?"
    r"(?: \+(?P<errors>[0-9]{1,9}) errors,)? (?P<percent>[0-9]{1,3}(?:\.[0-9]+)?)% packet loss"
    r"(?:, time (?P<elapsed>[0-9]{1,12}) ?ms)?"
)
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_EXTREMES: Final = re.compile(
    rf"(?:rtt|round-trip) min/avg/max(?:/mdev)? = (?P<min>{_NUMBER})/(?P<avg>{_NUMBER})/(?P<max>{_NUMBER})"
    r"(?:/[0-9.]+)? ms(?:, .*)?"
)
_TARGET: Final = re.compile(r"PING [^\s()]+ ?\((?P<address>[^\s()]+)\)")
_HEADLINE: Final = re.compile(r"--- (?P<host>.*) ping statistics ---")
_ERROR_OF: Final = re.compile(r"From \S*[^\s:] icmp_seq=(?P<seq>[0-9]{1,5}) ")
_OTHER_DATA: Final = re.compile(r"wrong data byte #[0-9]+ should be ")
_CLOCK_BACK: Final = re.compile(r"^ping6?: Warning: time of day goes back", re.MULTILINE)
# Seconds since boot; iputils' -D writes those since 1970, which have more digits.
_KERNEL: Final = re.compile(r"(?:<[0-9]{1,3}>)?\[ *[0-9]{1,8}\.[0-9]+\][^\n]*\n")


@dataclass(frozen=True, kw_only=True)
class Time:
    """A time as it was printed, rounded to its last digit: the true one lies within ``low_ns`` and ``high_ns``."""

    ns: int
    low_ns: int
    high_ns: int

    @classmethod
    def of(cls, text: str, *, is_bound: bool = False) -> Time:
        """Read milliseconds; ``is_bound``: it took less than that."""
        number = Decimal(text)
        value = int(number * 1_000_000)
        half = 10 ** (6 - len(text.partition(".")[2])) // 2
        return cls(ns=value, low_ns=0 if is_bound else max(0, value - half), high_ns=value + half)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply line. ``sequence`` has 16 bits; pings that spell it like this line count from ``first``.

    ``time`` is None where there is none; ``is_bound``: it took less.
    """

    line: int
    sender: str
    sequence: int
    first: int
    time: Time | None
    is_bound: bool
    is_duplicate: bool
    is_elsewhere: bool
    is_corrupted: bool
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """Ping's own figures."""

    min: Time
    avg: Time
    max: Time


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The counters of a summary line; ``host`` is whom its headline names, None without one directly before it.

    ``extremes`` are all the different ones that stand below. ``elapsed_ms`` is the time from the first request to the
    last one or its reply, as iputils says it.
    """

    transmitted: int
    received: int
    duplicates: int = 0
    errors: int = 0
    elapsed_ms: int | None = None
    host: str | None = None
    extremes: tuple[Extremes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Printed:
    """Everything that one output holds.

    ``target`` is the address in ping's first line, ``headlines`` are the statistics' by line and host, ``summaries``
    those of the lines without kernel messages, then those of the lines as they are.
    """

    target: str | None
    replies: tuple[Reply, ...]
    headlines: tuple[tuple[int, str], ...]
    summaries: tuple[tuple[Summary, ...], tuple[Summary, ...]]
    errors_of: tuple[int, ...]
    altered: int
    clock_went_back: bool


def read(output: str) -> Printed:
    """Read every line of ``output``."""
    raw = _lines(output)
    lines = _lines(without_kernel_messages(output))
    targets = (match["address"] for match in map(_TARGET.match, lines) if match is not None)
    headlines = tuple((index, host) for index, host in enumerate(map(_headline, lines)) if host is not None)
    errors = tuple(int(match["seq"]) for match in map(_ERROR_OF.match, lines) if match is not None)
    return Printed(
        target=next(targets, None),
        replies=tuple(_replies(lines)),
        headlines=headlines,
        summaries=(_summaries(lines), _summaries(raw)),
        errors_of=errors,
        altered=sum(_OTHER_DATA.match(line) is not None for line in lines),
        clock_went_back=_CLOCK_BACK.search(output) is not None,
    )


def without_kernel_messages(output: str) -> str:
    """``output`` without what the kernel printed into it, and without carriage returns."""
    return _KERNEL.sub("", output.replace("\r", ""))


def _lines(text: str) -> list[str]:
    return [line.strip("\r") for line in text.split("\n")]


def _headline(line: str) -> str | None:
    match = _HEADLINE.fullmatch(line)
    return None if match is None else match["host"]


def _replies(lines: Sequence[str]) -> Iterator[Reply]:
    for index, line in enumerate(lines):
        match = _REPLY.fullmatch(line)
        if match is None:
            continue
        is_bound = match["sign"] == "<"
        yield Reply(
            line=index,
            sender=match["address"] or match["from"],
            sequence=int(match["seq"]),
            first=1 if ": icmp_" in line else 0,
            time=Time.of(match["ms"], is_bound=is_bound) if match["ms"] else None,
            is_bound=is_bound,
            is_duplicate="DUP!" in match["flags"],
            is_elsewhere="DIFFERENT ADDRESS" in match["flags"],
            is_corrupted="BAD CHECKSUM" in match["flags"],
            is_cut=match["cut"] is not None,
        )


def _summaries(lines: Sequence[str]) -> tuple[Summary, ...]:
    found: list[Summary] = []
    for index, line in enumerate(lines):
        summary = _summary(line)
        if summary is not None:
            found.append(replace(summary, host=_headline(lines[index - 1]) if index else None))
            continue
        extremes = _extremes(line)
        if found and extremes is not None and extremes not in found[-1].extremes:
            found[-1] = replace(found[-1], extremes=(*found[-1].extremes, extremes))
    return tuple(found)


def _summary(line: str) -> Summary | None:
    """The counters of a line whose numbers agree with its percentage: that is its only use."""
    match = _SUMMARY.fullmatch(line)
    if match is None:
        return None
    transmitted, received = int(match["transmitted"]), int(match["received"])
    if transmitted == 0 or received > transmitted:
        return None
    if abs(100 * (transmitted - received) / transmitted - float(match["percent"])) >= 1:
        return None
    return Summary(
        transmitted=transmitted,
        received=received,
        duplicates=int(match["duplicates"] or 0),
        errors=int(match["errors"] or 0),
        elapsed_ms=int(match["elapsed"]) if match["elapsed"] else None,
    )


def _extremes(line: str) -> Extremes | None:
    match = _EXTREMES.fullmatch(line)
    if match is None:
        return None
    return Extremes(min=Time.of(match["min"]), avg=Time.of(match["avg"]), max=Time.of(match["max"]))
