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
from pytest_kvlatency.ping.contradictions import contradiction
from pytest_kvlatency.ping.lines import Summary
from pytest_kvlatency.ping.replies import Replies
from pytest_kvlatency.ping.selection import MIXED_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_kvlatency.ping.lines import Reply
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
    doubt = contradiction(own, summary, asked)
    if selected.elsewhere and (doubt or counted.unread):
        both = Replies.of(sorted((*selected.ours, *selected.elsewhere), key=lambda one: one[1].line))
        explains_more = doubt or len(both.first) > len(own.first)
        if explains_more and not contradiction(both, summary, asked):
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
    doubt = contradiction(replies, summary, asked)
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
