"""The plugin's part in the phases of pytest's protocol, for each kvlatency item."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from pytest_kvlatency.checkup import rerun_command
from pytest_kvlatency.checkup.attempt import ATTEMPT_KEY
from pytest_kvlatency.checkup.measurements import skip_without_network
from pytest_kvlatency.checkup.statuswords import NUMBERS, status_numbers
from pytest_kvlatency.checkup.testitem import CHECK_KEY, PROBLEM_KEY, is_kv_item, is_planned
from pytest_kvlatency.errors import CommandError, ConfigError, KvLatencyError, NoValue, TeardownError
from pytest_kvlatency.escape import printable, printable_lines
from pytest_kvlatency.model import Failure, failure_of
from pytest_kvlatency.ping.verdict import to_exception
from pytest_kvlatency.report.failure import WORDED, FailureRepr, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_kvlatency.checkup.attempt import ItemAttempt
    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.measurements import Measurements
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.model import Outcome

#: The stage of what goes wrong in each of pytest's phases.
STAGES: Final[Mapping[str | None, Stage]] = {"setup": "setup", "call": "run", "teardown": "teardown"}


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Takes part in the set-up, the call, the teardown and the reports of items; does nothing for those of others.

    ``clean_up`` is called after the last item. Raises ``TeardownError``.
    """

    state: RunState
    role: Role
    items: Items
    cluster: ClusterSession
    measuring: MeasuringSession
    measurements: Measurements
    clean_up: Callable[[], None]

    @contextmanager
    def setting_up(self, item: pytest.Item) -> Iterator[None]:
        """Start an attempt, let the fixtures be set up, and measure unless one of them has."""
        if not is_kv_item(item):
            yield
            return
        attempt = self._begin(item)
        yield
        if not self.state.may_contact:
            return
        if attempt.check is None:
            skip_without_network()
        if not self.state.config.getoption("setuponly", default=False):
            self.measurements.measure_for_set_up(item)
        attempt.is_set_up = True

    @contextmanager
    def calling(self, item: pytest.Item) -> Iterator[None]:
        """Run the body unless nothing came back; then enforce the limits, whatever the body asserted."""
        attempt = item.stash.get(ATTEMPT_KEY, None)
        measurement = None if attempt is None else attempt.measurement
        if attempt is None or measurement is None:
            yield
            return
        verdict = to_exception(measurement.failures)
        if verdict is not None and verdict.kind == "connectivity":
            attempt.end_with(verdict)
        try:
            yield
        except BaseException as error:
            redact = self.state.access.redactor()
            verdict = to_exception((attempt.measurement or measurement).failures)
            if verdict is not None and error is not attempt.raised:
                item.add_report_section("call", "kvlatency", printable(redact(verdict.failure_reason)))
            raise
        # The body may have asked for it anew.
        verdict = to_exception((attempt.measurement or measurement).failures)
        if verdict is not None:
            attempt.end_with(verdict)

    @contextmanager
    def tearing_down(self, item: pytest.Item) -> Iterator[None]:
        """Let the guests go that nobody needs any more; after the last item wait until all are gone."""
        attempt = item.stash.get(ATTEMPT_KEY, None)
        if attempt is None:
            yield
            return
        try:
            yield
        finally:
            self.items.is_over(item.nodeid)
            self._let_go(attempt)
        if self.items.are_all_over and not self.state.stop.is_set():
            try:
                self.clean_up()
            except TeardownError as error:
                attempt.fail(error)

    @contextmanager
    def reporting(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Let pytest make the report of a phase without the traceback of a failure that is the plugin's to word."""
        excinfo = call.excinfo
        if excinfo is None or not _is_worded(item, call):
            yield
            return
        call.excinfo = without_frames(excinfo)
        try:
            yield
        finally:
            call.excinfo = excinfo

    def reported(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Keep how the phase ended, and word a failure of the plugin's own."""
        attempt = item.stash.get(ATTEMPT_KEY, None)
        error = None if call.excinfo is None else call.excinfo.value
        self._word(item, call, report)
        if attempt is None:
            return
        outcome = _outcome(report)
        if outcome is not None and not attempt.has_failed:
            attempt.outcome = outcome
        if report.failed and (error is None or error is not attempt.raised):
            attempt.failures.append(_failure(error, report))
        if report.when == "call" or outcome in ("error", "skipped"):
            self._show_in_html(attempt, report)
        if report.when == "call":
            # With the report it goes to the controller of pytest-xdist too.
            setattr(report, NUMBERS, status_numbers(attempt.measurement))
        self._tell(attempt, is_over=report.when == "teardown")

    # --- inside

    def _begin(self, item: pytest.Item) -> ItemAttempt:
        """Begin an attempt at an item that may be run; the network of its check is known in full from now on."""
        attempt = item.stash[ATTEMPT_KEY] = self.items.attempt(item.nodeid, item.stash.get(CHECK_KEY, None))
        if attempt.number == 1 and is_planned(item):
            self.measuring.expect(attempt)
        self._tell(attempt, is_over=False)
        problem = item.stash.get(PROBLEM_KEY, None)
        if problem is not None:
            attempt.fail(ConfigError(problem))
        if attempt.check is not None and self.state.may_contact:
            try:
                attempt.check = item.stash[CHECK_KEY] = self.cluster.locate(attempt.check)
            except KvLatencyError as error:
                attempt.fail(error)
        return attempt

    def _tell(self, attempt: ItemAttempt, *, is_over: bool) -> None:
        """Say how far an attempt is, to the progress line and to the other processes of the run."""
        result = attempt.result()
        self.items.tally.take(result, is_over=is_over)
        self.role.attempted(result, is_over=is_over)

    def _let_go(self, attempt: ItemAttempt) -> None:
        self.measuring.release(attempt)
        if attempt.check is None:
            return
        self.measuring.let_go(attempt.check, holder=attempt, has_failed=attempt.has_failed)
        source = None if attempt.measurement is None else attempt.measurement.source
        if attempt.has_failed and source is not None:
            file = self.state.artifacts.transcript_file(source.vmi_name)
            attempt.transcript_file = None if file is None else str(file)

    def _word(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Put a failure of the plugin's own into words, and take credentials out of any other."""
        error = None if call.excinfo is None else call.excinfo.value
        redact = self.state.access.redactor()
        if isinstance(error, KvLatencyError) and report.failed:
            if _is_worded(item, call):
                command = self._rerun_command(item) if ATTEMPT_KEY in item.stash else ""
                # pytest only asks for the methods of its own class; the class itself is private.
                words = FailureRepr(error, rerun=command, redact=redact)
                report.longrepr = words  # type: ignore[assignment]
                setattr(report, WORDED, True)
            elif error.transcript:
                report.sections.append(("the guest's output", printable_lines(redact(error.transcript))))
        if report.failed and redact and redact(said := report.longreprtext) != said:
            # A failure of the body, of which --showlocals shows everything that was at hand.
            report.longrepr = redact(said)

    def _show_in_html(self, attempt: ItemAttempt, report: pytest.TestReport) -> None:
        """Give pytest-html, where it writes a report, the numbers and pictures of this phase's row."""
        if not getattr(self.state.config.option, "htmlpath", None):
            return
        from pytest_kvlatency.report import html

        entry = self.state.results.entry(attempt.result())
        page = html.link_to_page(self.state.inputs.given.html, self.state.config.option.htmlpath)
        html.show(report, entry, with_details=not attempt.is_in_html, page=page)
        attempt.is_in_html = True

    def _rerun_command(self, item: pytest.Item) -> str:
        nodeid = self.role.selectable(item)
        return rerun_command.command(self.state.config, item, nodeid, self.state.inputs.given)


def _is_worded(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Whether a phase ended with an error that the plugin puts into words: it had no body to blame."""
    error = None if call.excinfo is None else call.excinfo.value
    attempt = item.stash.get(ATTEMPT_KEY, None)
    is_raised_here = attempt is not None and error is attempt.raised
    return isinstance(error, KvLatencyError) and (call.when == "setup" or is_raised_here)


def _outcome(report: pytest.TestReport) -> Outcome | None:
    """How the item ended as far as this phase tells; None when it tells nothing."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.when == "call":
        return report.outcome
    if report.failed:
        return "error"
    return "skipped" if report.skipped and report.when == "setup" else None


def _failure(error: BaseException | None, report: pytest.TestReport) -> Failure:
    """Why an item is not good by its own words: its body's, or one of its fixtures'."""
    is_of_the_body = report.when == "call" and isinstance(error, NoValue | CommandError)
    if isinstance(error, KvLatencyError) and not is_of_the_body:
        return failure_of(error)
    said = report.longreprtext if error is None else str(error)
    if isinstance(error, pytest.FixtureLookupError):
        # Its own text is that of a tuple, with the request's representation.
        said = error.msg or f"fixture {error.argname!r} not found"
    words = said.strip().splitlines()
    name = [] if error is None else [type(error).__name__]
    reason = ": ".join([*name, *words[:1]])
    return Failure(kind="assertion", stage=STAGES[report.when], reason=reason)
