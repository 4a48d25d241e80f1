"""When replies came, where the reader that took note of it was late now and then. Pure.

BusyBox says how long each reply took from the moment at which it sent the request, and sends no two requests within its
interval. So a request was sent no later than its reply was read, less its round trip, and no later than the next one,
less an interval: a reader that has caught up corrects what it was late with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.ping.gaps import numbers_of

if TYPE_CHECKING:
    from pytest_kvlatency.model import PingResult


def corrected(result: PingResult, interval_ns: int) -> PingResult:
    """The result of a BusyBox ping with the earliest times at which its replies can have come."""
    numbers, came = numbers_of(result), result.replied_at_ns
    if numbers is None or came is None:
        return result
    found: list[int] = []
    later: tuple[int, int] | None = None
    for number, at, took in reversed(list(zip(numbers, came, result.samples_ns, strict=True))):
        sent = at - took
        if later is not None:
            sent = min(sent, later[1] - (later[0] - number) * interval_ns)
        later = (number, sent)
        found.append(max(0, sent + took))
    return replace(result, replied_at_ns=tuple(reversed(found)))
