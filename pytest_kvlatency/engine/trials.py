"""One try at a check between guests that are up: whatever happens, it becomes an ``Attempt``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.config.timeouts import usual_ns
from pytest_kvlatency.engine.attempts import Attempt, failed
from pytest_kvlatency.engine.guests import check_distinct, up_or_none
from pytest_kvlatency.engine.measuring import NotJudged, untold
from pytest_kvlatency.engine.steps import pair_place
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError, KvLatencyError
from pytest_kvlatency.model import failure_of
from pytest_kvlatency.units import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.activity import Activity
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.measuring import Measurer
    from pytest_kvlatency.engine.ticket import Ticket
    from pytest_kvlatency.model import Check, Measurement


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Measures between the guests of tickets that may start. Thread-safe.

    ``guests`` gives all that are up; ``last_used`` takes note that a ticket's measurement begins, and gives those of
    its guests that nothing planned needs after it.
    """

    measurer: Measurer
    consoles: Consoles
    activity: Activity
    guests: Callable[[], Iterable[ReadyGuest]]
    last_used: Callable[[Ticket], list[ReadyGuest]]

    def measure(self, ticket: Ticket, check: Check, *, confirm: bool = True) -> Attempt:
        """Measure ``check``; ``confirm`` has the target asked after a loss."""
        try:
            source, target = ticket.pair()
        except KvLatencyError as error:
            return failed(check, error, *map(up_or_none, ticket.guests))
        pinging = f"preparing to ping {target.node} from {source.node}"
        with self.activity.doing(check.id, "run", pinging, who=pair_place(source.node, target.node)) as say:
            try:
                if source.nad.address_mode == "dhcp":
                    # Where this tool gives the addresses, the plan keeps them apart; every pair would look at all.
                    check_distinct((source, target), self.guests())
                self._cover((target, source), to_seconds(usual_ns(check)), ticket.deadline)
                with self.consoles.using(source.shell, ticket.deadline):
                    measured = self.measurer.measure(
                        check, source, target, ticket.deadline, say, look_again=self.last_used(ticket)
                    )
                measured = replace(measured, round=ticket.round)
                if measured.has_lost and confirm:
                    say(
                        "checking that the target is alive",
                        during=f"checking that the guest on {target.node} is alive",
                        phase="is the target alive?",
                    )
                    measured = self._confirmed(measured, target, ticket.deadline)
            except NotJudged as outcome:
                cause = _at_run(outcome.cause)
                measured = replace(outcome.measurement, round=ticket.round, failures=(failure_of(cause),))
                return Attempt(measurement=measured, error=cause)
            except KvLatencyError as error:
                return failed(check, _at_run(error), source, target)
        return Attempt(measurement=measured)

    def _cover(self, guests: Iterable[ReadyGuest], seconds: float, deadline: Deadline) -> None:
        """Keep these guests for a measurement that takes so long, though the run's clock may stand still meanwhile."""
        for guest in guests:
            if not guest.watchdog.lasts(seconds) and not guest.shell.is_in_use:
                with self.consoles.using(guest.shell, deadline):
                    guest.watchdog.cover(seconds)

    def _confirmed(self, measured: Measurement, target: ReadyGuest, deadline: Deadline) -> Measurement:
        """A measurement with losses whose target lives. Raises ``KvLatencyError`` when the guest was the cause.

        The source's console is given back: nobody holds two at a time.
        """
        try:
            with self.consoles.using(target.shell, deadline):
                note = self.measurer.confirm(target, deadline)
        except (CheckupTimeoutError, InterruptedRunError) as error:
            note = untold(target, error.reason)
        return replace(measured, notes=(*measured.notes, note)) if note else measured


def _at_run(error: KvLatencyError) -> KvLatencyError:
    """The error, at the stage where a measurement's time is over."""
    if isinstance(error, CheckupTimeoutError):
        error.stage = "run"
    return error
