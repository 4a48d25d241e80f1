"""What ping printed, read. Pure.

Loss comes from the counters, round-trip times from the lines. The console carries kernel messages too, between
lines and inside them: a line that does not read as a whole is no sample, and what cannot be trusted is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import GuestError
from pytest_kvlatency.model import PingResult
from pytest_kvlatency.ping_errors import PingUnreadable, count_unsent, find_error, path_mtu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.errors import KvLatencyError

_FLAG: Final = r"\((?:DUP!|DIFFERENT ADDRESS!|BAD CHECKSUM!|truncated)\)"
_REPLY: Final = re.compile(
    r"[0-9]+ bytes from \S+(?: \([^()]*\))?: (?:icmp_)?seq=(?P<seq>[0-9]{1,5}) ttl=[0-9]+"
    r"(?P<cut> \(truncated\))?(?: time(?P<sign>[=<])(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,6})?) ?ms)?"
    rf"(?P<flags>(?: {_FLAG})*)"
)
_SUMMARY: Final = re.compile(
    r"(?P<transmitted>[0-9]{1,9}) packets transmitted, (?P<received>[0-9]{1,9})(?: packets)? received,"
    r"(?: \+?(?P<duplicates>[0-9]{1,9}) duplicates,)?(?: \+(?P<corrupted>[0-9]{1,9}) corrupted,)?"
    r"(?: \+(?P<errors>[0-9]{1,9}) errors,)? (?P<percent>[0-9]{1,3}(?:\.[0-9]+)?)% packet loss(?:, time [0-9]+ ?ms)?"
)
_ERROR_OF: Final = re.compile(r"From \S*[^\s:] icmp_seq=(?P<seq>[0-9]{1,5}) ")
_OTHER_DATA: Final = re.compile(r"wrong data byte #[0-9]+ should be ")
_CLOCK_BACK: Final = re.compile(r"^ping6?: Warning: time of day goes back", re.MULTILINE)
_HEADER: Final = re.compile(r"--- .* ping statistics ---")
_KERNEL: Final = re.compile(r"(?:<[0-9]{1,3}>)?\[ *[0-9]+\.[0-9]+\][^\n]*\n")
_EXTREMES: Final = re.compile(
    r"(?:rtt|round-trip) min/avg/max(?:/mdev)? = "
    r"(?P<min>[0-9]+(?:\.[0-9]+)?)/[0-9.]+/(?P<max>[0-9]+(?:\.[0-9]+)?)(?:/[0-9.]+)? ms(?:, .*)?"
)
_WRAP: Final = 0x10000


@dataclass(frozen=True, kw_only=True)
class _Summary:
    """The counters of ping's summary line."""

    transmitted: int
    received: int
    duplicates: int
    errors: int


@dataclass(kw_only=True)
class _Replies:
    """What the reply lines say: each sequence number once (``None``: a reply without a time)."""

    times: dict[int, int | None] = field(default_factory=dict)
    repeats: list[int] = field(default_factory=list)
    imprecise: int = 0
    strangers: int = 0
    corrupted: int = 0
    shortened: int = 0
    untimed: int = 0
    highest: int = 0

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """The times there are, in the order of their requests."""
        return tuple(time for _, time in sorted(self.times.items()) if time is not None)

    def without_zeros(self) -> _Replies:
        """The same without times of 0: what iputils writes when the clock was set back under a reply."""
        times = {sequence: time or None for sequence, time in self.times.items()}
        untimed = sum(time == 0 for time in self.times.values())
        return replace(self, times=times, untimed=untimed)

    @property
    def doubts(self) -> list[str]:
        """What is odd about replies that ping counts all the same, or, corrupted ones, as lost."""
        return [
            f"{number} {what}"
            for number, what in (
                (self.imprecise, 'times were given as "less than": the bound was taken'),
                (self.untimed, "replies have no time: the guest's clock was set back meanwhile"),
                (self.strangers, "replies came from another address"),
                (self.corrupted, "replies came with a bad checksum"),
                (self.shortened, "replies were shorter than their requests"),
            )
            if number
        ]


def parse(
    output: str,
    *,
    expected_count: int | None = None,
    surplus: int = 0,
    fits: bool = False,
    duration_seconds: float = 0.0,
) -> PingResult:
    """Read what ping printed. ``expected_count`` is the ``-c`` it was given, less a ``surplus`` (``ping.surplus_of``).

    Requests of the surplus and their replies are no part of the result; only iputils is given one. ``fits``: the own
    interface is known to carry the packet, so what is too long is so for the network.

    Raises ``PingUnreadable`` when the counters cannot be told or contradict each other, ``ConfigError`` for a packet
    that the own interface cannot carry, ``ConnectivityError`` when the kernel found nobody at that address, and
    ``GuestError`` for what else stopped ping itself.
    """
    lines = _lines(output)
    mended = _unbroken(output)
    sent = None if expected_count is None else expected_count + surplus
    summary = _find_summary((mended, lines), sent)
    end = next((index for index, line in enumerate(mended) if _HEADER.fullmatch(line)), len(mended))
    replies = _read_replies(mended[:end])
    if _CLOCK_BACK.search(output):
        replies = replies.without_zeros()
    late = sum(1 for line in mended[end:] if _REPLY.fullmatch(line))
    error = find_error(output, fits=fits)
    if error is not None and (summary is None or (summary.received == 0 and not replies.times)):
        if replies.times:
            raise PingUnreadable(
                f"ping stopped after {len(replies.times)} replies: {error.reason}",
                hint=error.hint,
                transcript=output,
            ) from error
        raise error
    warnings = [f"ping said: {error.reason}"] if error is not None else []
    if summary is None:
        summary = _reconstruct(replies, sent, output)
        warnings.append("ping's summary could not be read; every reply was")
    elif len(replies.times) != summary.received:
        warnings.append(
            f"ping counted {summary.received} replies, but {len(replies.times)} could be read line by line"
        )
    crosschecks = _cross_check(lines, replies, summary)
    missing = summary.transmitted - summary.received
    if surplus and expected_count is not None:
        errors = _errors_beyond(mended[:end], expected_count)
        replies, summary = _cut(replies, summary, expected_count, errors, output)
    if error is not None and summary.received < summary.transmitted:
        _blame_the_guest(error, missing, summary, output)
    samples = replies.samples_ns
    if summary.received and not samples:
        raise PingUnreadable(
            f"ping counted {summary.received} replies, but not one round-trip time could be read",
            hint="a payload under 16 bytes (iputils) or 4 bytes (BusyBox) carries no time: --kv-packet-size",
            transcript=output,
        )
    if expected_count is not None and summary.transmitted < expected_count:
        warnings.append(
            f"ping sent {summary.transmitted} of {expected_count} requests before its time was over"
        )
    narrow = path_mtu(output)
    if narrow is not None:
        warnings.append(f"the network's path carries packets of at most {narrow} bytes in one piece")
    warnings += replies.doubts
    altered = sum(_OTHER_DATA.match(line) is not None for line in mended)
    if altered:
        warnings.append(f"{altered} replies did not carry the data that was sent")
    if late:
        warnings.append(f"{late} replies came after ping had closed its count")
    warnings += crosschecks
    return PingResult(
        transmitted=summary.transmitted,
        received=summary.received,
        duplicates=max(summary.duplicates, len(replies.repeats)),
        late=late,
        errors=summary.errors,
        samples_ns=samples,
        duration_seconds=duration_seconds,
        warnings=tuple(warnings),
        transcript=output,
    )


def _blame_the_guest(error: KvLatencyError, missing: int, summary: _Summary, output: str) -> None:
    """Raise ``GuestError`` when all that is missing never left the guest: that is no loss of the network's.

    ``missing`` counts the surplus too, as the complaints do.
    """
    if missing <= count_unsent(output):
        lost = summary.transmitted - summary.received
        raise GuestError(
            f"{lost} of {summary.transmitted} requests never left the guest: {error.reason}",
            hint=error.hint,
            transcript=output,
            stage="run",
        ) from error


def _cut(
    replies: _Replies, summary: _Summary, count: int, errors_beyond: int, output: str
) -> tuple[_Replies, _Summary]:
    """The first ``count`` requests alone. iputils counts them from 1.

    A reply that could not be read line by line may be one of theirs or one of the surplus: raises ``PingUnreadable``
    where that matters.
    """
    if summary.transmitted <= count:
        return replies, summary
    unread = set(range(1, summary.transmitted + 1)) - set(replies.times)
    of_ours = sum(sequence <= count for sequence in unread)
    lost = summary.transmitted - summary.received
    if 0 < of_ours < len(unread) and lost not in {0, len(unread)}:
        raise PingUnreadable(
            f"which of the first {count} of {summary.transmitted} requests were answered could not be read",
            hint="measure again",
            transcript=output,
        )
    repeats = [sequence for sequence in replies.repeats if sequence <= count]
    return (
        replace(
            replies,
            times={sequence: time for sequence, time in replies.times.items() if sequence <= count},
            repeats=repeats,
        ),
        replace(
            summary,
            transmitted=count,
            received=count - min(of_ours, lost),
            duplicates=max(0, summary.duplicates - (len(replies.repeats) - len(repeats))),
            errors=min(count, max(0, summary.errors - errors_beyond)),
        ),
    )


def _errors_beyond(lines: Sequence[str], count: int) -> int:
    """How many of the errors that iputils counted (it words others with a colon) are of requests after the first."""
    found = map(_ERROR_OF.match, lines)
    return sum(int(match["seq"]) > count for match in found if match is not None)


def _lines(text: str) -> list[str]:
    return [line.strip("\r") for line in text.split("\n")]


def _unbroken(output: str) -> list[str]:
    """The lines without what the kernel said, between them and inside them."""
    return _lines(_KERNEL.sub("", output.replace("\r", "")))


def _read_replies(lines: Sequence[str]) -> _Replies:
    """Sort the reply lines. Sequence numbers have 16 bits: after a wrap they go on, and are no duplicates."""
    replies = _Replies()
    for line in lines:
        match = _REPLY.fullmatch(line)
        if match is None:
            continue
        if "BAD CHECKSUM" in match["flags"]:
            replies.corrupted += 1
            continue
        replies.shortened += match["cut"] is not None
        if "DIFFERENT ADDRESS" in match["flags"]:
            replies.strangers += 1
        sequence = _unwrap(int(match["seq"]), replies.highest)
        if "DUP!" in match["flags"] or sequence in replies.times:
            replies.repeats.append(sequence)
            continue
        replies.highest = max(replies.highest, sequence)
        replies.times[sequence] = int(Decimal(match["ms"]) * 1_000_000) if match["ms"] else None
        replies.imprecise += match["sign"] == "<"
    return replies


def _unwrap(sequence: int, highest: int) -> int:
    """The number near ``highest`` that shows as ``sequence`` in 16 bits."""
    candidate = highest - highest % _WRAP + sequence
    if candidate < highest - _WRAP // 2:
        return candidate + _WRAP
    if candidate > highest + _WRAP // 2 and candidate >= _WRAP:
        return candidate - _WRAP
    return candidate


def _find_summary(texts: Sequence[Sequence[str]], expected: int | None) -> _Summary | None:
    """The summary line, from the lines mended or as they are; None when there is none that can be trusted.

    A front torn off would leave a plausible line with a smaller count. Trusted is therefore only a line whose
    numbers agree with its percentage (its only use), and that follows its own headline or sent as many as asked.
    """
    for text in texts:
        for index, line in enumerate(text):
            summary = _summary(line)
            if summary is None:
                continue
            follows = index > 0 and _HEADER.fullmatch(text[index - 1]) is not None
            if follows or summary.transmitted == expected:
                return summary
    return None


def _summary(line: str) -> _Summary | None:
    match = _SUMMARY.fullmatch(line)
    if match is None:
        return None
    transmitted, received = int(match["transmitted"]), int(match["received"])
    if transmitted == 0 or received > transmitted:
        return None
    if abs(100 * (transmitted - received) / transmitted - float(match["percent"])) >= 1:
        return None
    return _Summary(
        transmitted=transmitted,
        received=received,
        duplicates=int(match["duplicates"] or 0),
        errors=int(match["errors"] or 0),
    )


def _reconstruct(replies: _Replies, expected: int | None, output: str) -> _Summary:
    """Counters without a summary: only when every request is known to be answered."""
    if expected is None or len(replies.times) != expected or None in replies.times.values():
        raise PingUnreadable(
            f"ping's summary is missing or torn, and {len(replies.times)} replies could be read"
            + ("" if expected is None else f" of {expected} requests"),
            hint="measure again; the console may have dropped, or the guest's kernel talks over ping",
            transcript=output,
        )
    return _Summary(transmitted=expected, received=expected, duplicates=len(replies.repeats), errors=0)


def _cross_check(lines: Sequence[str], replies: _Replies, summary: _Summary) -> list[str]:
    """What ping's own extremes say against the lines. Ping rounds to 3 digits; BusyBox counts duplicates in."""
    samples = replies.samples_ns
    if not samples or replies.repeats or summary.duplicates or replies.imprecise or replies.untimed:
        return []
    for match in filter(None, map(_EXTREMES.fullmatch, lines)):
        for name, ours in (("min", min(samples)), ("max", max(samples))):
            theirs = float(match[name]) * 1e6
            if abs(theirs - ours) > 2_000 + theirs / 100:
                return [f"ping's own {name} is {match[name]} ms, its lines say {ours / 1e6:g} ms"]
    return []
