"""What a signal that ends a ping does to its output, and what it leaves open. Pure.

BusyBox' handler prints the statistics in the midst of whatever ping does. A reply that was just counted may be printed
in part or not at all, and a line that was just written may be written once more. iputils only takes a note of the
signal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.ping.command import LISTEN_SECONDS
from pytest_kvlatency.ping.gaps import kept_interval_ns
from pytest_kvlatency.ping.replies import Replies

if TYPE_CHECKING:
    from pytest_kvlatency.model import PingResult
    from pytest_kvlatency.ping.selection import Selected


def without_interrupted(selected: Selected) -> Selected:
    """The lines and counters as they would be had the signal come a moment earlier.

    A reply that was counted and not printed takes its request out of the sample, with those after it: they are the last
    ones, on which nothing was waited for.
    """
    summary, ours = selected.summary, selected.ours
    if summary is None or not ours:
        return selected
    replies = Replies.of(ours)
    if len(replies.again) == summary.duplicates + 1 and _is_same(selected):
        ours = ours[:-1]
    if len(replies.first) == summary.received - 1:
        end = max(replies.first, default=-1) + 1
        # Its own minimum, mean and maximum count that reply in.
        summary = replace(summary, transmitted=end, received=len(replies.first), extremes=())
    return replace(selected, ours=ours, summary=summary)


def _is_same(selected: Selected) -> bool:
    """Whether the last two lines are one line, written twice."""
    if len(selected.ours) < 2:
        return False
    (one, first), (other, second) = selected.ours[-2:]
    return one == other and not second.is_duplicate and replace(first, line=second.line) == second


def without_end(result: PingResult, interval_ns: int) -> PingResult:
    """The result of a ping that was interrupted, without the requests whose answer it did not wait for.

    These are the last ones, as far as they were sent within ``LISTEN_SECONDS`` of the end, or within half as long again
    as the last answer took: where answers take seconds, so many are always under way. What is not answered for longer
    is lost.
    """
    lost = result.lost_sequence
    if not lost or not result.samples_ns:
        return result
    kept = kept_interval_ns(result, interval_ns)
    listened_ns = max(LISTEN_SECONDS * 1_000_000_000, result.samples_ns[-1] * 3 // 2)
    most = -(-listened_ns // kept)
    missing = set(lost)
    end = result.transmitted
    while end - 1 in missing and result.transmitted - end < most:
        end -= 1
    return replace(result, transmitted=end, lost=tuple(index for index in lost if index < end))


def with_overflow(result: PingResult, dropped: int) -> PingResult:
    """The result of a ping for whose socket the kernel has dropped so many packets, each of which may be a reply."""
    overflowed = min(dropped, max(0, result.transmitted - result.received))
    if not overflowed:
        return result
    note = f"{overflowed} replies came in bursts for which ping had no room: they are no loss"
    return replace(result, overflowed=overflowed, warnings=(*result.warnings, note))
