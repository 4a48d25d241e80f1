"""What ``kv_stream`` gives: a ping between both guests of a test, while the test does something to them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.checkup.pair import asked_for
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.measuring import dialect_for, judged, unjudged
from pytest_kvlatency.engine.moving import LAST_SECONDS
from pytest_kvlatency.errors import ConfigError, KvLatencyError, NoValue
from pytest_kvlatency.guest.stream import Stream, shortest_interval_ns
from pytest_kvlatency.model import Measurement
from pytest_kvlatency.ping.gaps import long_gaps
from pytest_kvlatency.ping.latency import Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import Check, Gap, PingResult
    from pytest_kvlatency.ping.command import Dialect

#: A stream that nothing ends.
LONGEST_SECONDS: Final = 3600.0
#: So long a stream waits for its first reply before the test goes on, for that is a network that works.
FIRST_REPLY_SECONDS: Final = 10.0
# pytest leaves this module's frames out of the traceback of a test: the test's own line tells.
__tracebackhide__ = True


class StreamedLatency(Latency):
    """The numbers of a stream, once its ``with`` block is over; until then each raises ``NoValue``."""

    _names = (*Latency._names, "lost", "gaps")  # noqa: SLF001 - its own

    def __init__(self, check: Check, stream: Stream, deadline: Deadline) -> None:
        super().__init__(Measurement(check=check))
        self._stream = stream
        self._deadline = deadline
        self._is_over = False

    @property
    def lost(self) -> int:
        """How many requests were not answered. Late answers are none of them."""
        return self.transmitted - self.received

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every time without a reply that is longer than two intervals, in order."""
        measured = self._measurement
        result = self._result()
        return long_gaps(result, measured.interval_ns or measured.check.ping.interval_ns)

    def replies(self) -> int:
        """How many replies there are by now; also while the block runs."""
        if self._is_over:
            return self.received
        return asked_for(lambda: self._stream.replies(self._deadline))

    def end(self, measurement: Measurement) -> None:
        """Take what was measured."""
        super().__init__(measurement)
        self._is_over = True

    def _result(self) -> PingResult:
        if not self._is_over:
            raise NoValue("the stream has no numbers before its with block has ended")
        return super()._result()


class Streams:
    """Call it to ping from the source to the target for as long as a ``with`` block takes."""

    def __init__(
        self, stream: Callable[[dict[str, object]], AbstractContextManager[StreamedLatency]]
    ) -> None:
        self._stream = stream

    def __call__(self, *unnamed: object, **parameters: object) -> AbstractContextManager[StreamedLatency]:
        """Ping with ``interval``, ``packet_size`` or ``dont_fragment`` changed, until the block ends.

        Without an ``interval`` it is 10 ms where the guest's ping may send so often, else 100 ms. Raises
        ``ConfigError`` for a wrong parameter, and what a measurement raises; limits do not apply.
        """
        if unnamed:
            raise ConfigError('kv_stream takes keyword arguments only, such as kv_stream(interval="10ms")')
        return self._stream(parameters)


@contextmanager
def streaming(
    check: Check,
    guests: tuple[ReadyGuest, ReadyGuest],
    stop: Stop,
    *,
    is_interval_given: bool,
    failing: Callable[[], AbstractContextManager[None]],
    keep: Callable[[Measurement], None],
) -> Iterator[StreamedLatency]:
    """Ping between the guests of ``check`` as it says, for as long as the body takes; ``keep`` takes what was measured.

    Without a given interval it is the shortest that the guest's ping allows. Raises as a measurement does, inside
    ``failing``. When the body raises, what was measured until then is kept if it can be had soon; its error goes on.
    """
    source, target = guests
    deadline = Deadline(math.inf, stop=stop)
    with failing():
        stream, dialect = asked_for(
            lambda: _started(check, source, target, deadline, is_interval_given=is_interval_given)
        )
    check = replace(check, ping=stream.parameters)

    def ended(deadline: Deadline = deadline) -> Measurement:
        result = stream.stop(deadline)
        stream.remove()
        return judged(unjudged(check, source, target, dialect, result, stream.parameters.interval_ns), check)

    latency = StreamedLatency(check, stream, deadline)
    try:
        yield latency
    except BaseException as error:
        has_time = isinstance(error, Exception) and not stop.is_set()
        try:
            keep(ended(deadline if has_time else Deadline(LAST_SECONDS)))
        except KvLatencyError:
            stream.discard()
        raise
    with failing():
        measured = asked_for(ended)
    keep(measured)
    latency.end(measured)


def _started(
    check: Check, source: ReadyGuest, target: ReadyGuest, deadline: Deadline, *, is_interval_given: bool
) -> tuple[Stream, Dialect]:
    """A ping that has had its first reply, or has waited for it in vain."""
    shell, address = source.shell, target.address.address
    for guest in (source, target):
        guest.watchdog.cover(LONGEST_SECONDS)
    dialect = dialect_for(check, source, target, deadline)
    parameters = check.ping
    if not is_interval_given:
        parameters = replace(parameters, interval_ns=shortest_interval_ns(shell, dialect, deadline))
    stream = Stream.start(shell, address, parameters, dialect, deadline, longest_seconds=LONGEST_SECONDS)
    try:
        if not stream.has_reply(deadline, seconds=FIRST_REPLY_SECONDS) and stream.has_ended(deadline):
            # Ping refused: what it said is the cause.
            stream.stop(deadline)
    except BaseException:
        stream.discard()
        raise
    return stream, dialect
