"""What ping printed, held against itself and against what it was asked for. Pure.

Loss comes from the counters, round-trip times from the lines. Neither is believed alone: the replies must be those of
the requests that were sent to that address, as many as the counters say, within ping's own minimum and maximum. Where
they contradict each other, either may be wrong: that is ``PingDoubtful``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.model import MOST_LISTED
from pytest_kvlatency.ping.complaints import PingDoubtful
from pytest_kvlatency.ping.lines import Summary
from pytest_kvlatency.ping.replies import Replies
from pytest_kvlatency.ping.selection import MIXED_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_kvlatency.ping.lines import Extremes, Reply, Time
    from pytest_kvlatency.ping.selection import Asked, Selected


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counters and replies that agree. ``summary`` counts as received what the target itself answered."""

    replies: Replies
    summary: Summary
    elsewhere: tuple[str, ...] = ()
    answered_elsewhere: int = 0
    is_reconstructed: bool = False

    @property
    def unread(self) -> int:
        """How many of the replies that ping counted could not be read."""
        return self.summary.received - len(self.replies.first)

    @property
    def lost(self) -> int:
        """How many requests have no reply."""
        return self.summary.transmitted - self.summary.received

    @property
    def unanswered(self) -> tuple[int, ...] | None:
        """Which requests have no reply, counted from 0; None where the lines that could be read do not tell.

        A duplicate whose first reply could not be read is an answer too. A reply that came after ping had closed its
        count is none, as it is not among those received.
        """
        if self.summary.transmitted > MOST_LISTED:
            return None
        first = self.replies.first.keys()
        for answered in (first, first | {index for index, _ in self.replies.again}):
            lost = tuple(index for index in range(self.summary.transmitted) if index not in answered)
            if len(lost) == self.lost:
                return lost
        return None


def check(selected: Selected, asked: Asked) -> Counted:
    """See that counters and replies agree. Raises ``PingDoubtful``.

    Ping counts what another address answers too: where these replies are what the counters miss, the target did not
    answer.
    """
    own, summary = Replies.of(selected.ours), selected.summary
    if summary is None:
        return _reconstructed(own, asked)
    counted = Counted(replies=own, summary=summary)
    doubt = _contradiction(own, summary, asked)
    if selected.elsewhere and (doubt or counted.unread):
        both = Replies.of(sorted((*selected.ours, *selected.elsewhere), key=lambda one: one[1].line))
        explains_more = doubt or len(both.first) > len(own.first)
        if explains_more and not _contradiction(both, summary, asked):
            return _without_others(both, summary, [reply for _, reply in selected.elsewhere])
    if doubt:
        raise PingDoubtful(doubt, hint=MIXED_HINT)
    return counted


def _without_others(both: Replies, summary: Summary, others: Collection[Reply]) -> Counted:
    """The same without what another address answered."""
    own = both.without(set(others))
    answered = len(both.first) - len(own.first)
    return Counted(
        replies=own,
        summary=replace(
            summary,
            received=summary.received - answered,
            duplicates=summary.duplicates - (len(both.again) - len(own.again)),
        ),
        elsewhere=tuple(dict.fromkeys(reply.sender for reply in others)),
        answered_elsewhere=answered,
    )


def _reconstructed(replies: Replies, asked: Asked) -> Counted:
    """Counters without a summary: only when every request is known to be answered, once."""
    number = len(replies.first)
    is_whole = asked.sent is not None and number == asked.sent == len(replies.times)
    if not is_whole or any(not reply.is_duplicate for _, reply in replies.again):
        raise PingDoubtful(
            f"ping's summary is missing or garbled, and only {number} replies could be read"
            + ("" if asked.sent is None else f" of {asked.sent} requests"),
            hint="measure again: the console may have dropped, or the guest's kernel prints into ping's lines",
        )
    summary = Summary(transmitted=number, received=number, duplicates=len(replies.again))
    doubt = _contradiction(replies, summary, asked)
    if doubt:
        raise PingDoubtful(doubt, hint=MIXED_HINT)
    return Counted(replies=replies, summary=summary, is_reconstructed=True)


def without_surplus(counted: Counted, count: int, errors_of: Sequence[int]) -> Counted:
    """The first ``count`` requests alone, without those beyond the sample (``command.surplus_of``).

    ``errors_of`` are the numbers of those about which a router complained.
    A reply that could not be read line by line may be one of theirs or one of the surplus: raises ``PingDoubtful``
    where that matters.
    """
    summary = counted.summary
    if summary.transmitted <= count:
        return counted
    unanswered = set(range(summary.transmitted)) - set(counted.replies.first)
    unanswered_of_ours = sum(index < count for index in unanswered)
    if 0 < unanswered_of_ours < len(unanswered) and counted.lost not in {0, len(unanswered)}:
        raise PingDoubtful(
            f"could not tell which of the first {count} of {summary.transmitted} requests were answered",
            hint="measure again",
        )
    replies = counted.replies.cut(count)
    # iputils, which alone has a surplus, counts from 1; it words errors that it does not count with a colon.
    errors_beyond = sum(sequence > count for sequence in errors_of)
    return replace(
        counted,
        replies=replies,
        summary=replace(
            summary,
            transmitted=count,
            received=count - min(unanswered_of_ours, counted.lost),
            duplicates=max(0, summary.duplicates - (len(counted.replies.again) - len(replies.again))),
            errors=min(count, max(0, summary.errors - errors_beyond)),
        ),
    )


def _contradiction(replies: Replies, summary: Summary, asked: Asked) -> str:
    """How replies, counters and what was asked for contradict each other, in words; empty when they do not."""
    return _in_numbers(replies, summary, asked) or _in_times(replies, summary, asked)


def _in_numbers(replies: Replies, summary: Summary, asked: Asked) -> str:
    if asked.sent is not None and summary.transmitted > asked.sent:
        return f"ping counted {summary.transmitted} requests: expected {asked.sent}"
    if len(replies.first) > summary.received:
        return f"ping counted {summary.received} replies, but printed {len(replies.first)}"
    if len(replies.again) > summary.duplicates:
        return f"ping counted {summary.duplicates} duplicates, but printed {len(replies.again)}"
    return ""


def _in_times(replies: Replies, summary: Summary, asked: Asked) -> str:
    longest = max((time.low_ns for time in replies.times), default=0)
    if asked.longest_ns is not None and longest > asked.longest_ns:
        return f"a reply took {_ms(longest)}, longer than ping itself ran"
    if len(summary.extremes) > 1:
        return "ping printed two different lines with its minimum and maximum"
    if summary.extremes:
        return _with_figures(replies, summary, summary.extremes[0])
    unread = summary.received - len(replies.first)
    if unread and replies.times:
        return f"could not read {unread} of the {summary.received} replies that ping counted, nor its maximum"
    return ""


def _with_figures(replies: Replies, summary: Summary, own: Extremes) -> str:
    """How the replies contradict ping's own figures, allowing for what was rounded.

    Both pings count duplicates in. The mean tells only where every reply has its time.
    """
    times, again = replies.times, replies.times_again
    if not times:
        return ""
    is_complete = summary.received == len(replies.first) == len(times)
    # What a duplicate would explain may as well be the time of a reply that could not be read.
    every = [*times, *again] if is_complete else times
    is_every_one_timed = is_complete and len(again) == summary.duplicates
    return (
        _with_minimum(own.min, times, every)
        or _with_maximum(own.max, times, every)
        or (_with_mean(own.avg, every) if is_every_one_timed else "")
    )


def _with_minimum(own: Time, times: Sequence[Time], every: Sequence[Time]) -> str:
    """Ping's own minimum is the time of one of ``every`` reply, and not above any of ``times``."""
    if own.high_ns >= min(t.low_ns for t in every) and own.low_ns <= min(t.high_ns for t in times):
        return ""
    read = _ms(min(t.ns for t in every))
    return f"ping's own minimum is {_ms(own.ns)}, but the quickest reply that could be read took {read}"


def _with_maximum(own: Time, times: Sequence[Time], every: Sequence[Time]) -> str:
    """As ``_with_minimum``, and not below any of ``times``."""
    if own.low_ns <= max(t.high_ns for t in every) and own.high_ns >= max(t.low_ns for t in times):
        return ""
    read = _ms(max(t.ns for t in every))
    return f"ping's own maximum is {_ms(own.ns)}, but the slowest reply that could be read took {read}"


def _with_mean(own: Time, every: Sequence[Time]) -> str:
    # Both pings cut the mean to their last digit.
    cut = own.high_ns - own.ns
    low, high = (sum(t.low_ns for t in every) / len(every), sum(t.high_ns for t in every) / len(every))
    if low <= own.high_ns + cut and own.low_ns <= high:
        return ""
    read = _ms(round(sum(t.ns for t in every) / len(every)))
    return f"ping's own mean is {_ms(own.ns)}, but that of its replies is {read}"


def _ms(ns: float) -> str:
    return f"{ns / 1e6:g} ms"
