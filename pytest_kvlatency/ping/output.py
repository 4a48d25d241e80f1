"""What ping printed as a result: the counters, the samples, and notes on what is odd. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.errors import GuestError, KvLatencyError
from pytest_kvlatency.model import PingResult
from pytest_kvlatency.ping import oddities
from pytest_kvlatency.ping.complaints import PingDoubtful, PingUnreadable, count_unsent, find_error, path_mtu
from pytest_kvlatency.ping.interruption import without_interrupted
from pytest_kvlatency.ping.lines import read
from pytest_kvlatency.ping.reconcile import check, without_surplus
from pytest_kvlatency.ping.selection import Asked, select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pytest_kvlatency.ping.lines import Reply, Time
    from pytest_kvlatency.ping.reconcile import Counted
    from pytest_kvlatency.ping.selection import Selected


def parse(
    output: str,
    *,
    expected_count: int | None = None,
    surplus: int = 0,
    asked: Asked | None = None,
    fits: bool = False,
    came_at_ns: Sequence[int | None] = (),
    is_interrupted: bool = False,
    started_at: datetime | None = None,
    duration_seconds: float = 0.0,
) -> PingResult:
    """Read what ping printed. ``expected_count`` is the ``-c`` it was given, less a ``surplus`` (``surplus_of``).

    Requests of the surplus and their replies are no part of the result; only iputils is given one. ``fits``: the own
    interface is known to carry the packet, so what is too long is so for the network. ``came_at_ns`` says of each line
    when it came, as far as that is known. ``is_interrupted``: a signal ended a BusyBox ping (``interruption``).

    Raises ``PingDoubtful`` when counters and replies are missing or contradict each other, ``PingUnreadable`` when
    they say nothing of round-trip times, ``ConfigError`` for a packet that the own interface cannot carry or an
    interval that ping refuses, ``ConnectivityError`` when the kernel found nobody at that address, and ``GuestError``
    for what else stopped ping itself.
    """
    asked = asked or Asked(sent=None if expected_count is None else expected_count + surplus)
    printed = read(output)
    error = find_error(output, fits=fits)
    try:
        selected = select(printed, asked)
        if is_interrupted:
            selected = without_interrupted(selected)
        if error is not None:
            _stop_without_replies(error, selected)
        counted = sample = check(selected, asked)
        if surplus and expected_count is not None:
            sample = without_surplus(counted, expected_count, printed.errors_of)
        if error is not None:
            _blame_the_guest(error, counted, sample, unsent=count_unsent(output))
        replies = _timed(sample, without_zeros=printed.clock_went_back)
    except KvLatencyError as wrong:
        wrong.transcript = output
        raise
    odd = [
        *oddities.on_counting(counted, selected, error),
        *oddities.on_sending(sample, expected_count, path_mtu(output)),
        *oddities.on_replies(printed, counted, selected),
    ]
    return PingResult(
        transmitted=sample.summary.transmitted,
        received=sample.summary.received,
        duplicates=sample.summary.duplicates,
        late=selected.late,
        errors=sample.summary.errors,
        samples_ns=tuple(time.ns for _, time in replies),
        lost=sample.unanswered,
        replied_at_ns=_arrivals([reply for reply, _ in replies], came_at_ns),
        sent_every_ns=_sent_every(counted),
        started_at=started_at,
        duration_seconds=duration_seconds,
        answered_elsewhere=counted.elsewhere if counted.answered_elsewhere else (),
        warnings=tuple(odd),
        transcript=output,
    )


def reads_whole(output: str, asked: Asked) -> bool:
    """Whether nothing of ping's output is missing, and nothing else stands in it."""
    try:
        selected = select(read(output), asked)
        if selected.summary is None and find_error(output) is not None:
            return True
        counted = check(selected, asked)
    except PingDoubtful:
        return False
    return not (counted.unread or counted.is_reconstructed or selected.strays or selected.elsewhere)


def _stop_without_replies(error: KvLatencyError, selected: Selected) -> None:
    """Raise what stopped ping, unless it has replies and counted them."""
    if selected.summary is not None and (selected.summary.received or selected.ours):
        return
    replies = len({index for index, _ in selected.ours})
    if not replies:
        raise error
    raise PingUnreadable(f"ping stopped after {replies} replies: {error.reason}", hint=error.hint) from error


def _blame_the_guest(error: KvLatencyError, counted: Counted, sample: Counted, *, unsent: int) -> None:
    """Raise ``GuestError`` when all that is missing never left the guest: that is no loss of the network's.

    The ``unsent`` ones are of the surplus, too, as are the lost ones of ``counted``.
    """
    if sample.lost > 0 and counted.lost <= unsent:
        raise GuestError(
            f"{sample.lost} of {sample.summary.transmitted} requests never left the guest: {error.reason}",
            hint=error.hint,
            stage="run",
        ) from error


def _timed(sample: Counted, *, without_zeros: bool) -> list[tuple[Reply, Time]]:
    """The replies that have a time, in the order of the requests.

    iputils writes 0 when the clock was set back under a reply. Raises ``PingUnreadable`` when there are replies, and
    not one of them has a time.
    """
    replies = (reply for _, reply in sorted(sample.replies.first.items()))
    timed = [
        (one, one.time) for one in replies if one.time is not None and (one.time.ns or not without_zeros)
    ]
    if sample.summary.received and not timed:
        raise PingUnreadable(
            f"ping counted {sample.summary.received} replies, but none of their round-trip times could be read",
            hint="a payload under 16 bytes (iputils) or 4 bytes (BusyBox) carries no time: "
            "use a larger --kv-packet-size",
        )
    return timed


def _sent_every(counted: Counted) -> int | None:
    """The interval that iputils kept, requests of the surplus included; None of BusyBox, which does not say."""
    summary = counted.summary
    if summary.elapsed_ms is None or summary.transmitted < 2:
        return None
    return summary.elapsed_ms * 1_000_000 // (summary.transmitted - 1)


def _arrivals(replies: Sequence[Reply], came_at_ns: Sequence[int | None]) -> tuple[int, ...] | None:
    """When each of the replies came; None unless that is known of all."""
    times = [came_at_ns[reply.line] if reply.line < len(came_at_ns) else None for reply in replies]
    known = tuple(time for time in times if time is not None)
    return known if came_at_ns and len(known) == len(times) else None
