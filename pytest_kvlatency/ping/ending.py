"""What a ping leaves open that a signal ended: requests under way, and replies for which it had no room. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.ping.command import LISTEN_SECONDS
from pytest_kvlatency.ping.gaps import kept_interval_ns

if TYPE_CHECKING:
    from pytest_kvlatency.model import PingResult


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
