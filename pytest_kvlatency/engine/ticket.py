"""What somebody wants both guests of a check for, from the moment it is asked for until it ends."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine.guests import is_lost
from pytest_kvlatency.errors import ConfigError, KvLatencyError
from pytest_kvlatency.model import NodePair
from pytest_kvlatency.plan import moves
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import Check

HAS_ENDED = "the test that asked for it has ended"
#: A measurement that takes so many times its sample, and so many seconds, is late: a warm-up without replies, say.
LATE_FACTOR = 1.5
LATE_SECONDS = 1.5


@dataclass(eq=False, kw_only=True)
class Ticket:
    """Something that wants both guests of a check: to measure, or, with ``owns``, to hold them for a while.

    ``guests`` are those that it asked for, the same from then on, whatever becomes of others of their name.
    ``deadline`` is the run's; it is stopped, too, when nobody wants the ticket any more. ``round`` is the one of the
    plan's rounds, counted from 1, that it is measured ahead in.
    """

    check: Check
    deadline: Deadline
    stop: Stop
    owns: bool = False
    round: int | None = None
    began_at: float = 0.0
    guests: tuple[Future[ReadyGuest], ...] = ()
    #: Where its guests were last seen, also those that are not up.
    pair_nodes: Callable[[], tuple[str, str]] = lambda: ("", "")
    measured: Future[Attempt] = field(default_factory=Future)
    owned: Future[tuple[ReadyGuest, ReadyGuest]] = field(default_factory=Future)
    #: Whether the guests are held now.
    is_owned: bool = False
    #: How many measurements of its owner's are under way.
    uses: int = 0
    has_ended: bool = False

    @classmethod
    def of(
        cls,
        check: Check,
        deadline: Deadline,
        *,
        owns: bool = False,
        number: int | None = None,
        measured: Future[Attempt] | None = None,
    ) -> Ticket:
        """A ticket within the run's deadline.

        ``number`` is its round's, ``measured`` the future that it answers, if there is one.
        """
        stop = Stop(parent=deadline.stop)
        return cls(
            check=check,
            deadline=Deadline(math.inf, stop=stop, parent=deadline),
            stop=stop,
            owns=owns,
            round=number,
            measured=Future() if measured is None else measured,
        )

    @property
    def answer(self) -> Future[Attempt] | Future[tuple[ReadyGuest, ReadyGuest]]:
        """What the one who asked waits for."""
        return self.owned if self.owns else self.measured

    @property
    def needs(self) -> frozenset[object] | None:
        """The guests and nodes that it occupies, also those that a guest may migrate to; None while a guest is not up.

        One whose guest will never be up occupies nothing: it ends at once, with the cause.
        """
        done = [one for one in self.guests if one.done()]
        if any(is_lost(one) for one in done):
            return frozenset()
        if len(done) < len(self.guests):
            return None
        nodes = {one.result().node for one in done} | moves.occupied(self.check)
        return frozenset((*vmi_keys(self.check), *nodes))

    def pair(self) -> tuple[ReadyGuest, ReadyGuest]:
        """Both guests, once it may start: they are up, or the cause is known, which is raised."""
        for future in self.guests:
            if future.done():
                try:
                    result_of(future)
                except KvLatencyError as error:
                    error.pair_nodes = self.pair_nodes()
                    raise
        source, target = (future.result() for future in self.guests)
        return source, target

    def as_it_is(self, check: Check, *, moves: bool) -> Check:
        """A check of this pair that is up, between the nodes where its guests are now; ``moves``: its target migrates.

        Raises ``ConfigError`` where it has migrated already, or has tried to: there is only one guest to do so.
        """
        if not check.pair.is_move:
            return check
        source, target = self.pair()
        if not moves:
            return replace(check, pair=NodePair(source=source.node, target=target.node), among=())
        if target.has_migrated or target.node != check.pair.target:
            raise ConfigError(
                f"the target of {check.pair} migrates only once, and is on {target.node} now",
                hint="a test with kv_pair is measured once with its migration: without kv_pair it gets another guest "
                "each time, and kv_ping measures the pair where it is now",
                stage="run",
            )
        return check

    @property
    def is_late(self) -> bool:
        """Whether it may still run for any time: its owner is a test, or it takes longer than it should."""
        expected = LATE_FACTOR * moves.sample_seconds(self.check) + LATE_SECONDS
        return self.owns or 0.0 < self.began_at < time.monotonic() - expected
