"""What the main thread asks of a run's guests and measurements, and what it can see of them."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.attempts import Attempt, failed
from pytest_kvlatency.engine.departures import LAST_SECONDS
from pytest_kvlatency.engine.ticket import Ticket
from pytest_kvlatency.errors import InterruptedRunError
from pytest_kvlatency.guest.profiles import login_words
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.threads import Steward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.activity import Activity
    from pytest_kvlatency.engine.claims import Claims
    from pytest_kvlatency.engine.dispatcher import Dispatcher
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.engine.whereabouts import Whereabouts
    from pytest_kvlatency.model import Check, Measurement, PingParameters


@dataclass(kw_only=True, eq=False)
class Engine:
    """Measures checks: ahead and in rounds what the plan holds, at once what somebody waits for.

    Its threads write nothing and raise nothing out of themselves: what went wrong is in the ``Attempt``.

    The main thread only asks, and waits for futures. A ``holder`` is who asks, such as one attempt at an item: all that
    it has asked for ends when it is released, whatever has become of it until then.
    """

    dispatcher: Dispatcher
    claims: Claims
    #: What makes the guests.
    provisioner: Provisioner
    #: The VMIs that are to go, and those that are left on purpose.
    leftovers: Leftovers
    #: What is being waited for now.
    activity: Activity
    whereabouts: Whereabouts
    deadline: Deadline

    def __post_init__(self) -> None:
        #: How far what is measured in rounds is.
        self.pace = self.dispatcher.pace
        self._steward = Steward("kvlatency-engine")

    def begin(self) -> None:
        """Take up work: what is asked for before waits until then.

        Raises ``ConfigError`` where the threads cannot be had without which nothing goes on.
        """
        self.dispatcher.begin()
        self._steward.start()

    def is_refused(self, check: Check) -> bool:
        """Whether no guest is made for a check: no VM could start on one of its nodes when they were read."""
        return self.provisioner.site.refusal(check) is not None

    def look_again(self, check: Check) -> None:
        """Read the nodes of a check anew: what was wrong with them may be over."""
        self.provisioner.site.look_again(check, self.deadline)

    def plan(self, checks: Sequence[Check]) -> None:
        """Count the users of each guest, so that it can be deleted after its last one."""
        self.claims.plan(checks)
        self.dispatcher.plan_tests(checks)

    def start(self, ahead: Sequence[Check]) -> None:
        """Bring up the guests of these checks and measure them without being asked; equal measurements once."""
        self._steward.put(partial(self.claims.start, ahead))

    def measure(self, check: Check, *, holder: object, anew: bool = False) -> Future[Attempt]:
        """Measure ``check``, or, unless ``anew``, take what was measured ahead."""
        answer: Future[Attempt] = Future()
        self._steward.put(partial(self.claims.measure, check, holder, answer, anew=anew), answer=answer)
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
        use = partial(self.claims.use, wanted, holder, answer, confirm=confirm, moves=moves)
        self._steward.put(use, answer=answer)
        return answer

    def take_again(self, check: Check) -> None:
        """Count one user more than planned (a rerun): it is measured anew, and so are guests that did not come up."""
        self._steward.put(partial(self.claims.take_again, check))

    def own(self, check: Check, *, holder: object) -> Future[tuple[ReadyGuest, ReadyGuest]]:
        """Bring both guests up and own them until the holder is released."""
        ticket = Ticket.of(check, self.deadline, owns=True)
        self._steward.put(partial(self.claims.ask, ticket, holder), answer=ticket.owned)
        return ticket.owned

    def release(self, holder: object) -> None:
        """End all that a holder has asked for: guests are given back, what waits is dropped, what runs is stopped.

        Whatever the owner did on the guests' consoles is cleaned up by the next user.
        """
        self._steward.put(partial(self.claims.release, holder))

    def let_go(self, check: Check) -> None:
        """Say that one user of the check's guests is done; a guest without users is deleted, in the background."""
        self._steward.put(partial(self.dispatcher.end_test, check))

    def keep(self, check: Check) -> None:
        """Leave this check's VMIs in the cluster when the run ends."""
        self._steward.put(partial(self._keep, check))

    def _keep(self, check: Check) -> None:
        for guest in filter(None, self.dispatcher.guests_of(check)):
            self.leftovers.keep([guest.handle], login=login_words(guest.profile))

    def save_evidence(self, check: Check) -> None:
        """Write the artifacts of a check's guests that are up; those that never came up have been seen to."""
        for guest in filter(None, self.dispatcher.guests_of(check)):
            self.provisioner.save_evidence(guest.handle, guest.shell, stop=self.deadline.stop)

    def interrupted(self, check: Check, reason: str, measured: Measurement | None = None) -> Attempt:
        """What is known of a check that a signal has cut off: its guests that are up, and what was going on.

        Whichever thread sees the signal first, and whatever it waited for, this is what comes of the check; with the
        numbers that were ``measured`` until then, if there are any.
        """
        step = self.activity.step_of((check.id, *map(str, vmi_keys(check))))
        source, target = self.dispatcher.guests_of(check)
        error = InterruptedRunError(f"{reason} while {step.during}", stage=step.stage, summary=reason)
        error.pair_nodes = self.whereabouts.of(check)
        attempt = failed(check, error, source, target)
        if measured is None or measured.result is None:
            return attempt
        return replace(attempt, measurement=replace(measured, failures=attempt.measurement.failures))

    def delete_seconds(self, measurement: Measurement) -> float | None:
        """How long the deletion of a measurement's VMIs took, the longer of both; None when that is not known."""
        ends = [end for end in (measurement.source, measurement.target) if end is not None]
        took = [self.leftovers.delete_seconds(end.vmi_name) for end in ends]
        return max((seconds for seconds in took if seconds is not None), default=None)

    def remove_all(self, deadline: Deadline) -> None:
        """Delete every guest and wait until all are gone; guests can be brought up again afterwards.

        Raises ``TeardownError``.
        """
        self._steward.settle(LAST_SECONDS)
        self.dispatcher.discard_all()
        self.leftovers.delete(self.leftovers.outstanding, deadline)
        self.leftovers.wait_gone(deadline)

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once, also of what is being created; nothing is begun afterwards."""
        self._steward.settle(LAST_SECONDS)
        self.dispatcher.stop()
        self.leftovers.close(deadline)

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Close every console and end the threads; the stop or the deadline has ended their waits before.

        ``hurries`` says whether guests that are kept get less time for their consoles.
        """
        self._steward.end()
        self.dispatcher.shut_down(hurries)
