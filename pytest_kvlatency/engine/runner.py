"""Plan to measurements: which guests are brought up, shared, measured and let go, and when."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.conductor import Conductor
from pytest_kvlatency.engine.guests import check_distinct, setup_timings
from pytest_kvlatency.engine.lifetime import Keeper
from pytest_kvlatency.engine.measuring import judged, untold
from pytest_kvlatency.engine.steps import Step, guest_words
from pytest_kvlatency.engine.ticket import HAS_ENDED, Ticket
from pytest_kvlatency.errors import CheckupTimeoutError, ConfigError, InterruptedRunError, KvLatencyError
from pytest_kvlatency.guest.profiles import login_words
from pytest_kvlatency.model import Failure, Measurement
from pytest_kvlatency.ping.verdict import samples_needed
from pytest_kvlatency.plan.checks import rounds, vmi_keys
from pytest_kvlatency.shortage import at_once
from pytest_kvlatency.threads import Steward, Threads, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_kvlatency.engine.artifacts import Artifacts
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.measuring import Measurer
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import Check, MeasurementKey, PingParameters
    from pytest_kvlatency.plan.checks import VmiKey

MAX_MEASURING = 500
#: As many consoles as may be open at once.
MAX_BOOTING = 100
CLEANUP_SECONDS = 60.0
EVIDENCE_SECONDS = 5.0
LAST_SECONDS = 1.0
# Whoever stops a run may kill it after 5 s: so long for the terminals of guests that stay, beside all else.
LEAVING_SECONDS = 3.0
SHOWN_ACTIVITIES = 2
#: A measurement that takes so many times its sample, and so many seconds, is late: a warm-up without replies, say.
LATE_FACTOR = 1.5
LATE_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one try at a check: always a measurement, and the error when it could not be made."""

    measurement: Measurement
    error: KvLatencyError | None = None


class Engine:
    """Measures checks: ahead and in rounds what the plan holds, at once what somebody waits for.

    Its threads write nothing and raise nothing out of themselves: what went wrong is in the ``Attempt``.

    The main thread only asks, and waits for futures. A ``holder`` is who asks, such as one attempt at an item: all that
    it has asked for ends when it is released, whatever has become of it until then.
    """

    def __init__(
        self,
        *,
        provisioner: Provisioner,
        measurer: Measurer,
        leftovers: Leftovers,
        artifacts: Artifacts,
        consoles: Consoles,
        deadline: Deadline,
        parallel: int | None,
        occupy: Callable[[Collection[str], Deadline], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._provisioner = provisioner
        #: Keeps other processes from measuring on the same nodes.
        self._occupy = occupy
        self._occupied: dict[Ticket, ExitStack] = {}
        self._measurer = measurer
        self._leftovers = leftovers
        self._artifacts = artifacts
        self._consoles = consoles
        self._deadline = deadline
        self._parallel = parallel
        self._lock = threading.RLock()
        self._steward = Steward("kvlatency-engine")
        # Two pools: measurements wait for guests, so they must not take the threads that bring guests up.
        self._threads = Threads(MAX_MEASURING, "kvlatency-measure")
        self._boot_threads = Threads(at_once(MAX_BOOTING), "kvlatency-guest")
        self._leaving_threads = Threads(MAX_MEASURING, "kvlatency-leave")
        self._leaving_until = math.inf
        self._guests: dict[VmiKey, Future[ReadyGuest]] = {}
        self._users: Counter[VmiKey] = Counter()
        self._planned: Counter[VmiKey] = Counter()
        #: Where guests are up.
        self._nodes: set[str] = set()
        self._conductor: Conductor[Ticket] = Conductor(needs=_needs, parallel=parallel, is_late=_is_late)
        self._ahead: dict[MeasurementKey, Future[Attempt]] = {}
        #: Of checks that share a measurement, one that asks no number of samples: another's limit must not prevent it.
        self._modest: dict[MeasurementKey, Check] = {}
        #: What each holder has asked for, and what wants each guest, as long as it has not ended.
        self._held: defaultdict[object, list[Ticket]] = defaultdict(list)
        self._wanting: defaultdict[VmiKey, set[Ticket]] = defaultdict(set)
        self._activity: dict[str, Step] = {}
        self._is_over = False
        #: Guests whose console nothing has closed for good, whoever has them; None once nothing may be open any more.
        self._open: dict[VmiHandle, ReadyGuest] | None = {}
        self._keeper = Keeper(self._not_measured, consoles)

    def begin(self) -> None:
        """Take up work: what is asked for before waits until then.

        Raises ``ConfigError`` where the threads cannot be had without which nothing goes on.
        """
        for threads in (self._threads, self._boot_threads):
            threads.keep_one()
        self._steward.start()

    @property
    def provisioner(self) -> Provisioner:
        """What makes the guests."""
        return self._provisioner

    def is_refused(self, check: Check) -> bool:
        """Whether no guest is made for a check: no VM could start on one of its nodes when they were read."""
        return self._provisioner.refusal(check) is not None

    def look_again(self, check: Check) -> None:
        """Read the nodes of a check anew: what was wrong with them may be over."""
        self._provisioner.look_again(check, self._deadline)

    def plan(self, checks: Sequence[Check]) -> None:
        """Count the users of each guest, so that it can be deleted after its last one."""
        with self._lock:
            self._users = Counter(key for check in checks for key in vmi_keys(check))
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
        self, check: Check, ping: PingParameters, *, holder: object, confirm: bool
    ) -> Future[Attempt]:
        """Measure with these ping parameters, for a holder that owns the pair already.

        ``confirm`` has the target asked after a loss; else the loss is what the holder wants to see.
        """
        answer: Future[Attempt] = Future()
        wanted = replace(check, ping=ping)
        self._steward.put(partial(self._use, wanted, holder, answer, confirm=confirm), answer=answer)
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
        return [
            f"kvlatency: kept VMI {one}: virtctl console -n {one.namespace} {one.name} "
            f"({self._leftovers.login_of(one)}; to delete it: kubectl delete vmi -n {one.namespace} {one.name})"
            for one in self._leftovers.kept
        ]

    @property
    def left_over(self) -> str:
        """The VMIs that are not known to be gone, in words."""
        return self._leftovers.words

    def save_evidence(self, check: Check) -> None:
        """Write the artifacts of a check's guests that are up; those that never came up have been seen to."""
        if self._artifacts.directory is None:
            return
        with self._lock:
            guests = self._up(self._guests[key] for key in vmi_keys(check) if key in self._guests)
        for guest in guests:
            look = Deadline(EVIDENCE_SECONDS, stop=self._deadline.stop)
            evidence = self._leftovers.evidence(guest.handle, look)
            self._artifacts.keep(guest.handle.name, evidence=evidence, transcript=guest.shell.transcript)

    @property
    def activity(self) -> str:
        """What is being waited for now, in words."""
        with self._lock:
            doing = [f"{what}: {step.how_far}" for what, step in self._activity.items() if step.how_far]
        shown = doing[:SHOWN_ACTIVITIES]
        return "; ".join(
            [*shown, f"and {len(doing) - len(shown)} more"] if len(doing) > len(shown) else shown
        )

    def interrupted(self, check: Check, reason: str) -> Attempt:
        """What is known of a check that a signal has cut off: its guests that are up, and what was going on.

        Whichever thread sees the signal first, and whatever it waited for, this is what comes of the check.
        """
        with self._lock:
            keys = vmi_keys(check)
            step = next(
                (self._activity[what] for what in (check.id, *map(str, keys)) if what in self._activity),
                Step(stage="setup", during="waiting for its turn"),
            )
            futures = [self._guests.get(key) for key in keys]
            source, target = (next(iter(self._up([one] if one else [])), None) for one in futures)
        error = InterruptedRunError(f"{reason} while {step.during}", stage=step.stage)
        return _failed(check, error, source, target)

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
        with self._lock:
            futures = list(self._guests.values())
            self._guests = {}
        self._discard(futures)
        self._leftovers.delete(self._leftovers.outstanding, deadline)
        self._leftovers.wait_gone(deadline)

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once, also of what is being created; nothing is begun afterwards."""
        self._steward.settle(LAST_SECONDS)
        with self._lock:
            self._is_over = True
            self._conductor.forget()
            guests = self._up(self._guests.values())
        self._keeper.close()
        self._leaving_until = time.monotonic() + LEAVING_SECONDS
        self._leave(guest for guest in guests if self._leftovers.is_kept(guest.handle))
        self._leftovers.close(deadline)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all is gone. Raises ``TeardownError``."""
        self._leftovers.wait_gone(deadline)

    def shut_down(self) -> None:
        """Close every console and end the threads; the stop or the deadline has ended their waits before."""
        with self._lock:
            self._is_over = True
        self._steward.end()
        self._keeper.close()
        # One that hangs in a request is left behind: it must not delay the end.
        leaving = max(LAST_SECONDS, min(LEAVING_SECONDS, self._leaving_until - time.monotonic()))
        for threads in (self._leaving_threads, self._boot_threads):
            threads.shut_down(leaving if self._leftovers.kept else LAST_SECONDS)
        with self._lock:
            # Also of guests that came up meanwhile, and of those whose removal has not had its turn.
            still_open, self._open = self._open or {}, None
        for guest in still_open.values():
            guest.shell.close()
        self._threads.shut_down(LAST_SECONDS)

    @staticmethod
    def _up(futures: Iterable[Future[ReadyGuest]]) -> list[ReadyGuest]:
        return [one.result() for one in futures if one.done() and not _is_lost(one)]

    def _close_consoles(self, guests: Iterable[ReadyGuest]) -> None:
        for guest in guests:
            if self._leftovers.is_kept(guest.handle):
                self._leave([guest])
            else:
                guest.shell.close()
                with self._lock:
                    if self._open is not None:
                        self._open.pop(guest.handle, None)

    def _leave(self, guests: Iterable[ReadyGuest]) -> None:
        """Hand guests that stay over to people, in the background."""
        for guest in guests:
            # After the end a terminal stays as it is.
            with suppress(RuntimeError):
                self._leaving_threads.submit(guest.shell.leave, Deadline(LEAVING_SECONDS))

    # --- what was asked for, in the steward's thread

    def _start(self, ahead: Sequence[Check]) -> None:
        planned = [
            [Ticket.of(self._modest.get(check.measurement_key, check), self._deadline) for check in one]
            for one in rounds(ahead, parallel=self._parallel)
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
            self._planned.update(
                key
                for ticket in new
                if not any(one.done() and _is_lost(one) for one in ticket.guests)
                for key in vmi_keys(ticket.check)
            )
            self._conductor.plan([ticket for ticket in tickets if ticket.guests] for tickets in planned)
        self._dispatch()

    def _take_or_measure(self, check: Check, holder: object, answer: Future[Attempt], *, anew: bool) -> None:
        ahead = None if anew else self._ahead.get(check.measurement_key)
        if ahead is None:
            self._ask(Ticket.of(check, self._deadline, measured=answer), holder)
        else:
            _for_limits(ahead, check, answer)

    def _ask(self, ticket: Ticket, holder: object) -> None:
        with self._lock:
            self._held[holder].append(ticket)
            self._bring_up_both(ticket)
            self._conductor.ask(ticket)
        self._dispatch()

    def _use(self, check: Check, holder: object, answer: Future[Attempt], *, confirm: bool) -> None:
        with self._lock:
            ticket = next((one for one in self._held.get(holder, ()) if one.is_owned), None)
            if ticket is None:
                raise ConfigError("the pair cannot be used after its test has ended", stage="run")
            ticket.uses += 1

        def use() -> None:
            try:
                answer.set_result(self._measure(ticket, check, confirm=confirm))
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
            self._users.update(vmi_keys(check))
            for key in vmi_keys(check):
                future = self._guests.get(key)
                if future is not None and future.done() and _is_lost(future):
                    del self._guests[key]
        self._provisioner.ask_again(check)

    def _release(self, holder: object) -> None:
        with self._lock:
            tickets = self._held.pop(holder, [])
        for ticket in tickets:
            self._end(ticket)

    def _let_go(self, check: Check) -> None:
        with self._lock:
            keys = vmi_keys(check)
            self._users.subtract(keys)
            idle = [key for key in dict.fromkeys(keys) if self._users[key] <= 0]
            unwanted = [ticket for key in idle for ticket in self._wanting[key]]
            futures = [self._guests.pop(key) for key in idle if key in self._guests]
        for ticket in unwanted:
            self._end(ticket)
        self._provisioner.forget_pairs(idle)
        self._discard(futures)

    def _keep(self, check: Check) -> None:
        with self._lock:
            guests = self._up(self._guests[key] for key in vmi_keys(check) if key in self._guests)
        for guest in guests:
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
            self._forget(ticket)
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
        refused = self._provisioner.refusal(ticket.check)
        if refused is not None:
            lost: Future[ReadyGuest] = Future()
            lost.set_exception(refused)
            ticket.guests = (lost, lost)
            return
        found = []
        for key in vmi_keys(ticket.check):
            future = self._guests.get(key)
            if future is None:
                future = self._guests[key] = self._boot_threads.submit(self._bring_up, key, ticket.check)
                future.add_done_callback(self._is_up)
            found.append(future)
        ticket.guests = tuple(found)
        for key in vmi_keys(ticket.check):
            self._wanting[key].add(ticket)

    def _forget(self, ticket: Ticket) -> None:
        with self._lock:
            for key in vmi_keys(ticket.check):
                self._wanting[key].discard(ticket)

    def _not_measured(self) -> list[ReadyGuest]:
        """The guests whose time no measurement needs now; a test that owns its guests may leave them idle for long."""
        with self._lock:
            measured = self._conductor.occupied(lambda ticket: not ticket.owns)
            return [one for one in self._up(self._guests.values()) if one.key not in measured]

    def _cover(self, guests: Iterable[ReadyGuest], seconds: float, deadline: Deadline) -> None:
        """Keep these guests for a measurement that takes so long, though the run's clock may stand still meanwhile."""
        for guest in guests:
            if not guest.watchdog.lasts(seconds) and not guest.shell.is_in_use:
                with self._consoles.using(guest.shell, deadline):
                    guest.watchdog.cover(seconds)

    def _is_up(self, future: Future[ReadyGuest]) -> None:
        self._keeper.start()
        up = self._up([future])
        with self._lock:
            self._nodes.update(guest.node for guest in up)
            is_late = self._open is None
            if self._open is not None:
                self._open.update((guest.handle, guest) for guest in up)
        for guest in up if is_late else ():
            guest.shell.close()
        self._dispatch()

    def _discard(self, futures: Iterable[Future[ReadyGuest]]) -> None:
        """Delete guests that nobody needs, in the background; one that is being brought up as soon as that is over."""
        begun = [one for one in futures if not one.cancel()]
        ready = [one for one in begun if one.done()]
        self._remove(self._up(ready))
        for one in begun:
            if one not in ready:
                one.add_done_callback(lambda done: self._remove(self._up([done])))

    def _remove(self, guests: Sequence[ReadyGuest]) -> None:
        handles = [guest.handle for guest in guests]

        def remove() -> None:
            self._close_consoles(guests)
            self._leftovers.delete(handles, Deadline(CLEANUP_SECONDS))

        if self._is_over:
            # Its deletion is the end's to ask for.
            self._close_consoles(guests)
        elif guests:
            self._leftovers.doom(handles)
            self._threads.submit(remove)

    # --- what may start now

    def _dispatch(self) -> None:
        """Start what can start. Called whenever a guest is up, something has ended, or somebody asks."""
        with self._lock:
            started = [] if self._is_over else self._conductor.startable(self._nodes)
        for ticket in started:
            ticket.began_at = time.monotonic()
            self._threads.submit(self._run, ticket)

    # --- in the engine's threads

    def _run(self, ticket: Ticket) -> None:
        if ticket.owns:
            self._hand_over(ticket)
            return
        try:
            ticket.measured.set_result(self._measure_alone(ticket))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            ticket.measured.set_exception(error)
        self._done(ticket)

    def _hand_over(self, ticket: Ticket) -> None:
        try:
            pair = _pair(ticket)
            self._take_nodes(ticket, pair)
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
            held = self._occupied.pop(ticket, None)
            owned = self._up(ticket.guests) if ticket.owns else []
            self._forget(ticket)
            self._conductor.done(ticket)
        for guest in owned:
            guest.watchdog.relax()
        if held is not None:
            held.close()
        self._dispatch()

    def _take_nodes(self, ticket: Ticket, pair: tuple[ReadyGuest, ReadyGuest]) -> None:
        """Have the pair's nodes for this process, until the ticket is done. Raises ``KvLatencyError``."""
        if self._occupy is None:
            return
        waiting = "waiting for its nodes, which another process is using"
        with ExitStack() as held, self._doing(ticket.check.id, "setup", waiting) as say:
            say(waiting)
            held.enter_context(self._occupy([guest.node for guest in pair], ticket.deadline))
            with self._lock:
                self._occupied[ticket] = held.pop_all()

    def _measure_alone(self, ticket: Ticket) -> Attempt:
        if self._occupy is not None:
            try:
                self._take_nodes(ticket, _pair(ticket))
            except KvLatencyError as error:
                return _failed(ticket.check, error)
        return self._measure(ticket, ticket.check)

    def _measure(self, ticket: Ticket, check: Check, *, confirm: bool = True) -> Attempt:
        """Measure ``check`` between the guests of a ticket that may start."""
        try:
            source, target = _pair(ticket)
        except KvLatencyError as error:
            return _failed(check, error)
        deadline = ticket.deadline
        pinging = f"preparing to ping {target.node} from {source.node}"
        with self._doing(check.id, "run", pinging) as say:
            try:
                if source.nad.address_mode == "dhcp":
                    # Where this tool gives the addresses, the plan keeps them apart; every pair would look at all.
                    with self._lock:
                        others = self._up(self._guests.values())
                    check_distinct((source, target), others)
                self._cover((target, source), check.ping.sample_duration_ns / 1e9, deadline)
                with self._consoles.using(source.shell, deadline):
                    measured = self._measurer.measure(
                        check, source, target, deadline, say, look_again=self._last_used(ticket)
                    )
                if measured.has_lost and confirm:
                    say(
                        "checking that the target is alive",
                        during=f"checking that the guest on {target.node} is alive",
                    )
                    measured = self._confirmed(measured, target, deadline)
            except KvLatencyError as error:
                if isinstance(error, CheckupTimeoutError):
                    error.stage = "run"
                return _failed(check, error, source, target)
        return Attempt(measurement=measured)

    def _confirmed(self, measured: Measurement, target: ReadyGuest, deadline: Deadline) -> Measurement:
        """A measurement with losses whose target lives. Raises ``KvLatencyError`` when the guest was the cause.

        The source's console is given back: nobody holds two at a time.
        """
        try:
            with self._consoles.using(target.shell, deadline):
                note = self._measurer.confirm(target, deadline)
        except (CheckupTimeoutError, InterruptedRunError) as error:
            note = untold(target, error.reason)
        return replace(measured, notes=(*measured.notes, note)) if note else measured

    def _last_used(self, ticket: Ticket) -> list[ReadyGuest]:
        """The ticket's guests that nothing planned needs after it."""
        with self._lock:
            keys = vmi_keys(ticket.check)
            self._planned.subtract(keys)
            guests = zip(keys, ticket.guests, strict=True)
            return self._up(future for key, future in guests if self._planned[key] <= 0)

    def _bring_up(self, key: VmiKey, check: Check) -> ReadyGuest:
        with self._doing(str(key), "setup", f"setting up {guest_words(key)}") as say:
            return self._provisioner.bring_up(key, check, self._deadline, say)

    @contextmanager
    def _doing(self, what: str, stage: Stage, during: str) -> Iterator[Say]:
        """Show ``what`` as under way; the function given says how far it is.

        What a signal cuts off stays as it was: that is the reason of what comes of it (``interrupted``).
        """
        stop = self._deadline.stop
        step = Step(stage=stage, during=during)

        def say(how_far: str, *, during: str = "") -> None:
            nonlocal step
            step = replace(step, how_far=how_far, during=during or step.during)
            with self._lock:
                if not stop.is_set():
                    self._activity[what] = step

        with self._lock:
            if not stop.is_set():
                self._activity[what] = step
        try:
            yield say
        finally:
            with self._lock:
                if not stop.is_set():
                    self._activity.pop(what, None)


def _is_lost(future: Future[ReadyGuest]) -> bool:
    """Whether a guest did not come up."""
    return future.cancelled() or future.exception() is not None


def _needs(ticket: Ticket) -> frozenset[object] | None:
    """The guests and nodes that a ticket occupies; None while a guest is not up.

    A ticket whose guest will never be up occupies nothing: it ends at once, with the cause.
    """
    done = [one for one in ticket.guests if one.done()]
    if any(_is_lost(one) for one in done):
        return frozenset()
    if len(done) < len(ticket.guests):
        return None
    return frozenset((*vmi_keys(ticket.check), *(one.result().node for one in done)))


def _pair(ticket: Ticket) -> tuple[ReadyGuest, ReadyGuest]:
    """Both guests of a ticket that may start: they are up, or the cause is known."""
    for future in ticket.guests:
        if future.done():
            result_of(future)
    source, target = (future.result() for future in ticket.guests)
    return source, target


def _is_late(ticket: Ticket) -> bool:
    """Whether nobody can tell how long a ticket still runs: its owner is a test, or it takes longer than it should."""
    expected = LATE_FACTOR * ticket.check.ping.sample_duration_ns / 1e9 + LATE_SECONDS
    return ticket.owns or 0.0 < ticket.began_at < time.monotonic() - expected


def _for_limits(
    ahead: Future[Attempt], check: Check, answer: Future[Attempt] | None = None
) -> Future[Attempt]:
    """What was measured ahead, judged by this check's own limits; given to ``answer``, if there is one."""
    mine: Future[Attempt] = Future() if answer is None else answer

    def hand_on(done: Future[Attempt]) -> None:
        try:
            attempt = result_of(done)
            if attempt.error is None:
                attempt = _judged(attempt, check)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            mine.set_exception(error)
        else:
            mine.set_result(attempt)

    ahead.add_done_callback(hand_on)
    return mine


def _judged(attempt: Attempt, check: Check) -> Attempt:
    """The same attempt for a check with limits of its own, by which it may be no measurement."""
    try:
        return replace(attempt, measurement=judged(attempt.measurement, check))
    except KvLatencyError as error:
        measurement = replace(attempt.measurement, check=check, result=None, failures=(_failure_of(error),))
        return Attempt(measurement=measurement, error=error)


def _failed(
    check: Check, error: KvLatencyError, source: ReadyGuest | None = None, target: ReadyGuest | None = None
) -> Attempt:
    """A measurement without numbers, with what is known of its guests."""
    measurement = Measurement(
        check=check,
        binding=None if source is None else source.nad.binding,
        source=None if source is None else source.facts,
        target=None if target is None else target.facts,
        failures=(_failure_of(error),),
        timings=setup_timings(source, target),
    )
    return Attempt(measurement=measurement, error=error)


def _failure_of(error: KvLatencyError) -> Failure:
    return Failure(
        kind=error.kind,
        stage=error.stage,
        reason=error.reason,
        hint=error.hint,
        transcript=error.transcript,
    )
