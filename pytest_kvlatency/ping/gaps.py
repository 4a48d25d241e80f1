"""The longest time without a reply. Pure; nanoseconds since ping began.

Where each reply carries the time at which it came, a gap is the time between two of them, and right to the interval at
which ping sent: an outage that begins and ends between two requests is not seen in full. Without such times replies are
placed by their sequence numbers, the interval that ping kept, and their round-trip times. Either way an answer that is
late is no loss, and a request that was lost between two that were answered lengthens nothing.
"""

from __future__ import annotations

import bisect
import statistics
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.model import Gap, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.model import PingResult

# BusyBox waits so long for what is lost after its last request, and for longer round trips twice those.
_TAIL_SECONDS: Final = 1.0
_TAIL_STEP_NS: Final = 512 * 1024 * 1000
#: The key by which gaps are compared.
length_of: Final = attrgetter("length_ns")


def gaps_of(result: PingResult, interval_ns: int) -> Gaps | None:
    """The longest gap of a sample, and the interval that ping kept; ``interval_ns`` is the one that it was asked for.

    None where it cannot be said: without a reply, or when it could not be read which requests were lost.
    """
    kept = kept_interval_ns(result, interval_ns)
    if replies_of(result, kept) is None:
        return None
    return Gaps(longest=longest(result, interval_ns), interval_ns=kept)


def longest(
    result: PingResult, interval_ns: int, *, since_ns: int = 0, until_ns: int | None = None
) -> Gap | None:
    """The longest gap that begins in a part of the sample; None without one, or where it cannot be said."""
    gaps = (gap for gap in _gaps(result, interval_ns) if begins_in(gap, since_ns, until_ns))
    return max(gaps, key=length_of, default=None)


def begins_in(gap: Gap, since_ns: int, until_ns: int | None) -> bool:
    """Whether a gap begins in a part of the sample; ``until_ns`` is no more in it."""
    return gap.begins_ns >= since_ns and (until_ns is None or gap.begins_ns < until_ns)


def gaps_since(result: PingResult, interval_ns: int, since_ns: int) -> tuple[Gap, ...]:
    """Every gap that begins at a time or later, in order; none where they cannot be said.

    What was sent in an earlier one may be lost in these.
    """
    return tuple(gap for gap in _gaps(result, interval_ns, since_ns) if gap.begins_ns >= since_ns)


def long_gaps(result: PingResult, interval_ns: int, *, longer_than_ns: int | None = None) -> tuple[Gap, ...]:
    """Every gap that is longer than two of the intervals that ping kept, or than what is given, in order."""
    least = 2 * kept_interval_ns(result, interval_ns) if longer_than_ns is None else longer_than_ns
    return tuple(gap for gap in _gaps(result, interval_ns) if gap.length_ns > least)


def gaps_over(result: PingResult, interval_ns: int, limit_ns: int) -> tuple[Gap | None, Gap | None]:
    """The longest gap that is surely longer than a limit, and the longest that may be.

    A guest that is short of processor time sends nothing for a while. What it did not ask was not answered, and says
    nothing of the network. Where nothing is stamped, and ping does not say how often it sent, it may have kept the
    interval that it was asked for.
    """
    over = long_gaps(result, interval_ns, longer_than_ns=limit_ns)
    surely = [gap for gap in over if gap.length_ns - _doubtful_ns(result, gap, interval_ns) > limit_ns]
    return max(surely, key=length_of, default=None), max(over, key=length_of, default=None)


def _doubtful_ns(result: PingResult, gap: Gap, interval_ns: int) -> int:
    """How much of a gap may not be the network's."""
    if result.replied_at_ns is not None:
        return _unsent_ns(result, gap, interval_ns)
    if result.sent_every_ns is not None:
        return 0
    return (gap.lost + 1) * (kept_interval_ns(result, interval_ns) - interval_ns)


def kept_interval_ns(result: PingResult, interval_ns: int) -> int:
    """The interval at which ping really sent: BusyBox's 10 ms are 11.6 to 13.2 ms, and more in a busy guest."""
    sent = _sent_at(result)
    if sent is not None and len(sent) > 1:
        (first, begin), (last, end) = sent[0], sent[-1]
        return max(1, (end - begin) // (last - first))
    if result.sent_every_ns is not None:
        return max(interval_ns, result.sent_every_ns)
    seconds = result.duration_seconds - (_tail_seconds(result) if result.has_lost else 0.0)
    if result.transmitted < 2 or seconds <= 0:
        return interval_ns
    return max(interval_ns, int(seconds * 1e9) // (result.transmitted - 1))


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A reply: when it came, and the number of its request; -1 where that is not known."""

    at_ns: int
    index: int


def numbers_of(result: PingResult) -> list[int] | None:
    """The requests of the samples, by their number; None where it is not known which they are."""
    lost = result.lost_sequence
    if lost is None or len(result.samples_ns) != result.received:
        return None
    missing = set(lost)
    numbers = [index for index in range(result.transmitted) if index not in missing]
    return numbers if len(numbers) == len(result.samples_ns) else None


def _sent_at(result: PingResult) -> list[tuple[int, int]] | None:
    """When each request that was answered had been sent, with its number."""
    numbers = numbers_of(result)
    if numbers is None or result.replied_at_ns is None:
        return None
    return [
        (number, came - took)
        for number, came, took in zip(numbers, result.replied_at_ns, result.samples_ns, strict=True)
    ]


def replies_of(result: PingResult, interval_ns: int) -> list[Arrival] | None:
    """The replies in the order in which they came; None where nothing can be said of them."""
    numbers = numbers_of(result)
    if not result.samples_ns:
        return None
    if result.replied_at_ns is not None:
        known = numbers if numbers is not None else [-1] * len(result.replied_at_ns)
        found = [
            Arrival(at_ns=at, index=index) for at, index in zip(result.replied_at_ns, known, strict=True)
        ]
    elif numbers is not None:
        found = [
            Arrival(at_ns=index * interval_ns + took, index=index)
            for index, took in zip(numbers, result.samples_ns, strict=True)
        ]
    else:
        return None
    return sorted(found, key=lambda reply: reply.at_ns)


def _gaps(result: PingResult, interval_ns: int, since_ns: int = 0) -> Iterator[Gap]:
    """Every time between two replies, and what was lost before the first and after the last, as far as it is known."""
    kept = kept_interval_ns(result, interval_ns)
    replies = replies_of(result, kept)
    if replies is None:
        return
    lost = _lost_by_gap(result, replies, kept, since_ns)
    if lost[0]:
        yield Gap(begins_ns=0, length_ns=replies[0].at_ns, lost=lost[0])
    for number, (one, other) in enumerate(pairwise(replies), start=1):
        yield Gap(begins_ns=one.at_ns, length_ns=other.at_ns - one.at_ns, lost=lost[number])
    if lost[len(replies)]:
        last = replies[-1].at_ns
        yield Gap(begins_ns=last, length_ns=max(0, _end_ns(result, kept) - last), lost=lost[len(replies)])


def _lost_by_gap(
    result: PingResult, replies: Sequence[Arrival], interval_ns: int, since_ns: int
) -> Counter[int]:
    """How many requests were lost in each gap, by the place of the reply that ends it.

    A lost request was under way until a later one was answered: it is lost in the gap that this reply ends, or in a
    longer one that begins at ``since_ns`` or later. In that one it was sent, or no longer before it than it lasts: else
    many requests of a slow network would seem to be lost in one gap. Late replies overtake each other, so the first one
    after a silence may be that to an earlier request. What was sent after all that was answered is lost at the end.
    """
    found: Counter[int] = Counter()
    if replies[0].index < 0:
        return found
    times = [reply.at_ns for reply in replies]
    begins = [0, *times]
    lengths = [later - earlier for earlier, later in pairwise(begins)]
    latest = list(accumulate((reply.index for reply in replies), max))
    sent = _sent_at(result) or [
        (number, number * interval_ns) for number in sorted(reply.index for reply in replies)
    ]
    # Before the first reply is no gap for what was sent after an answered request.
    earliest = max(1, bisect.bisect_left(begins, since_ns))
    for number in result.lost_sequence or ():
        place = bisect.bisect_right(latest, number)
        if sent[0][0] < number < sent[-1][0]:
            place = max(1, place)
            at = _sent_ns(sent, number)
            under_way = range(max(earliest, bisect.bisect_right(times, at)), place)
            silences = (gap for gap in under_way if begins[gap] - at <= lengths[gap])
            place = max((place, *silences), key=lengths.__getitem__)
        found[place] += 1
    return found


def _sent_ns(sent: Sequence[tuple[int, int]], number: int) -> int:
    """When a request was most likely sent, given when an earlier and a later one were."""
    place = bisect.bisect_left(sent, (number, 0))
    (earlier, begin), (later, end) = sent[place - 1], sent[place]
    return begin + (end - begin) * (number - earlier) // (later - earlier)


def _unsent_ns(result: PingResult, gap: Gap, interval_ns: int) -> int:
    """How much longer than usual the source sent nothing in a gap between two replies."""
    sent = _sent_at(result)
    came = result.replied_at_ns
    if sent is None or came is None:
        return 0
    before = [one for one, at in zip(sent, came, strict=True) if at <= gap.begins_ns]
    after = [one for one, at in zip(sent, came, strict=True) if at >= gap.ends_ns]
    if not before or not after:
        return 0
    (first, begin), (last, end) = max(before), min(after)
    usual = usual_interval_ns([number for number, _ in sent], [at for _, at in sent]) or interval_ns
    return max(0, end - begin - (last - first) * usual)


def usual_interval_ns(numbers: Sequence[int], sent: Sequence[int]) -> int:
    """What most often lies between two requests, given those that were answered; 0 where no two tell."""
    between = [
        later - earlier
        for (number, earlier), (other, later) in pairwise(zip(numbers, sent, strict=True))
        if other == number + 1
    ]
    return round(statistics.median(between)) if between else 0


def _end_ns(result: PingResult, interval_ns: int) -> int:
    """When the last request had been given its time: until then surely no reply came."""
    sent = _sent_at(result)
    if sent:
        last, at = sent[-1]
        return at + (result.transmitted - last) * interval_ns
    return result.transmitted * interval_ns


def _tail_seconds(result: PingResult) -> float:
    longest_ns = max(result.samples_ns, default=0)
    return max(_TAIL_SECONDS, float(longest_ns // _TAIL_STEP_NS))


def last_reply_ns(result: PingResult, interval_ns: int) -> int | None:
    """When the last reply came; None without one, or where it is not known."""
    replies = replies_of(result, kept_interval_ns(result, interval_ns))
    return replies[-1].at_ns if replies else None
