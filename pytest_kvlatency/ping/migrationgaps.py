"""What a live migration did to a sample, and what is left of it that the network itself has to answer for. Pure.

Nanoseconds since ping began.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.model import RttSummary
from pytest_kvlatency.ping.gaps import (
    begins_in,
    gaps_since,
    kept_interval_ns,
    last_reply_ns,
    length_of,
    longest,
    numbers_of,
    replies_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.model import Gap, Migration, PingResult

_RUNNING: Final = "Running"
#: So many requests in a row are lost in an outage; a network that loses one in ten does so once in 100,000.
_OUTAGE: Final = 5


def without_gaps(result: PingResult, gaps: Sequence[Gap | None], interval_ns: int) -> PingResult:
    """The part of a sample that lies outside of some of its gaps: what the network itself has to answer for.

    Of a gap are the requests that were lost in it, and the replies whose way there and back was longer because of it:
    they were under way when it was, and came when it ended or later.
    """
    round_trips = _round_trips(result, interval_ns)
    found = [gap for gap in gaps if gap is not None]
    if not found or round_trips is None:
        return result
    kept = [
        (came, took)
        for came, took in round_trips
        if not any(gap.begins_ns < came and came - took < gap.ends_ns for gap in found)
    ]
    in_gaps = sum(gap.lost for gap in found)
    lost = max(0, result.transmitted - result.received - in_gaps)
    return replace(
        result,
        transmitted=len(kept) + lost,
        received=len(kept),
        # What is excused with its gap excuses nothing else.
        overflowed=max(0, result.overflowed - in_gaps),
        samples_ns=tuple(took for _, took in kept),
        lost=None if lost else (),
        replied_at_ns=tuple(came for came, _ in kept),
    )


def _round_trips(result: PingResult, interval_ns: int) -> list[tuple[int, int]] | None:
    """When each reply came, and how long it took, in the order of the requests; None where that is not known."""
    numbers, replies = numbers_of(result), replies_of(result, kept_interval_ns(result, interval_ns))
    if numbers is None or replies is None:
        return None
    came = {reply.index: reply.at_ns for reply in replies}
    return [(came[number], took) for number, took in zip(numbers, result.samples_ns, strict=True)]


def rtts_between(
    result: PingResult, interval_ns: int, *, since_ns: int = 0, until_ns: int | None = None
) -> RttSummary | None:
    """The round-trip times of the replies that came in a part of the sample; None where there is none."""
    times = [
        took
        for came, took in _round_trips(result, interval_ns) or ()
        if came >= since_ns and (until_ns is None or came < until_ns)
    ]
    if not times:
        return None
    return RttSummary(
        count=len(times), min_ns=min(times), avg_ns=round(sum(times) / len(times)), max_ns=max(times)
    )


def with_gaps(migration: Migration, result: PingResult, interval_ns: int) -> Migration:
    """A migration with what the guest that stayed saw of it: both gaps, what was lost in them, round trips around them.

    ``created_ns``, ``ended_ns`` and the phases are needed for it; what cannot be said stays as it is. Which of both a
    gap is depends on where it begins: before the phase Running, whose moment is taken to be the middle of what is known
    of it, or later. What was under way when the migration was created belongs to it.
    """
    created = migration.created_ns
    if created is None or replies_of(result, interval_ns) is None:
        return migration
    longests = [
        longest(result, interval_ns, since_ns=since, until_ns=until)
        for since, until in _windows(migration, result, interval_ns)
    ]
    return replace(
        migration,
        preparation_gap=longests[0],
        switchover_gap=longests[1] if len(longests) > 1 else None,
        rtt_before=rtts_between(result, interval_ns, until_ns=created),
        rtt_after=None
        if migration.ended_ns is None
        else rtts_between(result, interval_ns, since_ns=migration.ended_ns),
        lost_in_gaps=sum(gap.lost for gap in gaps_of_migration(migration, result, interval_ns)),
    )


def gaps_of_migration(migration: Migration, result: PingResult, interval_ns: int) -> tuple[Gap, ...]:
    """What a migration did to the network: before Running and later, the longest gap, and until it has ended some more.

    These are the gap that lost most, as a guest, or a machine, that stands still for a moment makes a longer one
    without a loss; and each other outage (``_is_outage``), as a bridge may be confused several times while the target
    is prepared. What else is lost is the network's. A silence to the end of the sample is none of them: the
    network was not back when it was last looked at.
    """
    found: list[Gap] = []
    last = last_reply_ns(result, interval_ns) or 0
    kept = kept_interval_ns(result, interval_ns)
    end = last if migration.ended_ns is None else migration.ended_ns
    windows = _windows(migration, result, interval_ns)
    every = gaps_since(result, interval_ns, windows[0][0]) if windows else ()
    for since, until in windows:
        gaps = [gap for gap in every if begins_in(gap, since, until) and gap.begins_ns < last]
        meanwhile = [gap for gap in gaps if gap.begins_ns < end]
        if gaps:
            found.append(max(gaps, key=length_of))
        if meanwhile:
            found.append(max(meanwhile, key=_loss))
        found += [gap for gap in meanwhile if _is_outage(gap, kept)]
    return tuple(dict.fromkeys(found))


def _windows(
    migration: Migration, result: PingResult, interval_ns: int
) -> tuple[tuple[int, int | None], ...]:
    """Where the gaps of a migration begin: before it is Running, and, if it was, from then on."""
    created = migration.created_ns
    if created is None:
        return ()
    earlier = kept_interval_ns(result, interval_ns) + (migration.clock_error_ns or 0)
    border = running_ns(migration)
    preparation = (max(0, created - earlier), border)
    return (preparation,) if border is None else (preparation, (border, None))


def running_ns(migration: Migration) -> int | None:
    """When the phase Running began: the middle of what is known of it; None where it has not been seen."""
    running = next((phase for phase in migration.phases if phase.name == _RUNNING), None)
    if running is None or migration.created_ns is None:
        return None
    return migration.created_ns + (running.not_before_ns + running.seen_ns) // 2


def _is_outage(gap: Gap, interval_ns: int) -> bool:
    """Whether ``_OUTAGE`` requests were lost, or fewer while no reply came for longer than so many would take."""
    return gap.lost >= _OUTAGE or (gap.lost > 0 and gap.length_ns > (_OUTAGE + 1) * interval_ns)


def _loss(gap: Gap) -> tuple[int, int]:
    return gap.lost, gap.length_ns
