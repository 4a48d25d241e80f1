"""What a signal does to the output of a BusyBox ping that it interrupts. Pure.

Its handler prints the statistics in the midst of whatever ping does. A reply that was just counted may be printed in
part or not at all, and a line that was just written may be written once more. iputils only takes a note of the signal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.ping.replies import Replies

if TYPE_CHECKING:
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
