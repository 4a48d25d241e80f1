"""A sample that goes on while its target migrates: a second before, as long as the migration takes, and some after."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.timeouts import AFTER_MOVE_SECONDS, BEFORE_MOVE_SECONDS
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError
from pytest_kvlatency.guest.stream import Stream, shortest_interval_ns
from pytest_kvlatency.ping.command import Dialect, effective
from pytest_kvlatency.ping.migrationgaps import with_gaps

if TYPE_CHECKING:
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.move import Journey, Mover
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.guest.stream import ClockReading
    from pytest_kvlatency.model import Check, Migration, PingResult

#: For a first reply: without one there is nothing to be seen of a migration.
FIRST_REPLY_SECONDS: Final = 5.0
#: For the first reply after a migration, before the network counts as gone.
SILENCE_SECONDS: Final = 30.0
#: For reading what was measured, once the run is stopped or its time is over.
LAST_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_SLACK_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What was measured while a guest migrated.

    ``migration`` is None where none was begun. ``error`` is why the guest did not get where it was to go, or, where it
    ``is_cut_off``, why the sample ends before its time.
    """

    result: PingResult
    migration: Migration | None = None
    error: KvLatencyError | None = None
    is_cut_off: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers should know."""
        return (
            () if self.migration or self.error else ("no migration was begun: not one reply came before it",)
        )


class _MovePing:
    """The ping of one move, and what is waited for in it."""

    def __init__(self, stream: Stream, target: str, deadline: Deadline) -> None:
        self._stream = stream
        self._target = target
        self._deadline = deadline

    def begin(self) -> bool:
        """Ping for a while before the migration; whether a reply came."""
        began = time.monotonic()
        while True:
            self._pause(BEFORE_MOVE_SECONDS)
            if self._stream.replies(self._deadline):
                return True
            if time.monotonic() - began >= FIRST_REPLY_SECONDS:
                return False

    def finish(self) -> None:
        """Ping on for a while after the migration, and longer as long as no reply comes."""
        before, ended = self._stream.replies(self._deadline), time.monotonic()
        self._pause(AFTER_MOVE_SECONDS)
        while self._stream.replies(self._deadline) == before:
            if time.monotonic() - ended >= SILENCE_SECONDS:
                return
            self._pause(_LOOK_SECONDS)
        if time.monotonic() - ended >= 2 * AFTER_MOVE_SECONDS:
            # What it is like now that it is back.
            self._pause(AFTER_MOVE_SECONDS)

    def _pause(self, seconds: float) -> None:
        self._deadline.pause(seconds, f"the ping of {self._target}")


def ping_through(
    mover: Mover,
    check: Check,
    source: ReadyGuest,
    target: ReadyGuest,
    dialect: Dialect,
    deadline: Deadline,
    say: Say,
    *,
    interval_ns: int,
) -> Passage:
    """Ping from the guest that stays to the one that migrates meanwhile. Raises ``KvLatencyError``.

    Where the time is over, or the run is stopped, what was measured until then is read within ``LAST_SECONDS``.
    """
    parameters = replace(check.ping, interval_ns=interval_ns)
    with mover.turn(deadline, say):
        stream = Stream.start(
            source.shell,
            target.address.address,
            parameters,
            dialect,
            deadline,
            longest_seconds=mover.longest_seconds + AFTER_MOVE_SECONDS + SILENCE_SECONDS + _SLACK_SECONDS,
        )
        try:
            journey, before, cut = None, None, None
            sample = _MovePing(stream, target.address.address, deadline)
            try:
                if sample.begin():
                    before = stream.clock(deadline)
                    journey = mover.move(check, target, deadline, say)
                    say(
                        f"pinging {target.address.address} after the migration",
                        during=f"pinging {target.node}'s guest after its migration",
                        phase="pinging",
                    )
                    sample.finish()
                result, after = _read(stream, journey, deadline)
            except (CheckupTimeoutError, InterruptedRunError) as error:
                cut = error
                result, after = _read(stream, journey, Deadline(LAST_SECONDS))
            stream.remove()
        except BaseException:
            stream.discard()
            raise
    migration = None
    if journey is not None and before is not None and after is not None:
        migration = with_gaps(_placed(journey, before, after), result, interval_ns)
    return Passage(
        result=result,
        migration=migration,
        error=cut if journey is None else journey.error or cut,
        is_cut_off=cut is not None,
    )


def _read(
    stream: Stream, journey: Journey | None, deadline: Deadline
) -> tuple[PingResult, ClockReading | None]:
    """What was measured, and where our clock and the guest's meet once a migration is over."""
    after = None if journey is None else stream.clock(deadline)
    return stream.stop(deadline), after


def interval_of(check: Check, source: ReadyGuest, dialect: Dialect, deadline: Deadline) -> int:
    """The interval at which a check is pinged; one with a move at a short one, as a gap is right to one interval."""
    asked = effective(check.ping, dialect).interval_ns
    if not check.pair.is_move:
        return asked
    return min(asked, shortest_interval_ns(source.shell, dialect, deadline))


def _placed(journey: Journey, before: ClockReading, after: ClockReading) -> Migration:
    """The migration, with its times in the sample's.

    Between two readings: the guest's clock may run faster or slower than ours.
    """
    pace = (after.stream_ns - before.stream_ns) / max(1, after.monotonic_ns - before.monotonic_ns)

    return replace(
        journey.migration,
        created_ns=None if journey.created is None else before.at(journey.created, pace),
        ended_ns=None if journey.ended is None else after.at(journey.ended, pace),
        clock_error_ns=max(before.error_ns, after.error_ns),
        phases=tuple(
            replace(one, not_before_ns=round(one.not_before_ns * pace), seen_ns=round(one.seen_ns * pace))
            for one in journey.migration.phases
        ),
    )
