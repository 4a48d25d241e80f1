"""Plan to measurements: which guests are brought up, shared, measured and let go, and when."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.guests import setup_timings
from pytest_kvlatency.engine.ownership import Ownership
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.model import Failure, Measurement
from pytest_kvlatency.plan import vmi_keys
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from pytest_kvlatency.artifacts import Artifacts
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.measuring import Measurer
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.model import Check, PingParameters
    from pytest_kvlatency.plan import VmiKey

MAX_THREADS = 32
CLEANUP_SECONDS = 60.0
EVIDENCE_SECONDS = 5.0
LAST_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one try at a check: always a measurement, and the error when it could not be made."""

    measurement: Measurement
    error: KvLatencyError | None = None


class Engine:
    """Measures checks, one at a time or several, in threads of its own.

    Its threads write nothing and raise nothing out of themselves: what went wrong is in the ``Attempt``.
    """

    def __init__(
        self,
        *,
        provisioner: Provisioner,
        measurer: Measurer,
        leftovers: Leftovers,
        artifacts: Artifacts,
        deadline: Deadline,
    ) -> None:
        self._provisioner = provisioner
        self._measurer = measurer
        self._leftovers = leftovers
        self._artifacts = artifacts
        self._deadline = deadline
        self._lock = threading.Lock()
        # Two pools: measurements wait for guests, so they must not take the threads that bring guests up.
        self._threads = Threads(MAX_THREADS, "kvlatency-measure")
        self._boot_threads = Threads(MAX_THREADS, "kvlatency-guest")
        self._guests: dict[VmiKey, Future[ReadyGuest]] = {}
        self._users: Counter[VmiKey] = Counter()
        self._ownership: Ownership[VmiKey] = Ownership()
        self._activity: dict[str, str] = {}

    def plan(self, checks: Sequence[Check]) -> None:
        """Count the users of each guest, so that it can be deleted after its last one."""
        with self._lock:
            self._users = Counter(key for check in checks for key in vmi_keys(check))

    def measure(self, check: Check) -> Future[Attempt]:
        """Measure ``check``, bringing its guests up where they are not."""
        return self._threads.submit(self._measure, check, check.ping)

    def measure_owned(self, check: Check, ping: PingParameters) -> Future[Attempt]:
        """Measure with these ping parameters, for a caller that owns the pair already."""
        return self._threads.submit(self._measure_owned, check, ping)

    def take_again(self, check: Check) -> None:
        """Count one user more than planned (a rerun), and bring up anew what could not be brought up for it."""
        with self._lock:
            self._users.update(vmi_keys(check))
            for key in vmi_keys(check):
                future = self._guests.get(key)
                if future is not None and future.done() and future.exception() is not None:
                    del self._guests[key]

    def own(self, check: Check) -> Future[tuple[ReadyGuest, ReadyGuest]]:
        """Bring both guests up and own them until ``disown``."""
        return self._threads.submit(self._own, check)

    def disown(self, check: Check) -> None:
        """Give both guests back; whatever the owner did on their consoles is cleaned up by the next user."""
        self._ownership.release(vmi_keys(check))

    def let_go(self, check: Check) -> None:
        """Say that one user of the check's guests is done; a guest without users is deleted, in the background."""
        with self._lock:
            keys = vmi_keys(check)
            self._users.subtract(keys)
            idle = [key for key in dict.fromkeys(keys) if self._users[key] <= 0]
            guests = self._up(self._guests.pop(key) for key in idle if key in self._guests)
        self._provisioner.forget_pairs(idle)
        self._close_consoles(guests)
        handles = [guest.handle for guest in guests]
        if handles:
            self._threads.submit(self._leftovers.delete, handles, Deadline(CLEANUP_SECONDS))

    def keep(self, check: Check) -> None:
        """Leave this check's VMIs in the cluster when the run ends."""
        with self._lock:
            guests = self._up(self._guests[key] for key in vmi_keys(check) if key in self._guests)
        self._leftovers.keep([guest.handle for guest in guests])

    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that are left on purpose, a line each."""
        return [
            f"kvlatency: kept VMI {one}: virtctl console -n {one.namespace} {one.name} "
            f"(and then: kubectl delete vmi -n {one.namespace} {one.name})"
            for one in self._leftovers.kept
        ]

    @property
    def left_over(self) -> str:
        """The VMIs that are not known to be gone, in words."""
        names = ", ".join(str(handle) for handle in self._leftovers.outstanding)
        return f"these VMIs may still exist: {names}" if names else "no VMI is left"

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
            return "; ".join(self._activity.values())

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
        with self._lock:
            guests = self._up(self._guests.values())
            self._guests = {}
        self._close_consoles(guests)
        self._leftovers.delete(self._leftovers.outstanding, deadline)
        self._leftovers.wait_gone(deadline)

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once, also of what is being created; nothing is created afterwards."""
        self._leftovers.close(deadline)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all is gone. Raises ``TeardownError``."""
        self._leftovers.wait_gone(deadline)

    def shut_down(self) -> None:
        """Close every console and end the threads; the stop or the deadline has ended their waits before."""
        with self._lock:
            guests = self._up(self._guests.values())
        self._close_consoles(guests)
        for threads in (self._threads, self._boot_threads):
            # One that hangs in a request is left behind: it must not delay the end.
            threads.shut_down(LAST_SECONDS)

    @staticmethod
    def _up(futures: Iterable[Future[ReadyGuest]]) -> list[ReadyGuest]:
        return [one.result() for one in futures if one.done() and one.exception() is None]

    @staticmethod
    def _close_consoles(guests: Iterable[ReadyGuest]) -> None:
        for guest in guests:
            guest.shell.close()

    # --- in the engine's threads

    def _measure(self, check: Check, ping: PingParameters) -> Attempt:
        try:
            self._ownership.acquire(vmi_keys(check), self._deadline)
        except KvLatencyError as error:
            return _failed(check, error)
        try:
            return self._measure_owned(check, ping)
        finally:
            self._ownership.release(vmi_keys(check))

    def _measure_owned(self, check: Check, ping: PingParameters) -> Attempt:
        try:
            source, target = self._pair(check)
        except KvLatencyError as error:
            return _failed(check, error)
        with self._doing(check.id) as say:
            try:
                asked = replace(check, ping=ping)
                measured = self._measurer.measure(asked, source, target, self._deadline, say)
            except KvLatencyError as error:
                return _failed(check, error, source, target)
        return Attempt(measurement=measured)

    def _own(self, check: Check) -> tuple[ReadyGuest, ReadyGuest]:
        keys = vmi_keys(check)
        self._ownership.acquire(keys, self._deadline)
        try:
            return self._pair(check)
        except BaseException:
            self._ownership.release(keys)
            raise

    def _pair(self, check: Check) -> tuple[ReadyGuest, ReadyGuest]:
        """Bring both ends up at the same time; the first that cannot be brought up ends the wait for both."""
        source, target = (self._guest(key, check) for key in vmi_keys(check))
        done, _ = wait([source, target], return_when=FIRST_EXCEPTION)
        for future in done:
            error = future.exception()
            if error is not None:
                raise error
        return source.result(), target.result()

    def _guest(self, key: VmiKey, check: Check) -> Future[ReadyGuest]:
        with self._lock:
            future = self._guests.get(key)
            if future is None:
                future = self._boot_threads.submit(self._bring_up, key, check)
                self._guests[key] = future
            return future

    def _bring_up(self, key: VmiKey, check: Check) -> ReadyGuest:
        with self._doing(str(key)) as say:
            return self._provisioner.bring_up(key, check, self._deadline, say)

    @contextmanager
    def _doing(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show ``what`` as under way; the function given says how far it is."""

        def say(how_far: str) -> None:
            with self._lock:
                self._activity[what] = f"{what}: {how_far}"

        try:
            yield say
        finally:
            with self._lock:
                self._activity.pop(what, None)


def _failed(
    check: Check, error: KvLatencyError, source: ReadyGuest | None = None, target: ReadyGuest | None = None
) -> Attempt:
    """A measurement without numbers, with what is known of its guests."""
    failure = Failure(
        kind=error.kind,
        stage=error.stage,
        reason=error.reason,
        hint=error.hint,
        transcript=error.transcript,
    )
    measurement = Measurement(
        check=check,
        binding=None if source is None else source.nad.binding,
        source=None if source is None else source.facts,
        target=None if target is None else target.facts,
        failures=(failure,),
        timings=setup_timings(source, target),
    )
    return Attempt(measurement=measurement, error=error)
