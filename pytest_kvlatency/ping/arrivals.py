"""When replies came, where the reader that took note of it was late now and then. Pure.

BusyBox says how long each reply took from the moment at which it sent the request, and sends no two requests within its
interval. So a request was sent no later than its reply was read, less its round trip, and no later than the next one,
less an interval: a reader that has caught up corrects what it was late with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.ping.gaps import numbers_of, usual_interval_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.model import PingResult

#: So many intervals without a request are no delay any more.
_SLEEP: Final = 4


def corrected(result: PingResult, interval_ns: int) -> PingResult:
    """The result of a BusyBox ping with the times at which its replies most likely came."""
    numbers, came = numbers_of(result), result.replied_at_ns
    if numbers is None or came is None:
        return result
    sent = _bounded(
        numbers, [at - took for at, took in zip(came, result.samples_ns, strict=True)], interval_ns
    )
    sent = _before_sleep(numbers, sent, result.samples_ns)
    times = tuple(max(0, at + took) for at, took in zip(sent, result.samples_ns, strict=True))
    return replace(result, replied_at_ns=times)


def _bounded(numbers: Sequence[int], sent: Sequence[int], interval_ns: int) -> list[int]:
    """When each request was sent at the latest, as far as those after it tell."""
    found: list[int] = []
    later: tuple[int, int] | None = None
    for number, at in zip(reversed(numbers), reversed(sent), strict=True):
        latest = at if later is None else min(at, later[1] - (later[0] - number) * interval_ns)
        later = (number, latest)
        found.append(latest)
    return found[::-1]


def _before_sleep(numbers: Sequence[int], sent: Sequence[int], took: Sequence[int]) -> list[int]:
    """The same for a single reply between a sleep of the guest and a silence of the network.

    A guest that gets no processor time sends nothing, and its reader stamps nothing. What such a sleep strikes between
    a reply and its stamp seems to have come after it, and to have been the last one before the silence. That it was
    sent on time, and answered before the sleep, is far more likely than a network that falls silent in the very
    interval in which the guest wakes.
    """
    found = list(sent)
    usual = usual_interval_ns(numbers, sent)
    for index in range(1, len(found) - 1):
        slept = found[index] - found[index - 1] > _SLEEP * usual
        follows = numbers[index] == numbers[index - 1] + 1
        silent = sent[index + 1] + took[index + 1] - sent[index] - took[index] > _SLEEP * usual
        is_lost_or_late = numbers[index + 1] > numbers[index] + 1 or took[index + 1] > _SLEEP * usual
        if slept and follows and silent and is_lost_or_late:
            found[index] = found[index - 1] + usual
    return found
