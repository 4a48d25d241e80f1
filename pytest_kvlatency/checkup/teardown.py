"""The end of a run: VMIs deleted, status written, reports written; also when somebody stops it."""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from pytest_kvlatency.checkup.finishing import FINISHING_KEY, Finishing
from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.deadline import CLEANUP_SECONDS, Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError, KvLatencyError, TeardownError
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.junit import pytestfile as junit_report
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.checkup.closing_reports import ClosingReports
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.role import Removable, Role
    from pytest_kvlatency.checkup.run_selection import Selection
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.stopping import Stopping

# The one who stops a run may kill it 5 s later: so long for the deletions to be asked for, besides the status.
ASKING_SECONDS: Final = 1.5
LAST_ASKING_SECONDS: Final = 3.0
NOT_IN_TIME: Final = "clean-up did not finish in time"
WAITING: Final = "kvlatency: waiting until the VMIs are gone"
DELETIONS: Final = "the deletion of the VMIs"
NO_REASON: Final = "pytest ended without running them"
#: With any other exit status a run without checks may have ended before all of its tests were collected.
_COLLECTED: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass(kw_only=True)
class Teardown:
    """Ends one run."""

    state: RunState
    role: Role
    items: Items
    selection: Selection
    measuring: MeasuringSession
    stopping: Stopping
    reports: ClosingReports
    #: The session, from its start on.
    session: pytest.Session | None = field(init=False, default=None)
    _is_finished: bool = field(init=False, default=False)
    _is_reporting: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._waiter = Waiter(stop=self.stopping.end_stop, progress=self.state.progress)
        self._finishing = self.state.config.stash.get(FINISHING_KEY, None) or Finishing(self.state.config)

    def clean_up(self) -> None:
        """Delete every VMI that is not kept and wait until all are gone. Raises ``TeardownError``.

        A signal leaves what remains to ``finish``, which writes the status before it waits.
        """
        state, engine = self.state, self.measuring.engine
        if engine is None:
            return
        state.is_ending = True
        deadline = Deadline(CLEANUP_SECONDS, stop=self.stopping.end_stop)
        try:
            _wait(state.waiter, engine, lambda: engine.remove_all(deadline), deadline)
        except InterruptedRunError:
            return
        finally:
            # Where it was interrupted the run ends with this item, and the next signal belongs to the end.
            state.is_ending = state.stop.is_set()

    def finish(self, session: pytest.Session) -> None:
        """Remove what was created and write every report. Never raises: what goes wrong fails the run."""
        if self._is_finished:
            return
        self._is_finished = True
        state = self.state
        state.is_ending = True
        try:
            try:
                self.items.adopt(self.role.gather())
                self._account(session)
                self.measuring.settle_opening(ASKING_SECONDS)
                removable = self.role.removable(self.measuring.engine)
                if removable is not None:
                    self._remove(removable)
                self._complete()
            except BaseException as error:
                reason = f"the end of the run was aborted: {type(error).__name__}: {error}"
                state.results.add_failure(InterruptedRunError(reason, stage="teardown"))
                raise
            finally:
                if self.role.is_worker:
                    self._hand_over()
                else:
                    self._report()
            if state.inputs.given.lab is not None or not self._is_reporting:
                self._close_access()
            self.reports.set_exit_status(session)
        finally:
            self.role.close()
            # Who has sent one signal may send another: then the reports that pytest is about to write must not suffer.
            if not self.stopping.hurries:
                state.signals.restore()

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
            self.reports.set_exit_status(session)
        self._finishing.raise_first()

    def settle(self) -> None:
        """Have the run's own reports say which others could not be written; called as soon as these are due."""
        errors = self._finishing.take_unwritten()
        if not errors or not self._is_reporting or self.session is None:
            return
        for error in errors:
            self.state.results.add_failure(error)
        self.reports.write(is_last=True)
        self.reports.set_exit_status(self.session)

    def make_up(self) -> None:
        """Do at the very end what another plugin kept from being done in ``pytest_sessionfinish``."""
        if self.session is not None and not self._is_finished:
            self.finish(self.session)

    # --- inside

    def _account(self, session: pytest.Session) -> None:
        """Say why the run ended before its time, if it did, and account for what was not run."""
        state, results = self.state, self.state.results
        is_interrupted = state.stop.is_set() or session.exitstatus == pytest.ExitCode.INTERRUPTED
        # What was stopped before anything was selected may have been about to select checks.
        if not self.selection.is_concerned and not (is_interrupted and state.is_reported_elsewhere):
            state.stop.set("the run is over")
            return
        self.stopping.is_interrupted = is_interrupted
        told = self.stopping.why(session)
        reason = told or "the run was interrupted"
        failure = self._failure_of_the_end(session, reason)
        if failure is not None:
            results.failures.append(failure)
        if failure is None or failure.kind != "interrupted":
            results.cut_short_by = told or NO_REASON
        if is_interrupted:
            self.items.cut_off(reason)
        if not self.role.is_worker:
            self.items.close()
            if self.items.total or session.exitstatus in _COLLECTED:
                self.selection.take_notes()
        state.stop.set("the run is over")

    def _failure_of_the_end(self, session: pytest.Session, reason: str) -> Failure | None:
        """Why the run as a whole failed by the way it ended; None when it did not, or when that is said already."""
        is_stopped, errors = self.state.stop.is_set(), self.selection.plan.collection_errors
        if errors and not is_stopped:
            if self.state.results.failures:
                return None
            words = f"collection failed with {errors} error(s): see the output of the run"
            return Failure(kind="config", stage="config", reason=words)
        if self.stopping.is_interrupted:
            return Failure(kind="interrupted", stage="run", reason=reason)
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            words = "pytest ended with an internal error: see the output of the run"
            return Failure(kind="interrupted", stage="run", reason=words)
        return None

    def _remove(self, removable: Removable) -> None:
        deadline = Deadline(CLEANUP_SECONDS, stop=self.stopping.end_stop)
        is_clean = removable.leftovers.is_clean
        # A second SIGINT ends the wait for deletions; they are asked for all the same.
        asking = Deadline(CLEANUP_SECONDS, stop=Stop())
        asked = Threads(1, "kvlatency-cleanup").submit(removable.delete_all, asking)
        if not is_clean:
            # The one who stops a run may kill it soon: the status first, and only then the wait for deletions.
            wait([asked], timeout=ASKING_SECONDS)
            if not self.role.is_worker:
                self.reports.write(is_last=False)

        def finish_deletions() -> None:
            asked.result()
            removable.leftovers.wait_gone(deadline)

        if not (self.stopping.is_interrupted and self.role.is_worker):
            # An interrupted worker leaves the waiting to its controller, which knows what it leaves.
            try:
                _wait(self._waiter, removable, finish_deletions, deadline)
            except InterruptedRunError:
                words = "clean-up was interrupted"
                error = TeardownError(f"{words}: {removable.leftovers.words}", summary=words)
                self.state.results.add_failure(error)
            except KvLatencyError as error:
                self.state.results.add_failure(error)
        wait([asked], timeout=LAST_ASKING_SECONDS)
        removable.shut_down(lambda: self.stopping.hurries)

    def _complete(self) -> None:
        """Enter what is known only when everything is removed."""
        if self.measuring.engine is not None:
            self.items.add_timings(self.measuring.engine)
        for problem in self.state.artifacts.problems:
            self.state.results.add_failure(TeardownError(problem))

    def _hand_over(self) -> None:
        """Give all that is known to the process that writes the reports; why the run was stopped it knows itself."""
        failures = [one for one in self.state.results.failures if one.kind != "interrupted"]
        self.role.hand_over(self.items.own_results(), failures, self.measuring.kept_lines)

    def _report(self) -> None:
        state = self.state
        if not state.may_contact or not (self.items.total or state.is_reported_elsewhere):
            return
        signal = self.stopping.signal_at_the_end
        if signal and not self.stopping.is_interrupted:
            reason = f"the run was interrupted by {signal} during clean-up"
            state.results.add_failure(InterruptedRunError(reason, stage="teardown"))
        self._is_reporting = True
        for error in self._finishing.take_unwritten():
            state.results.add_failure(error)
        junit_report.complete(state.config, self.reports.write(is_last=True))

    def _close_access(self) -> None:
        """Close the way to the cluster; the ConfigMap is written by then."""
        state = self.state
        self.reports.is_cluster_there = False
        try:
            state.access.close(keep_lab_records_in=state.inputs.given.artifacts)
        except KvLatencyError as error:
            state.results.add_failure(error)
            if self._is_reporting:
                self.reports.make_document()
                self.reports.write_files()


def _wait(waiter: Waiter, removable: Removable, work: Callable[[], None], deadline: Deadline) -> None:
    """Wait for clean-up work. Raises ``TeardownError`` when it takes too long, and ``InterruptedRunError``."""
    asked = Threads(1, "kvlatency-cleanup").submit(work)
    try:
        waiter.wait(asked, deadline=deadline, text=lambda: WAITING, what=lambda: DELETIONS)
    except CheckupTimeoutError as error:
        raise TeardownError(f"{NOT_IN_TIME}: {removable.leftovers.words}", summary=NOT_IN_TIME) from error
