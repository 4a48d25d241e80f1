"""What is odd about an output that is a measurement all the same, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.ping.lines import Printed
    from pytest_kvlatency.ping.reconcile import Counted
    from pytest_kvlatency.ping.selection import Selected


def on_counting(counted: Counted, selected: Selected, error: KvLatencyError | None) -> Iterator[str]:
    """What ping said beside its replies, and which of them could be read."""
    if error is not None:
        yield f"ping said: {error.reason}"
    if counted.is_reconstructed:
        yield "ping's summary could not be read: the numbers are those of its replies"
    elif counted.unread:
        read = len(counted.replies.first)
        yield f"ping counted {counted.summary.received} replies, but only {read} could be read line by line"
    if counted.elsewhere and not counted.answered_elsewhere:
        yield f"duplicates came from another address ({', '.join(counted.elsewhere)})"
    strays = selected.strays + (0 if counted.elsewhere else len(selected.elsewhere))
    if strays:
        yield f"ignored {strays} lines that look like replies but answer no request of this ping"


def on_sending(sample: Counted, expected: int | None, narrowest_mtu: int | None) -> Iterator[str]:
    """What came of the sample's requests; ``narrowest_mtu`` is that of the path, as far as ping was told."""
    if expected is not None and sample.summary.transmitted < expected:
        yield f"ping sent {sample.summary.transmitted} of {expected} requests before it ran out of time"
    if narrowest_mtu is not None:
        yield f"the network's path carries packets of at most {narrowest_mtu} bytes in one piece"


def on_replies(printed: Printed, counted: Counted, selected: Selected) -> Iterator[str]:
    """How the replies looked, those to a surplus included."""
    replies = counted.replies.first.values()
    untimed = sum(reply.time is not None and not reply.time.ns for reply in replies)
    for number, what in (
        (sum(reply.is_bound for reply in replies), 'times were given as "less than": used the bound'),
        (untimed if printed.clock_went_back else 0, "replies have no time: the guest's clock was set back"),
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
