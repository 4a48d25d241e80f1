"""The end of a run: VMIs deleted, status written, reports written; also when somebody stops it."""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.checkup.finishing import FINISHING_KEY, Finishing
from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError, KvLatencyError, TeardownError
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.junit import describe_suite
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.role import Removable

CLEANUP_SECONDS = 60.0
# Whoever stops a run may kill it 5 s later: so long for the deletions to be asked for, and so long for the status.
ASKING_SECONDS = 1.5
LAST_ASKING_SECONDS = 3.0
STATUS_SECONDS = 3.0
# Longer than an answer takes that the client waits for: by then the VMIs are gone, and it may be the only try left.
LAST_STATUS_SECONDS = 20.0
REPORT_SECONDS = 60.0
WAITING = "kvlatency: waiting until the VMIs are gone"
DELETIONS = "the deletion of the VMIs"
NO_REASON = "pytest ended without running them"
#: With any other exit status a run without checks may have ended before all of its tests were collected.
_COLLECTED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


class _Interrupts:
    """Keeps why pytest breaks the run off, which it tells in a hook that has no configuration.

    A wrapper, so that it has been called before another plugin's implementation may raise.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        #: What ``pytest.exit`` was given, say; empty without words.
        self.reason = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Generator[None, None, None]:
        self._begin()
        # A session's shouldstop may be just True.
        self.reason = "" if excinfo.value.args == (True,) else str(excinfo.value)
        return (yield)


class Ending:
    """Ends one run.

    Meanwhile a signal stops nothing; but a SIGINT that is not the first signal stops the wait for deletions, and
    nothing else: the status is always written.
    """

    def __init__(self, checkup: Checkup) -> None:
        self._checkup = checkup
        self._stop = Stop()
        self._waiter = Waiter(stop=self._stop, progress=checkup.progress)
        self._count = 0
        self._signalled = ""
        self._is_finished = False
        self._is_interrupted = False
        self._interrupts = _Interrupts(self._begin)
        checkup.config.pluginmanager.register(self._interrupts, "kvlatency-interrupts")
        self._finishing = checkup.config.stash.get(FINISHING_KEY, None) or Finishing(checkup.config)
        self._is_reporting = False
        self._is_closed = False
        #: The session, from its start on.
        self.session: pytest.Session | None = None
        #: Seconds that clean-up may take, after the run's deadline too.
        self.cleanup_seconds = CLEANUP_SECONDS
        self.is_going_on = False

    @property
    def has_heard_a_signal(self) -> bool:
        """Whether this run was sent a signal before."""
        return self._count > 0

    def on_signal(self, name: str) -> None:
        """Count a signal, whenever it strikes."""
        self._count += 1
        if not self.is_going_on:
            return
        self._signalled = self._signalled or name
        if name == "SIGINT" and self._count > 1:
            self._stop.set(f"interrupted by {name}")

    def _begin(self) -> None:
        """From now on a signal only sets a flag: pytest is on its way to the end."""
        self.is_going_on = True

    def clean_up(self) -> None:
        """Delete every VMI that is not kept and wait until all are gone. Raises ``TeardownError``.

        A signal leaves what remains to ``finish``, which writes the status before it waits.
        """
        engine = self._checkup.engine
        if engine is None:
            return
        self.is_going_on = True
        deadline = Deadline(self.cleanup_seconds, stop=self._stop)
        asked = Threads(1, "kvlatency-cleanup").submit(engine.remove_all, deadline)
        try:
            self._checkup.waiter.wait(asked, deadline=deadline, text=lambda: WAITING, what=lambda: DELETIONS)
        except InterruptedRunError:
            return
        except CheckupTimeoutError as error:
            raise TeardownError(f"clean-up did not finish in time: {engine.left_over}") from error
        finally:
            # Where it was interrupted the run ends with this item, and the next signal belongs to the end.
            self.is_going_on = self._checkup.stop.is_set()

    def finish(self, session: pytest.Session) -> None:
        """Remove what was created and write every report. Never raises: what goes wrong fails the run."""
        if self._is_finished:
            return
        self._is_finished = True
        self._begin()
        checkup = self._checkup
        try:
            try:
                checkup.role.gather()
                self._account(session)
                checkup.settle_opening(ASKING_SECONDS)
                removable = checkup.role.removable
                if removable is not None:
                    self._remove(removable)
                self._complete()
            except BaseException as error:
                reason = f"the end of the run was aborted: {type(error).__name__}: {error}"
                checkup.reporting.add_failure(InterruptedRunError(reason, stage="teardown"))
                raise
            finally:
                if checkup.role.is_worker:
                    checkup.role.hand_over()
                else:
                    self._report(session)
            if checkup.inputs.given.lab is not None or not self._is_reporting:
                self._close_access()
            self._set_exit_status(session)
        finally:
            checkup.signals.restore()

    @contextmanager
    def others(self, session: pytest.Session) -> Iterator[None]:
        """Let other plugins end the session inside, each by itself."""
        if not self._is_reporting:
            yield
            return
        self._finishing.guard_the_end()
        try:
            yield
        finally:
            self.settle()
            self._close_access()
            self._set_exit_status(session)
        self._finishing.raise_first()

    def settle(self) -> None:
        """Have the run's own reports say which others could not be written; called as soon as these are due."""
        errors = self._finishing.take_unwritten()
        if not errors or not self._is_reporting or self.session is None:
            return
        for error in errors:
            self._checkup.reporting.add_failure(error)
        self._write_status(is_last=True)
        self._set_exit_status(self.session)

    def make_up(self) -> None:
        """Do at the very end what another plugin kept from being done in ``pytest_sessionfinish``."""
        if self.session is not None and not self._is_finished:
            self.finish(self.session)

    def _close_access(self) -> None:
        """Close the way to the cluster; the ConfigMap is written by then."""
        checkup = self._checkup
        self._is_closed = True
        try:
            checkup.access.close(keep_lab_records_in=checkup.inputs.given.artifacts)
        except KvLatencyError as error:
            checkup.reporting.add_failure(error)
            if self._is_reporting:
                checkup.reporting.make_document(checkup.items.results())
                checkup.reporting.write_json(checkup.inputs.given.json)

    def _account(self, session: pytest.Session) -> None:
        """Say why the run ended before its time, if it did."""
        checkup = self._checkup
        if not checkup.is_concerned:
            checkup.stop.set("the run is over")
            return
        self._is_interrupted = checkup.stop.is_set() or session.exitstatus == pytest.ExitCode.INTERRUPTED
        told = self._why_it_ended(session)
        reason = told or "the run was interrupted"
        failure = None
        if checkup.stop.is_set():
            failure = Failure(kind="interrupted", stage="run", reason=reason)
        elif checkup.collection_errors:
            if not checkup.reporting.failures:
                words = (
                    f"collection failed with {checkup.collection_errors} error(s): see the output of the run"
                )
                failure = Failure(kind="config", stage="config", reason=words)
        elif self._is_interrupted:
            failure = Failure(kind="interrupted", stage="run", reason=reason)
        elif session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            words = "pytest ended with an internal error: see the output of the run"
            failure = Failure(kind="interrupted", stage="run", reason=words)
        if failure is not None:
            checkup.reporting.failures.append(failure)
        if failure is None or failure.kind != "interrupted":
            checkup.reporting.cut_short_by = told or NO_REASON
        if self._is_interrupted:
            checkup.items.cut_off(reason)
        if not checkup.role.is_worker:
            checkup.items.close()
            if checkup.items.total or session.exitstatus in _COLLECTED:
                checkup.take_notes()
        checkup.stop.set("the run is over")

    def _why_it_ended(self, session: pytest.Session) -> str:
        """Why the run ended before its time; empty when nothing says that it did."""
        checkup = self._checkup
        said = [checkup.stop.reason, checkup.role.stop_reason]
        # Either may be just True.
        said += [one for one in (session.shouldfail, session.shouldstop) if isinstance(one, str)]
        said.append(self._interrupts.reason)
        if checkup.config.getoption("setuponly", default=False):
            said.append("--setup-only runs no test")
        return next(filter(None, said), "")

    def _remove(self, removable: Removable) -> None:
        deadline = Deadline(self.cleanup_seconds, stop=self._stop)
        is_clean = removable.is_clean
        # A second SIGINT ends the wait for deletions; they are asked for all the same.
        asking = Deadline(self.cleanup_seconds, stop=Stop())
        asked = Threads(1, "kvlatency-cleanup").submit(removable.delete_all, asking)
        if not is_clean:
            # Whoever stops a run may kill it soon: the status first, and only then the wait for deletions.
            wait([asked], timeout=ASKING_SECONDS)
            if not self._checkup.role.is_worker:
                self._write_status(is_last=False)

        def finish_deletions() -> None:
            asked.result()
            removable.wait_gone(deadline)

        if not (self._is_interrupted and self._checkup.role.is_worker):
            # An interrupted worker leaves the waiting to its controller, which knows what it leaves.
            try:
                self._wait(removable, finish_deletions, deadline)
            except KvLatencyError as error:
                self._checkup.reporting.add_failure(error)
        wait([asked], timeout=LAST_ASKING_SECONDS)
        removable.shut_down()

    def _wait(self, removable: Removable, work: Callable[[], None], deadline: Deadline) -> None:
        """Wait for clean-up work. Raises ``TeardownError``."""
        try:
            self._waiter.wait(
                Threads(1, "kvlatency-cleanup").submit(work),
                deadline=deadline,
                text=lambda: WAITING,
                what=lambda: DELETIONS,
            )
        except InterruptedRunError as error:
            raise TeardownError(f"clean-up was interrupted: {removable.left_over}") from error
        except CheckupTimeoutError as error:
            raise TeardownError(f"clean-up did not finish in time: {removable.left_over}") from error

    def _complete(self) -> None:
        """Enter what is known only when everything is removed."""
        checkup = self._checkup
        if checkup.engine is not None:
            checkup.items.add_timings(checkup.engine)
        for problem in checkup.artifacts.problems:
            checkup.reporting.add_failure(TeardownError(problem))

    def _report(self, session: pytest.Session) -> None:
        checkup = self._checkup
        if not checkup.may_contact:
            return
        if not checkup.items.total and not checkup.is_reported_elsewhere:
            return
        if self._signalled and not self._is_interrupted:
            reason = f"the run was interrupted by {self._signalled} during clean-up"
            checkup.reporting.add_failure(InterruptedRunError(reason, stage="teardown"))
        self._is_reporting = True
        for error in self._finishing.take_unwritten():
            checkup.reporting.add_failure(error)
        document = self._write_status(is_last=True)
        describe_suite(session.config, document)

    def _write_status(self, *, is_last: bool) -> dict[str, Any]:
        """Write the reports that others may wait for; the ConfigMap first, and JSON with what became of that."""
        reporting, checkup = self._checkup.reporting, self._checkup
        reporting.make_document(checkup.items.results())
        self._write_configmap(is_last=is_last)
        document = reporting.make_document(checkup.items.results())
        if not reporting.write_json(checkup.inputs.given.json):
            document = reporting.make_document(checkup.items.results())
            self._write_configmap(is_last=is_last)
        return document

    def _write_configmap(self, *, is_last: bool) -> None:
        if self._is_closed:
            # It was the lab's, and has ended with that.
            return
        reporting, configmap, trouble = self._checkup.reporting, self._checkup.inputs.configmap, None
        seconds = STATUS_SECONDS
        if is_last:
            seconds = LAST_STATUS_SECONDS if self._is_interrupted or self._signalled else REPORT_SECONDS
        if not self._stop.is_set():
            trouble = reporting.write_configmap(configmap, Deadline(seconds, stop=self._stop))
        if self._stop.is_set():
            # No stop ends this one: it is short, and without it a ConfigMap would look in use for ever.
            trouble = reporting.write_configmap(configmap, Deadline(STATUS_SECONDS))
        if trouble is not None and is_last:
            reporting.add_failure(trouble)

    def _set_exit_status(self, session: pytest.Session) -> None:
        reporting = self._checkup.reporting
        may_be_empty = reporting.is_empty_shard or reporting.is_sweep_only
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and may_be_empty:
            session.exitstatus = pytest.ExitCode.OK
        configmap = self._checkup.inputs.configmap
        if configmap is not None and configmap.is_taken:
            # Refused, as where that is known before anything runs.
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._signalled and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        elif self._has_failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @property
    def _has_failed(self) -> bool:
        """Whether the run must not pass: something went wrong outside of items, or a report says that it failed."""
        reporting, checkup = self._checkup.reporting, self._checkup
        if reporting.failures:
            return True
        document = reporting.document
        return checkup.is_reported_elsewhere and document is not None and not document["succeeded"]
