"""Plan to measurements: which guests are brought up, shared, measured and let go, and when."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.activity import Activity
from pytest_kvlatency.engine.attempts import Attempt, failed, for_limits
from pytest_kvlatency.engine.conductor import Conductor
from pytest_kvlatency.engine.demand import Demand
from pytest_kvlatency.engine.departures import LAST_SECONDS, Departures
from pytest_kvlatency.engine.fleet import Fleet
from pytest_kvlatency.engine.guests import is_lost, those_up, those_up_or_none
from pytest_kvlatency.engine.keeper import Keeper
from pytest_kvlatency.engine.occupancy import Occupancy
from pytest_kvlatency.engine.pace import Pace
from pytest_kvlatency.engine.steps import guest_place, guest_words
from pytest_kvlatency.engine.ticket import HAS_ENDED, Ticket
from pytest_kvlatency.engine.trials import Trials
from pytest_kvlatency.errors import ConfigError, InterruptedRunError, KvLatencyError
from pytest_kvlatency.guest.profiles import login_words
from pytest_kvlatency.ping.verdict import samples_needed
from pytest_kvlatency.plan.checks import rounds, vmi_keys
from pytest_kvlatency.plan.moves import is_open
from pytest_kvlatency.threads import Steward, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.engine.artifacts import Artifacts
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.measuring import Measurer
    from pytest_kvlatency.engine.occupancy import Occupy
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.engine.whereabouts import Whereabouts
    from pytest_kvlatency.model import Check, Measurement, MeasurementKey, PingParameters
    from pytest_kvlatency.plan.checks import VmiKey

MAX_MEASURING = 500
EVIDENCE_SECONDS = 5.0


class Engine:
    """Measures checks: ahead and in rounds what the plan holds, at once what somebody waits for.

    Its threads write nothing and raise nothing out of themselves: what went wrong is in the ``Attempt``.

    The main thread only asks, and waits for futures. A ``holder`` is who asks, such as one attempt at an item: all that
    it has asked for ends when it is released, whatever has become of it until then.
    ``on_measured`` is told what was measured ahead, at once, by the thread that measured it.
    """

    def __init__(
        self,
        *,
        provisioner: Provisioner,
        measurer: Measurer,
        leftovers: Leftovers,
        artifacts: Artifacts,
        consoles: Consoles,
        whereabouts: Whereabouts,
        deadline: Deadline,
        parallel: int | None,
        occupy: Occupy | None = None,
        on_measured: Callable[[Attempt], None] = lambda _: None,
    ) -> None:
        self._provisioner = provisioner
        self._leftovers = leftovers
        self._artifacts = artifacts
        self._whereabouts = whereabouts
        self._deadline = deadline
        self._parallel = parallel
        self._on_measured = on_measured
        self._lock = threading.RLock()
        self._steward = Steward("kvlatency-engine")
        # Not the fleet's: measurements wait for guests, so they must not take the threads that bring guests up.
        self._threads = Threads(MAX_MEASURING, "kvlatency-measure")
        self._activity = Activity(deadline.stop)
        self._pace = Pace(parallel)
        self._demand = Demand()
        self._conductor: Conductor[Ticket] = Conductor(
            needs=self._needs, parallel=parallel, is_late=lambda ticket: ticket.is_late
        )
        self._fleet = Fleet(self._bring_up, on_end=self._guest_ended)
        self._departures = Departures(leftovers, self._threads)
        self._keeper = Keeper(self._not_measured, consoles)
        self._occupancy = Occupancy(occupy, self._activity)
        self._trials = Trials(
            measurer, consoles, self._activity, guests=self._fleet.up, last_used=self._last_used
        )
        self._ahead: dict[MeasurementKey, Future[Attempt]] = {}
        #: Of checks that share a measurement, one that asks no number of samples: another's limit must not prevent it.
        self._modest: dict[MeasurementKey, Check] = {}
        #: What each holder has asked for, as long as it has not ended.
        self._held: defaultdict[object, list[Ticket]] = defaultdict(list)
        self._is_over = False

    def begin(self) -> None:
        """Take up work: what is asked for before waits until then.

        Raises ``ConfigError`` where the threads cannot be had without which nothing goes on.
        """
        self._threads.keep_one()
        self._fleet.keep_one()
        self._steward.start()

    @property
    def provisioner(self) -> Provisioner:
        """What makes the guests."""
        return self._provisioner

    def is_refused(self, check: Check) -> bool:
        """Whether no guest is made for a check: no VM could start on one of its nodes when they were read."""
        return self._provisioner.site.refusal(check) is not None

    def look_again(self, check: Check) -> None:
        """Read the nodes of a check anew: what was wrong with them may be over."""
        self._provisioner.site.look_again(check, self._deadline)

    def plan(self, checks: Sequence[Check]) -> None:
        """Count the users of each guest, so that it can be deleted after its last one."""
        with self._lock:
            self._demand.plan(checks)
            self._modest = {
                check.measurement_key: check for check in checks if samples_needed(check.limits) == 1
            }

    def start(self, ahead: Sequence[Check]) -> None:
        """Bring up the guests of these checks and measure them without being asked; equal measurements once."""
        self._steward.put(partial(self._start, ahead))

    def measure(self, check: Check, *, holder: object, anew: bool = False) -> Future[Attempt]:
        """Measure ``check``, or, unless ``anew``, take what was measured ahead."""
        answer: Future[Attempt] = Future()
        self._steward.put(partial(self._take_or_measure, check, holder, answer, anew=anew), answer=answer)
        return answer

    def measure_owned(
        self, check: Check, ping: PingParameters, *, holder: object, confirm: bool, moves: bool = True
    ) -> Future[Attempt]:
        """Measure with these ping parameters, for a holder that owns the pair already.

        ``confirm`` has the target asked after a loss; else the loss is what the holder wants to see. Without ``moves``
        no guest migrates: it is measured where it is.
        """
        answer: Future[Attempt] = Future()
        wanted = replace(check, ping=ping)
        use = partial(self._use, wanted, holder, answer, confirm=confirm, moves=moves)
        self._steward.put(use, answer=answer)
        return answer

    def take_again(self, check: Check) -> None:
        """Count one user more than planned (a rerun): it is measured anew, and so are guests that did not come up."""
        self._steward.put(partial(self._take_again, check))

    def own(self, check: Check, *, holder: object) -> Future[tuple[ReadyGuest, ReadyGuest]]:
        """Bring both guests up and own them until the holder is released."""
        ticket = Ticket.of(check, self._deadline, owns=True)
        self._steward.put(partial(self._ask, ticket, holder), answer=ticket.owned)
        return ticket.owned

    def release(self, holder: object) -> None:
        """End all that a holder has asked for: guests are given back, what waits is dropped, what runs is stopped.

        Whatever the owner did on the guests' consoles is cleaned up by the next user.
        """
        self._steward.put(partial(self._release, holder))

    def let_go(self, check: Check) -> None:
        """Say that one user of the check's guests is done; a guest without users is deleted, in the background."""
        self._steward.put(partial(self._let_go, check))

    def keep(self, check: Check) -> None:
        """Leave this check's VMIs in the cluster when the run ends."""
        self._steward.put(partial(self._keep, check))

    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that are left on purpose, a line each."""
        return self._leftovers.kept_lines()

    @property
    def left_over(self) -> str:
        """The VMIs that are not known to be gone, in words."""
        return self._leftovers.words

    def save_evidence(self, check: Check) -> None:
        """Write the artifacts of a check's guests that are up; those that never came up have been seen to."""
        if self._artifacts.directory is None:
            return
        for guest in filter(None, self._fleet.of(check)):
            look = Deadline(EVIDENCE_SECONDS, stop=self._deadline.stop)
            evidence = self._leftovers.evidence(guest.handle, look)
            self._artifacts.keep(guest.handle.name, evidence=evidence, transcript=guest.shell.transcript)

    @property
    def activity(self) -> str:
        """What is being waited for now, in words."""
        return self._activity.words

    @property
    def waits(self) -> list[Wait]:
        """What is being waited for now, for the progress line."""
        return self._activity.waits

    @property
    def round(self) -> tuple[int, int] | None:
        """The first round that is not over, and how many there are; None where nothing is measured in rounds."""
        return self._pace.round

    @property
    def seconds_left(self) -> float | None:
        """How long what is measured in rounds still takes; 0 when none is left, None while that cannot be said."""
        return self._pace.seconds_left

    def interrupted(self, check: Check, reason: str) -> Attempt:
        """What is known of a check that a signal has cut off: its guests that are up, and what was going on.

        Whichever thread sees the signal first, and whatever it waited for, this is what comes of the check.
        """
        step = self._activity.step_of((check.id, *map(str, vmi_keys(check))))
        source, target = self._fleet.of(check)
        error = InterruptedRunError(f"{reason} while {step.during}", stage=step.stage, summary=reason)
        error.pair_nodes = self._whereabouts.of(check)
        return failed(check, error, source, target)

    def delete_seconds(self, measurement: Measurement) -> float | None:
        """How long the deletion of a measurement's VMIs took, the longer of both; None when that is not known."""
        ends = [end for end in (measurement.source, measurement.target) if end is not None]
        took = [self._leftovers.delete_seconds(end.vmi_name) for end in ends]
        return max((seconds for seconds in took if seconds is not None), default=None)

    @property
    def is_clean(self) -> bool:
        """Whether no VMI is in the cluster, or about to be, that is to go."""
        return self._leftovers.is_clean

    def remove_all(self, deadline: Deadline) -> None:
        """Delete every guest and wait until all are gone; guests can be brought up again afterwards.

        Raises ``TeardownError``.
        """
        self._steward.settle(LAST_SECONDS)
        self._departures.discard(self._fleet.take_all())
        self._leftovers.delete(self._leftovers.outstanding, deadline)
        self._leftovers.wait_gone(deadline)

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once, also of what is being created; nothing is begun afterwards."""
        self._steward.settle(LAST_SECONDS)
        with self._lock:
            self._is_over = True
            self._departures.close()
            self._conductor.forget()
        self._keeper.close()
        self._departures.leave_kept(self._fleet.up())
        self._leftovers.close(deadline)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all is gone. Raises ``TeardownError``."""
        self._leftovers.wait_gone(deadline)

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Close every console and end the threads; the stop or the deadline has ended their waits before.

        ``hurries`` says whether guests that are kept get less time for their consoles.
        """
        with self._lock:
            self._is_over = True
            self._departures.close()
        self._steward.end()
        self._keeper.close()
        # One that hangs in a request is left behind: it must not delay the end.
        self._departures.shut_down(hurries)
        self._fleet.shut_down(max(LAST_SECONDS, self._departures.patience_seconds(hurries=hurries())))
        self._departures.close_consoles()
        self._threads.shut_down(LAST_SECONDS)

    # --- what was asked for, in the steward's thread

    def _start(self, ahead: Sequence[Check]) -> None:
        planned = [
            [
                Ticket.of(self._modest.get(check.measurement_key, check), self._deadline, number=number)
                for check in one
            ]
            for number, one in enumerate(rounds(ahead, parallel=self._parallel), start=1)
        ]
        with self._lock:
            new = [
                ticket
                for tickets in planned
                for ticket in tickets
                if self._ahead.setdefault(ticket.check.measurement_key, ticket.measured) is ticket.measured
            ]
            try:
                # All of them before the first may start: what has become of one guest says nothing of another.
                for ticket in new:
                    self._bring_up_both(ticket)
            except BaseException:
                # They are measured when somebody asks, and get their cause then.
                for ticket in new:
                    del self._ahead[ticket.check.measurement_key]
                raise
            for ticket in new:
                if not any(one.done() and is_lost(one) for one in ticket.guests):
                    self._demand.add_measurement(ticket.check)
            whole = [[ticket for ticket in tickets if ticket.guests] for tickets in planned]
            self._pace.plan(whole)
            self._conductor.plan(whole)
        self._dispatch()

    def _take_or_measure(self, check: Check, holder: object, answer: Future[Attempt], *, anew: bool) -> None:
        ahead = None if anew else self._ahead.get(check.measurement_key)
        if ahead is None:
            self._ask(Ticket.of(check, self._deadline, measured=answer), holder)
        else:
            for_limits(ahead, check, answer)

    def _ask(self, ticket: Ticket, holder: object) -> None:
        with self._lock:
            self._held[holder].append(ticket)
            self._bring_up_both(ticket)
            self._conductor.ask(ticket)
        self._dispatch()

    def _use(
        self, check: Check, holder: object, answer: Future[Attempt], *, confirm: bool, moves: bool
    ) -> None:
        with self._lock:
            ticket = next((one for one in self._held.get(holder, ()) if one.is_owned), None)
            if ticket is None:
                raise ConfigError("the pair cannot be used after its test has ended", stage="run")
            check = ticket.as_it_is(check, moves=moves)
            ticket.uses += 1

        def use() -> None:
            try:
                answer.set_result(self._trials.measure(ticket, check, confirm=confirm))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
                answer.set_exception(error)
            self._used(ticket)

        try:
            self._threads.submit(use)
        except BaseException:
            self._used(ticket)
            raise

    def _take_again(self, check: Check) -> None:
        with self._lock:
            self._ahead.pop(check.measurement_key, None)
            self._demand.add_test(check)
            self._fleet.forget_lost(check)
        self._provisioner.site.ask_again(check)

    def _release(self, holder: object) -> None:
        with self._lock:
            tickets = self._held.pop(holder, [])
        for ticket in tickets:
            self._end(ticket)

    def _let_go(self, check: Check) -> None:
        with self._lock:
            idle = self._demand.end_test(check)
            unwanted = self._demand.tickets_for(idle)
            futures = self._fleet.take(idle)
        for ticket in unwanted:
            self._end(ticket)
        self._provisioner.forget_pairs(idle)
        self._departures.discard(futures)

    def _keep(self, check: Check) -> None:
        for guest in filter(None, self._fleet.of(check)):
            self._leftovers.keep([guest.handle], login=login_words(guest.profile))

    def _end(self, ticket: Ticket) -> None:
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
            self._pace.ended(ticket)
            ticket.answer.cancel()
        elif is_idle:
            self._done(ticket)
        else:
            ticket.stop.set(HAS_ENDED)

    def _used(self, ticket: Ticket) -> None:
        with self._lock:
            ticket.uses -= 1
            is_over = ticket.has_ended and not ticket.uses
        if is_over:
            self._done(ticket)

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
            self._pace.began(ticket)
            self._threads.submit(self._run, ticket)

    # --- in the engine's threads

    def _run(self, ticket: Ticket) -> None:
        if ticket.owns:
            self._hand_over(ticket)
            return
        try:
            attempt = self._measure_alone(ticket)
            if self._pace.ended(ticket, has_numbers=attempt.error is None):
                self._on_measured(attempt)
            ticket.measured.set_result(attempt)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            ticket.measured.set_exception(error)
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
            return failed(ticket.check, error, *those_up_or_none(ticket.guests))
        return self._trials.measure(ticket, ticket.check)
