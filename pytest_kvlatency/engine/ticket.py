"""What somebody wants both guests of a check for, from the moment it is asked for until it ends."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline, Stop

if TYPE_CHECKING:
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.runner import Attempt
    from pytest_kvlatency.model import Check

HAS_ENDED = "the test that asked for it has ended"


@dataclass(eq=False, kw_only=True)
class Ticket:
    """Something that wants both guests of a check: to measure, or, with ``owns``, to hold them for a while.

    ``guests`` are those that it asked for, the same from then on, whatever becomes of others of their name.
    ``deadline`` is the run's; it is stopped, too, when nobody wants the ticket any more.
    """

    check: Check
    deadline: Deadline
    stop: Stop
    owns: bool = False
    began_at: float = 0.0
    guests: tuple[Future[ReadyGuest], ...] = ()
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
        measured: Future[Attempt] | None = None,
    ) -> Ticket:
        """A ticket within the run's deadline; ``measured`` is the future that it answers, if there is one."""
        stop = Stop(parent=deadline.stop)
        return cls(
            check=check,
            deadline=Deadline(math.inf, stop=stop, parent=deadline),
            stop=stop,
            owns=owns,
            measured=Future() if measured is None else measured,
        )

    @property
    def answer(self) -> Future[Attempt] | Future[tuple[ReadyGuest, ReadyGuest]]:
        """What the one who asked waits for."""
        return self.owned if self.owns else self.measured
