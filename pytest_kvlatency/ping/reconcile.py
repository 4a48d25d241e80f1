"""What ping printed, held against itself and against what it was asked for. Pure.

Loss comes from the counters, round-trip times from the lines. Neither is believed alone: the replies must be those of
the requests that were sent to that address, as many as the counters say, within ping's own minimum and maximum. Where
they contradict each other, either may be wrong: that is ``PingDoubtful``.
"""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.ping.complaints import PingDoubtful
from pytest_kvlatency.ping.lines import Reply, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kvlatency.ping.lines import Extremes, Printed, Time

_WRAP: Final = 0x10000
_HINT: Final = (
    "something else prints into ping's output: check for programs that write to the guest's console, and at the "
    "guest's own ping"
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What ping was asked for, as far as it is known: without an address it is the one that ping names itself.

    ``sent`` is its ``-c``; ``first`` the number of its first request; no reply takes longer than ``longest_ns``.
    """

    address: str | None = None
    sent: int | None = None
    first: int | None = None
    longest_ns: int | None = None


@dataclass(kw_only=True)
class Tally:
    """Replies by their requests, counted from 0: the first one of each, and those that came again."""

    first: dict[int, Reply] = field(default_factory=dict)
    again: list[tuple[int, Reply]] = field(default_factory=list)

    def add(self, index: int, reply: Reply) -> None:
        """Enter one reply; they come in the order in which they were printed."""
        if reply.is_duplicate or index in self.first:
            self.again.append((index, reply))
        else:
            self.first[index] = reply

    @property
    def times(self) -> list[Time]:
        """The times that first replies have."""
        return [reply.time for reply in self.first.values() if reply.time is not None]


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The lines that are this ping's. ``elsewhere`` are replies to its requests that another address sent.

    ``strays`` are lines that look like replies and answer no request of this ping, ``late`` came below the statistics.
    """

    summary: Summary | None
    ours: tuple[tuple[int, Reply], ...]
    elsewhere: tuple[tuple[int, Reply], ...]
    corrupted: int
    strays: int
    late: int


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counters and replies that agree. ``summary`` counts as received what the target itself answered."""

    tally: Tally
    summary: Summary
    elsewhere: tuple[str, ...] = ()
    answered_elsewhere: int = 0
    is_reconstructed: bool = False

    @property
    def unread(self) -> int:
        """How many of the replies that ping counted could not be read."""
        return self.summary.received - len(self.tally.first)


def select(printed: Printed, asked: Asked, output: str) -> Selected:
    """Sort the lines. Raises ``PingDoubtful`` when there are statistics of more than one ping to that address."""
    target = asked.address or printed.target
    if target is None:
        target = next((host for _, host in printed.headlines if _address(host) is not None), None)
    summary = _summary(printed, asked, target, output)
    end = next((line for line, host in printed.headlines if target is None or _same(host, target)), None)
    sent = asked.sent if summary is None else summary.transmitted
    ours: list[tuple[int, Reply]] = []
    elsewhere: list[tuple[int, Reply]] = []
    corrupted = strays = late = highest = 0
    for reply in printed.replies:
        first = reply.first if asked.first is None else asked.first
        index = _unwrapped(reply.sequence - first, highest)
        is_ours = (target is None or _same(reply.sender, target)) and not reply.is_elsewhere
        if index < 0 or (sent is not None and index >= sent):
            strays += 1
        elif end is not None and reply.line > end:
            late += is_ours
            strays += not is_ours
        elif reply.is_corrupted:
            corrupted += is_ours
        elif is_ours:
            highest = max(highest, index)
            ours.append((index, reply))
        else:
            elsewhere.append((index, reply))
    return Selected(
        summary=summary,
        ours=tuple(ours),
        elsewhere=tuple(elsewhere),
        corrupted=corrupted,
        strays=strays,
        late=late,
    )


def check(selected: Selected, asked: Asked, output: str) -> Counted:
    """See that counters and replies agree. Raises ``PingDoubtful``.

    Ping counts what another address answers too: where these replies are what the counters miss, the target did not
    answer.
    """
    own = _tally(selected.ours)
    if selected.summary is None:
        return _reconstructed(own, asked, output)
    summary = selected.summary
    doubt = _doubt(own, summary, asked)
    counted = Counted(tally=own, summary=summary)
    if selected.elsewhere and (doubt or counted.unread):
        both = _tally(sorted((*selected.ours, *selected.elsewhere), key=lambda one: one[1].line))
        if not _doubt(both, summary, asked) and (doubt or len(both.first) > len(own.first)):
            return _without_others(both, summary, selected)
    if doubt:
        raise PingDoubtful(doubt, hint=_HINT, transcript=output)
    return counted


def _without_others(both: Tally, summary: Summary, selected: Selected) -> Counted:
    """The same without what another address answered."""
    others = {id(reply): reply for _, reply in selected.elsewhere}
    own = Tally(
        first={index: reply for index, reply in both.first.items() if id(reply) not in others},
        again=[one for one in both.again if id(one[1]) not in others],
    )
    answered = len(both.first) - len(own.first)
    return Counted(
        tally=own,
        summary=Summary(
            transmitted=summary.transmitted,
            received=summary.received - answered,
            duplicates=summary.duplicates - (len(both.again) - len(own.again)),
            errors=summary.errors,
        ),
        elsewhere=tuple(dict.fromkeys(reply.sender for reply in others.values())),
        answered_elsewhere=answered,
    )


def _tally(numbered: Iterable[tuple[int, Reply]]) -> Tally:
    tally = Tally()
    for index, reply in numbered:
        tally.add(index, reply)
    return tally


def _summary(printed: Printed, asked: Asked, target: str | None, output: str) -> Summary | None:
    """The counters of this ping, from the lines mended or as they are; None when none can be trusted.

    A front torn off would leave a plausible line with a smaller count. Trusted is therefore only a line that follows
    its own headline, or that sent as many as asked.
    """
    mended, raw = ([one for one in some if _is_trusted(one, asked, target)] for some in printed.summaries)
    found = mended or raw
    if any(one != found[0] for one in found):
        raise PingDoubtful("ping printed two summaries that differ", hint=_HINT, transcript=output)
    if not found or found[0].extremes:
        return found[0] if found else None
    return next((one for one in raw if replace(one, extremes=()) == found[0]), found[0])


def _is_trusted(summary: Summary, asked: Asked, target: str | None) -> bool:
    if summary.host is None:
        return summary.transmitted == asked.sent
    return target is None or _same(summary.host, target)


def _reconstructed(tally: Tally, asked: Asked, output: str) -> Counted:
    """Counters without a summary: only when every request is known to be answered, once."""
    is_whole = asked.sent is not None and len(tally.first) == asked.sent == len(tally.times)
    if not is_whole or any(not reply.is_duplicate for _, reply in tally.again):
        raise PingDoubtful(
            f"ping's summary is missing or garbled, and only {len(tally.first)} replies could be read"
            + ("" if asked.sent is None else f" of {asked.sent} requests"),
            hint="measure again: the console may have dropped, or the guest's kernel prints into ping's lines",
            transcript=output,
        )
    number = len(tally.first)
    summary = Summary(transmitted=number, received=number, duplicates=len(tally.again))
    doubt = _doubt(tally, summary, asked)
    if doubt:
        raise PingDoubtful(doubt, hint=_HINT, transcript=output)
    return Counted(tally=tally, summary=summary, is_reconstructed=True)


def _doubt(tally: Tally, summary: Summary, asked: Asked) -> str:
    """How replies and counters contradict each other; empty when they do not."""
    read, unread = len(tally.first), summary.received - len(tally.first)
    if asked.sent is not None and summary.transmitted > asked.sent:
        return f"ping counted {summary.transmitted} requests: expected {asked.sent}"
    if unread < 0:
        return f"ping counted {summary.received} replies, but printed {read}"
    if len(tally.again) > summary.duplicates:
        return f"ping counted {summary.duplicates} duplicates, but printed {len(tally.again)}"
    longest = max((time.low_ns for time in tally.times), default=0)
    if asked.longest_ns is not None and longest > asked.longest_ns:
        return f"a reply took {_ms(longest)}, longer than ping itself ran"
    if len(summary.extremes) > 1:
        return "ping printed two different lines with its minimum and maximum"
    if summary.extremes:
        return _beyond(tally, summary.extremes[0], unread=unread, duplicates=summary.duplicates)
    if unread and tally.times:
        return (
            f"{unread} of the {summary.received} replies that ping counted could not be read, nor its maximum"
        )
    return ""


def _beyond(tally: Tally, own: Extremes, *, unread: int, duplicates: int) -> str:
    """How the replies contradict ping's own figures, allowing for what was rounded.

    Both pings count duplicates in. The mean tells only where every reply has its time.
    """
    times = tally.times
    if not times:
        return ""
    is_complete = not unread and len(times) == len(tally.first)
    again = [reply.time for _, reply in tally.again if reply.time is not None]
    # What a duplicate would explain may as well be the time of a reply that could not be read.
    every = [*times, *again] if is_complete else times
    shortest, longest = min(t.low_ns for t in every), max(t.high_ns for t in every)
    if own.min.high_ns < shortest or own.min.low_ns > min(t.high_ns for t in times):
        read = _ms(min(t.ns for t in every))
        return (
            f"ping's own minimum is {_ms(own.min.ns)}, but the quickest reply that could be read took {read}"
        )
    if own.max.low_ns > longest or own.max.high_ns < max(t.low_ns for t in times):
        read = _ms(max(t.ns for t in every))
        return (
            f"ping's own maximum is {_ms(own.max.ns)}, but the slowest reply that could be read took {read}"
        )
    if not is_complete or len(again) != duplicates:
        return ""
    # Both pings cut the mean to their last digit.
    cut = own.avg.high_ns - own.avg.ns
    low, high = (sum(t.low_ns for t in every) / len(every), sum(t.high_ns for t in every) / len(every))
    if own.avg.high_ns + cut < low or own.avg.low_ns > high:
        read = _ms(round(sum(t.ns for t in every) / len(every)))
        return f"ping's own mean is {_ms(own.avg.ns)}, but that of its replies is {read}"
    return ""


def _unwrapped(index: int, highest: int) -> int:
    """The number near ``highest`` that shows as ``index`` in 16 bits: after a wrap they go on."""
    candidate = highest - highest % _WRAP + index
    if candidate < highest - _WRAP // 2:
        return candidate + _WRAP
    if candidate > highest + _WRAP // 2 and candidate >= _WRAP:
        return candidate - _WRAP
    return candidate


def _same(one: str, other: str) -> bool:
    """Whether both are one address, however it is written. BusyBox leaves a zone (``%eth0``) out."""
    return one == other or (_address(one) is not None and _address(one) == _address(other))


@functools.lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _ms(ns: float) -> str:
    return f"{ns / 1e6:g} ms"
