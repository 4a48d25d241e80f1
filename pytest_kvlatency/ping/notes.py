"""What is odd about an output that is a measurement all the same, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.ping.complaints import path_mtu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.ping.lines import Printed, Summary
    from pytest_kvlatency.ping.reconcile import Counted, Selected


def on_counting(counted: Counted, selected: Selected, error: KvLatencyError | None) -> Iterator[str]:
    """What ping said beside its replies, and which of them could be read."""
    if error is not None:
        yield f"ping said: {error.reason}"
    if counted.is_reconstructed:
        yield "could not read ping's summary, but every reply"
    elif counted.unread:
        read = len(counted.tally.first)
        yield f"ping counted {counted.summary.received} replies, but only {read} could be read line by line"
    if counted.elsewhere and not counted.answered_elsewhere:
        yield f"duplicates came from another address ({', '.join(counted.elsewhere)})"
    strays = selected.strays + (0 if counted.elsewhere else len(selected.elsewhere))
    if strays:
        yield f"ignored {strays} lines that look like replies but answer no request of this ping"


def on_the_network(
    printed: Printed,
    counted: Counted,
    selected: Selected,
    summary: Summary,
    expected: int | None,
    output: str,
) -> Iterator[str]:
    """What came of the requests, and how the replies looked. ``summary`` is that of the sample alone."""
    if expected is not None and summary.transmitted < expected:
        yield f"ping sent {summary.transmitted} of {expected} requests before it ran out of time"
    narrow = path_mtu(output)
    if narrow is not None:
        yield f"the network's path carries packets of at most {narrow} bytes in one piece"
    replies = counted.tally.first.values()
    untimed = sum(reply.time is not None and not reply.time.ns for reply in replies)
    for number, what in (
        (sum(reply.is_bound for reply in replies), 'times were given as "less than": used the bound'),
        (
            untimed if printed.clock_went_back else 0,
            "replies have no time: the guest's clock was set back",
        ),
        (
            counted.answered_elsewhere,
            f"requests were answered from another address ({', '.join(counted.elsewhere)}): they count as lost",
        ),
        (selected.corrupted, "replies came with a bad checksum"),
        (sum(reply.is_cut for reply in replies), "replies were shorter than their requests"),
        (printed.altered, "replies did not carry the data that was sent"),
        (selected.late, "replies came after ping had closed its count"),
    ):
        if number:
            yield f"{number} {what}"
