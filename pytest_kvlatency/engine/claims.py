"""What is asked for, by whom, and what of it has been measured already."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.attempts import for_limits
from pytest_kvlatency.engine.ticket import Ticket
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.ping.verdict import samples_needed
from pytest_kvlatency.plan.checks import rounds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.dispatcher import Dispatcher
    from pytest_kvlatency.model import Check, MeasurementKey


class Claims:
    """Makes tickets of what is asked for, and ends those of a holder that is released.

    Not thread-safe: one thread alone asks. ``deadline`` is the run's, ``parallel`` how many are measured at once.
    """

    def __init__(self, dispatcher: Dispatcher, deadline: Deadline, *, parallel: int | None) -> None:
        self._dispatcher = dispatcher
        self._deadline = deadline
        self._parallel = parallel
        self._ahead: dict[MeasurementKey, Future[Attempt]] = {}
        #: Of checks that share a measurement, one that asks no number of samples: another's limit must not prevent it.
        self._modest: dict[MeasurementKey, Check] = {}
        #: What each holder has asked for, as long as it has not ended.
        self._held: defaultdict[object, list[Ticket]] = defaultdict(list)

    def plan(self, checks: Sequence[Check]) -> None:
        """Know the checks that may be asked for; before anything is."""
        self._modest = {check.measurement_key: check for check in checks if samples_needed(check.limits) == 1}

    def start(self, ahead: Sequence[Check]) -> None:
        """Have these checks measured without being asked; equal measurements once."""
        planned = [
            [
                Ticket.of(self._modest.get(check.measurement_key, check), self._deadline, number=number)
                for check in one
            ]
            for number, one in enumerate(rounds(ahead, parallel=self._parallel), start=1)
        ]
        new = [[ticket for ticket in one if self._is_new(ticket)] for one in planned]
        try:
            self._dispatcher.plan(new)
        except BaseException:
            # They are measured when somebody asks, and get their cause then.
            for ticket in (ticket for one in new for ticket in one):
                del self._ahead[ticket.check.measurement_key]
            raise

    def _is_new(self, ticket: Ticket) -> bool:
        """Whether nothing measures the same ahead; from now on the ticket does."""
        return self._ahead.setdefault(ticket.check.measurement_key, ticket.measured) is ticket.measured

    def measure(self, check: Check, holder: object, answer: Future[Attempt], *, anew: bool) -> None:
        """Measure, or, unless ``anew``, take what was measured ahead."""
        ahead = None if anew else self._ahead.get(check.measurement_key)
        if ahead is None:
            self.ask(Ticket.of(check, self._deadline, measured=answer), holder)
        else:
            for_limits(ahead, check, answer)

    def ask(self, ticket: Ticket, holder: object) -> None:
        """Take a ticket of a holder's."""
        self._held[holder].append(ticket)
        self._dispatcher.ask(ticket)

    def use(
        self, check: Check, holder: object, answer: Future[Attempt], *, confirm: bool, moves: bool
    ) -> None:
        """Measure between the guests that the holder owns. Raises ``ConfigError`` where it owns none."""
        ticket = next((one for one in self._held.get(holder, ()) if one.is_owned), None)
        if ticket is None:
            raise ConfigError("the pair cannot be used after its test has ended", stage="run")
        self._dispatcher.use(ticket, ticket.as_it_is(check, moves=moves), answer, confirm=confirm)

    def take_again(self, check: Check) -> None:
        """Know of one test more than planned (a rerun): it is measured anew."""
        self._ahead.pop(check.measurement_key, None)
        self._dispatcher.add_test(check)

    def release(self, holder: object) -> None:
        """End all that a holder has asked for."""
        for ticket in self._held.pop(holder, []):
            self._dispatcher.end(ticket)
