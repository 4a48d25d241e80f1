"""How replies and the counters contradict each other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.ping.lines import Extremes, Summary, Time
    from pytest_kvlatency.ping.replies import Replies
    from pytest_kvlatency.ping.selection import Asked


def contradiction(replies: Replies, summary: Summary, asked: Asked) -> str:
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
