"""A sample without the requests that ping was given beyond it (``command.surplus_of``). Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.ping.complaints import PingDoubtful

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.ping.reconcile import Counted


def cut(counted: Counted, count: int, errors_of: Sequence[int]) -> Counted:
    """The first ``count`` requests alone; ``errors_of`` are the numbers of those about which a router complained.

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
