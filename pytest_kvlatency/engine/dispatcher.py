"""Tickets get their guests and start: at every change all that can start does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.attempts import Attempt, failed
from pytest_kvlatency.engine.conductor import Conductor
from pytest_kvlatency.engine.demand import Demand
from pytest_kvlatency.engine.departures import LAST_SECONDS, Departures
from pytest_kvlatency.engine.fleet import Fleet
from pytest_kvlatency.engine.guests import is_lost, those_up, up_or_none
from pytest_kvlatency.engine.keeper import Keeper
from pytest_kvlatency.engine.occupancy import Occupancy
from pytest_kvlatency.engine.pace import Pace
from pytest_kvlatency.engine.steps import guest_place, guest_words
from pytest_kvlatency.engine.ticket import HAS_ENDED, Ticket
from pytest_kvlatency.engine.trials import Trials
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.plan.moves import is_open
from pytest_kvlatency.threads import Threads, fulfil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.activity import Activity
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.measuring import Measurer
    from pytest_kvlatency.engine.occupancy import Occupy
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.engine.whereabouts import Whereabouts
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey

MAX_MEASURING = 500


class Dispatcher:
    """Has the guests of tickets brought up, starts each ticket as soon as it may, deletes guests that none needs.

    Thread-safe: what is asked for comes from one thread, and what has become of it from those that did it.
    ``on_measured`` is told what was measured ahead, at once, by the thread that measured it.
    """

    def __init__(
        self,
        *,
        provisioner: Provisioner,
        measurer: Measurer,
        leftovers: Leftovers,
        consoles: Consoles,
        whereabouts: Whereabouts,
        activity: Activity,
        deadline: Deadline,
        parallel: int | None,
        occupy: Occupy | None = None,
        on_measured: Callable[[Attempt], None] = lambda _: None,
    ) -> None:
        self._provisioner = provisioner
        self._whereabouts = whereabouts
        self._activity = activity
        self._deadline = deadline
        self._on_measured = on_measured
        self._lock = threading.RLock()
        # Not the fleet's: measurements wait for guests, so they must not take the threads that bring guests up.
        self._threads = Threads(MAX_MEASURING, "kvlatency-measure")
        #: How far the planned rounds are.
        self.pace = Pace(parallel)
        self._demand = Demand()
        self._conductor: Conductor[Ticket] = Conductor(
            needs=self._needs, parallel=parallel, is_late=lambda ticket: ticket.is_late
        )
        self._fleet = Fleet(self._bring_up, on_end=self._guest_ended)
        self._departures = Departures(leftovers, self._threads)
        self._keeper = Keeper(self._not_measured, consoles)
        self._occupancy = Occupancy(occupy, activity)
        self._trials = Trials(
            measurer=measurer,
            consoles=consoles,
            activity=activity,
            guests=self._fleet.up,
            last_used=self._last_used,
        )
        self._is_over = False

    def begin(self) -> None:
        """Have the threads without which nothing goes on. Raises ``ConfigError`` where there are none."""
        self._threads.keep_one()
        self._fleet.keep_one()

    def guests_of(self, check: Check) -> list[ReadyGuest | None]:
        """The guests of a check, as far as they are up."""
        return self._fleet.of(check)

    # --- the tests that use guests

    def plan_tests(self, checks: Iterable[Check]) -> None:
        """Count the tests that will use each guest, so that it can be deleted after its last one."""
        with self._lock:
            self._demand.plan(checks)

    def add_test(self, check: Check) -> None:
        """Count one test more than planned; those of its guests that did not come up are made anew."""
        with self._lock:
            self._demand.add_test(check)
            self._fleet.forget_lost(check)
        self._provisioner.site.ask_again(check)

    def end_test(self, check: Check) -> None:
        """Count one test less; a guest that none needs any more is deleted, in the background."""
        with self._lock:
            idle = self._demand.end_test(check)
            unwanted = self._demand.tickets_for(idle)
            futures = self._fleet.take(idle)
        for ticket in unwanted:
            self.end(ticket)
        self._provisioner.forget_pairs(idle)
        self._departures.discard(futures)

    # --- tickets, from the first to the last that is heard of them

    def plan(self, rounds: Sequence[Sequence[Ticket]]) -> None:
        """Take tickets to be measured ahead, in the order of their rounds."""
        new = [ticket for one in rounds for ticket in one]
        with self._lock:
            # All of them before the first may start: what has become of one guest says nothing of another.
            for ticket in new:
                self._bring_up_both(ticket)
            for ticket in new:
                if not any(one.done() and is_lost(one) for one in ticket.guests):
                    self._demand.add_measurement(ticket.check)
            self.pace.plan(rounds)
            self._conductor.plan(rounds)
        self._dispatch()

    def ask(self, ticket: Ticket) -> None:
        """Take a ticket that somebody waits for: it goes before all that is planned."""
        with self._lock:
            self._bring_up_both(ticket)
            self._conductor.ask(ticket)
        self._dispatch()

    def use(self, ticket: Ticket, check: Check, answer: Future[Attempt], *, confirm: bool) -> None:
        """Measure ``check`` between the guests that a ticket owns; it is not over before this has ended."""
        with self._lock:
            ticket.uses += 1

        def use() -> None:
            fulfil(answer, lambda: self._trials.measure(ticket, check, confirm=confirm))
            self._used(ticket)

        try:
            self._threads.submit(use)
        except BaseException:
            self._used(ticket)
            raise

    def _used(self, ticket: Ticket) -> None:
        with self._lock:
            ticket.uses -= 1
            is_over = ticket.has_ended and not ticket.uses
        if is_over:
            self._done(ticket)

    def end(self, ticket: Ticket) -> None:
        """Nobody wants the ticket any more: one that runs is stopped, and then frees what it holds by itself."""
        with self._lock:
            if ticket.has_ended:
                return
            ticket.has_ended = True
            has_not_started = self._conductor.drop(ticket)
            is_idle = ticket.is_owned and not ticket.uses
            ticket.is_owned = False
            if has_not_started:
                self._demand.end_ticket(ticket)
        if has_not_started:
            self.pace.ended(ticket)
            ticket.answer.cancel()
        elif is_idle:
            self._done(ticket)
        else:
            ticket.stop.set(HAS_ENDED)

    # --- the end

    def discard_all(self) -> None:
        """Delete every guest, in the background."""
        self._departures.discard(self._fleet.take_all())

    def stop(self) -> None:
        """Start and delete nothing more, and hand the guests that stay over to people."""
        with self._lock:
            self._close()
            self._conductor.forget()
        self._keeper.close()
        self._departures.leave_kept(self._fleet.up())

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Close every console and end the threads. ``hurries`` says whether guests that stay get less time."""
        self._close()
        self._keeper.close()
        # One that hangs in a request is left behind: it must not delay the end.
        self._departures.shut_down(hurries)
        self._fleet.shut_down(max(LAST_SECONDS, self._departures.patience_seconds(hurries=hurries())))
        self._departures.close_consoles()
        self._threads.shut_down(LAST_SECONDS)

    def _close(self) -> None:
        with self._lock:
            self._is_over = True
            self._departures.close()

    # --- guests

    def _bring_up_both(self, ticket: Ticket) -> None:
        """Have both guests brought up, unless they are or are being so. The lock is held.

        Neither is, where it is known that one cannot be: the other would be made for nothing.
        """
        ticket.pair_nodes = partial(self._whereabouts.of, ticket.check)
        refused = self._provisioner.site.refusal(ticket.check)
        if refused is not None:
            lost: Future[ReadyGuest] = Future()
            lost.set_exception(refused)
            ticket.guests = (lost, lost)
            return
        ticket.guests = self._fleet.both(ticket.check)
        self._demand.add_ticket(ticket)
        self._discard_former(ticket)

    def _discard_former(self, ticket: Ticket) -> None:
        """Delete those guests of the ticket's keys that have migrated for others, once these are done."""
        with self._lock:
            keys = [key for key in vmi_keys(ticket.check) if key.journey]
            held = {one for other in self._demand.tickets_for(keys) for one in other.guests}
            former = self._fleet.take_former(keys, held)
        self._departures.discard(former)

    def _bring_up(self, key: VmiKey, check: Check) -> ReadyGuest:
        during = f"setting up {guest_words(key)}"
        with self._activity.doing(str(key), "setup", during, who=guest_place(key)) as say:
            return self._provisioner.bring_up(key, check, self._deadline, say)

    def _guest_ended(self, up: Sequence[ReadyGuest]) -> None:
        """Go on with what a guest was waited for: it is up, or lost."""
        self._keeper.start()
        self._departures.expect(up)
        self._dispatch()

    def _not_measured(self) -> list[ReadyGuest]:
        """The guests whose time no measurement needs now; a test that owns its guests may leave them idle for long."""
        with self._lock:
            measured = self._conductor.occupied(lambda ticket: not ticket.owns)
            return [one for one in self._fleet.up() if one.key not in measured]

    def _last_used(self, ticket: Ticket) -> list[ReadyGuest]:
        """The ticket's guests that nothing planned needs after its measurement, which begins now."""
        with self._lock:
            is_last = self._demand.begin_measurement(ticket.check)
        return those_up(future for future, last in zip(ticket.guests, is_last, strict=True) if last)

    # --- what may start now

    def _needs(self, ticket: Ticket) -> frozenset[object] | None:
        """What a ticket occupies: every node where there are guests, if one of its own may migrate to any."""
        needed = ticket.needs
        return needed | self._fleet.nodes if needed and is_open(ticket.check) else needed

    def _dispatch(self) -> None:
        """Start what can start. Called whenever a guest is up, something has ended, or somebody asks."""
        with self._lock:
            started = [] if self._is_over else self._conductor.startable(self._fleet.nodes)
        for ticket in started:
            ticket.began_at = time.monotonic()
            self.pace.began(ticket)
            self._threads.submit(self._run, ticket)

    # --- in the threads that measure

    def _run(self, ticket: Ticket) -> None:
        if ticket.owns:
            self._hand_over(ticket)
            return
        fulfil(ticket.measured, lambda: self._measure_alone(ticket))
        self._done(ticket)

    def _hand_over(self, ticket: Ticket) -> None:
        try:
            pair = ticket.pair()
            self._occupancy.take(ticket)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            self._done(ticket)
            ticket.owned.set_exception(error)
            return
        with self._lock:
            ticket.is_owned = not ticket.has_ended
            is_unwanted = ticket.has_ended
        if is_unwanted:
            self._done(ticket)
        ticket.owned.set_result(pair)

    def _done(self, ticket: Ticket) -> None:
        with self._lock:
            ticket.has_ended = True
            self._demand.end_ticket(ticket)
            self._conductor.done(ticket)
        self._discard_former(ticket)
        for guest in those_up(ticket.guests) if ticket.owns else ():
            guest.watchdog.relax()
        self._occupancy.give_back(ticket)
        self._dispatch()

    def _measure_alone(self, ticket: Ticket) -> Attempt:
        try:
            self._occupancy.take(ticket)
        except KvLatencyError as error:
            attempt = failed(ticket.check, error, *map(up_or_none, ticket.guests))
        else:
            attempt = self._trials.measure(ticket, ticket.check)
        if self.pace.ended(ticket, has_numbers=attempt.error is None):
            self._on_measured(attempt)
        return attempt
