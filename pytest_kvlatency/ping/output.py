"""What ping printed as a result: the counters, the samples, and notes on what is odd. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.errors import GuestError
from pytest_kvlatency.model import PingResult
from pytest_kvlatency.ping import notes
from pytest_kvlatency.ping.complaints import PingDoubtful, PingUnreadable, count_unsent, find_error
from pytest_kvlatency.ping.lines import read
from pytest_kvlatency.ping.reconcile import Asked, Tally, check, select

if TYPE_CHECKING:
    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.ping.lines import Printed, Summary
    from pytest_kvlatency.ping.reconcile import Selected


def parse(
    output: str,
    *,
    expected_count: int | None = None,
    surplus: int = 0,
    asked: Asked | None = None,
    fits: bool = False,
    duration_seconds: float = 0.0,
) -> PingResult:
    """Read what ping printed. ``expected_count`` is the ``-c`` it was given, less a ``surplus`` (``surplus_of``).

    Requests of the surplus and their replies are no part of the result; only iputils is given one. ``fits``: the own
    interface is known to carry the packet, so what is too long is so for the network.

    Raises ``PingDoubtful`` when counters and replies are missing or contradict each other, ``PingUnreadable`` when
    they say nothing of round-trip times, ``ConfigError`` for a packet that the own interface cannot carry or an
    interval that ping refuses, ``ConnectivityError`` when the kernel found nobody at that address, and ``GuestError``
    for what else stopped ping itself.
    """
    if asked is None:
        asked = Asked(sent=None if expected_count is None else expected_count + surplus)
    printed = read(output)
    selected = select(printed, asked, output)
    error = find_error(output, fits=fits)
    if error is not None:
        _stop(error, selected, output)
    counted = check(selected, asked, output)
    said = list(notes.on_counting(counted, selected, error))
    tally, summary = counted.tally, counted.summary
    missing = summary.transmitted - summary.received
    if surplus and expected_count is not None:
        tally, summary = _cut(printed, tally, summary, expected_count, output)
    if error is not None and summary.received < summary.transmitted:
        _blame_the_guest(error, missing, summary, output)
    samples = _samples(tally, without_zeros=printed.clock_went_back)
    if summary.received and not samples:
        raise PingUnreadable(
            f"ping counted {summary.received} replies, but none of their round-trip times could be read",
            hint="a payload under 16 bytes (iputils) or 4 bytes (BusyBox) carries no time: "
            "use a larger --kv-packet-size",
            transcript=output,
        )
    said += notes.on_the_network(printed, counted, selected, summary, expected_count, output)
    return PingResult(
        transmitted=summary.transmitted,
        received=summary.received,
        duplicates=summary.duplicates,
        late=selected.late,
        errors=summary.errors,
        samples_ns=samples,
        duration_seconds=duration_seconds,
        answered_elsewhere=counted.elsewhere if counted.answered_elsewhere else (),
        warnings=tuple(said),
        transcript=output,
    )


def reads_whole(output: str, asked: Asked) -> bool:
    """Whether nothing of ping's output is missing, and nothing else stands in it."""
    try:
        selected = select(read(output), asked, output)
        if selected.summary is None and find_error(output) is not None:
            return True
        counted = check(selected, asked, output)
    except PingDoubtful:
        return False
    return not (counted.unread or counted.is_reconstructed or selected.strays or selected.elsewhere)


def _stop(error: KvLatencyError, selected: Selected, output: str) -> None:
    """Raise what stopped ping, unless it has replies and counted them."""
    if selected.summary is not None and (selected.summary.received or selected.ours):
        return
    replies = len({index for index, _ in selected.ours})
    if not replies:
        raise error
    raise PingUnreadable(
        f"ping stopped after {replies} replies: {error.reason}", hint=error.hint, transcript=output
    ) from error


def _blame_the_guest(error: KvLatencyError, missing: int, summary: Summary, output: str) -> None:
    """Raise ``GuestError`` when all that is missing never left the guest: that is no loss of the network's.

    ``missing`` counts the surplus too, as the complaints do.
    """
    if missing <= count_unsent(output):
        lost = summary.transmitted - summary.received
        raise GuestError(
            f"{lost} of {summary.transmitted} requests never left the guest: {error.reason}",
            hint=error.hint,
            transcript=output,
            stage="run",
        ) from error


def _samples(tally: Tally, *, without_zeros: bool) -> tuple[int, ...]:
    """The times in the order of the requests. iputils writes 0 when the clock was set back under a reply."""
    ordered = (reply.time for _, reply in sorted(tally.first.items()))
    return tuple(time.ns for time in ordered if time is not None and (time.ns or not without_zeros))


def _cut(printed: Printed, tally: Tally, summary: Summary, count: int, output: str) -> tuple[Tally, Summary]:
    """The first ``count`` requests alone.

    A reply that could not be read line by line may be one of theirs or one of the surplus: raises ``PingDoubtful``
    where that matters.
    """
    if summary.transmitted <= count:
        return tally, summary
    unread = set(range(summary.transmitted)) - set(tally.first)
    of_ours = sum(index < count for index in unread)
    lost = summary.transmitted - summary.received
    if 0 < of_ours < len(unread) and lost not in {0, len(unread)}:
        raise PingDoubtful(
            f"could not tell which of the first {count} of {summary.transmitted} requests were answered",
            hint="measure again",
            transcript=output,
        )
    again = [one for one in tally.again if one[0] < count]
    # iputils, which alone has a surplus, counts from 1; it words errors that it does not count with a colon.
    errors_beyond = sum(sequence > count for sequence in printed.errors_of)
    return (
        Tally(first={index: reply for index, reply in tally.first.items() if index < count}, again=again),
        replace(
            summary,
            transmitted=count,
            received=count - min(of_ours, lost),
            duplicates=max(0, summary.duplicates - (len(tally.again) - len(again))),
            errors=min(count, max(0, summary.errors - errors_beyond)),
        ),
    )
