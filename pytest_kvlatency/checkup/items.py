"""What happens to each kvlatency item in the phases of pytest's protocol, and how it ended."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_kvlatency.checkup import rerun_command as rerun
from pytest_kvlatency.checkup.collection import NO_NAD
from pytest_kvlatency.checkup.hooks import judgements
from pytest_kvlatency.checkup.marks import is_planned
from pytest_kvlatency.checkup.results import failure_of
from pytest_kvlatency.checkup.testitem import CHECK_KEY, PROBLEM_KEY, is_kv_item
from pytest_kvlatency.config.settings import SettingsError
from pytest_kvlatency.errors import (
    HIDDEN,
    CommandError,
    ConfigError,
    KvLatencyError,
    NoValue,
    TeardownError,
    again,
)
from pytest_kvlatency.escape import printable, printable_lines
from pytest_kvlatency.model import Failure, Limits
from pytest_kvlatency.ping.latency import Latency
from pytest_kvlatency.ping.verdict import to_exception
from pytest_kvlatency.report.failure import FailureRepr, without_frames
from pytest_kvlatency.report.junit import item_properties
from pytest_kvlatency.report.numbers import numbers_of
from pytest_kvlatency.report.run import ItemResult
from pytest_kvlatency.report.terminal import ProgressState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.pair import Pair
    from pytest_kvlatency.engine.runner import Engine
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.model import Check, Measurement, Outcome

__tracebackhide__ = HIDDEN
STATE_KEY = pytest.StashKey["Attempted"]()
NO_LIMITS = Limits(max_loss_percent=None)
PING_OPTIONS = frozenset({"sample_duration", "interval", "packet_size", "dont_fragment", "warmup"})
#: The stage of what goes wrong in each of pytest's phases.
STAGES: Mapping[str | None, Stage] = {"setup": "setup", "call": "run", "teardown": "teardown"}
PROPERTIES_KEY = pytest.StashKey["frozenset[str]"]()


class Attempted:
    """One attempt at one item."""

    def __init__(self, *, nodeid: str, check: Check | None, number: int) -> None:
        self.nodeid = nodeid
        self.check = check
        self.number = number
        self.measurement: Measurement | None = None
        self.extra: list[Measurement] = []
        self.failures: list[Failure] = []
        self.outcome: Outcome = "notrun"
        self.raised: BaseException | None = None
        self.owns_pair = False
        #: Whether the engine counts this attempt among the users of its guests.
        self.is_counted = False
        #: Whether a fixture or the body has asked for the measurement.
        self.was_asked_for = False
        #: Whether the set-up is over: what is asked for from now on is asked for by the body.
        self.is_set_up = False
        self.transcript_file: str | None = None
        self.is_in_html = False

    def result(self) -> ItemResult:
        """As the document takes it."""
        return ItemResult(
            nodeid=self.nodeid,
            check=self.check,
            measurement=self.measurement,
            outcome=self.outcome,
            attempt=self.number,
            failures=tuple(self.failures),
            extra=tuple(self.extra),
            transcript_file=self.transcript_file,
        )


class Ping:
    """What ``kv_ping`` gives: call it with ping parameters to measure the item's pair again."""

    def __init__(self, items: Items, item: pytest.Item) -> None:
        self._items = items
        self._item = item

    def __call__(self, *unnamed: object, **parameters: object) -> Latency:
        """Measure with ``sample_duration``, ``interval``, ``packet_size``, ``dont_fragment`` or ``warmup`` changed.

        Raises ``ConfigError`` for a wrong parameter, and what a measurement raises; limits do not apply.
        """
        if unnamed:
            raise ConfigError("kv_ping takes keyword arguments only, such as kv_ping(packet_size=1400)")
        return self._items.measure_again(self._item, parameters)


class Items:
    """The kvlatency items of the run: the plugin's part in their set-up, call and teardown."""

    def __init__(self, checkup: Checkup) -> None:
        self._checkup = checkup
        self._attempts: list[Attempted] = []
        self._tries: Counter[str] = Counter()
        self._elsewhere: tuple[ItemResult, ...] = ()
        self._pending: dict[str, Check | None] = {}
        self._left_out: Mapping[str, Outcome] = {}
        self.total = 0

    # --- what the run knows of its items

    def expect(self, checks: Mapping[str, Check | None], left_out: Mapping[str, Outcome]) -> None:
        """Take the items that are going to run, by node id; ``left_out``: how those end that their marks leave out."""
        self._pending = dict(checks)
        self._left_out = left_out
        self.total = len(self._pending)

    def progress(self, waiting_for: str) -> ProgressState:
        """How far the run is: items that have ended, and the worst RTT so far."""
        measured = [one.measurement for one in self._attempts if one.measurement is not None]
        worst = max(
            (
                (max(one.result.samples_ns), one.check.id)
                for one in measured
                if one.result is not None and one.result.samples_ns
            ),
            default=None,
        )
        return ProgressState(
            done=self.total - len(self._pending),
            total=self.total,
            failed=sum(one.outcome in ("failed", "error") for one in self._attempts),
            waiting_for=waiting_for,
            worst=None if worst is None else (worst[1], worst[0]),
        )

    @property
    def attempts(self) -> tuple[Attempted, ...]:
        """Every attempt of this process, in the order of time."""
        return tuple(self._attempts)

    def adopt(self, results: Sequence[ItemResult]) -> None:
        """Take what other processes have run."""
        self._elsewhere = tuple(results)
        for one in results:
            self._pending.pop(one.nodeid, None)

    def cut_off(self, interrupted_by: str) -> None:
        """Account for an item that was cut off in the middle."""
        for attempt in self._attempts:
            if attempt.outcome == "notrun" and not attempt.failures:
                attempt.outcome = "error"
                stage: Stage = "run" if attempt.is_set_up else "setup"
                what = "the test ran" if attempt.is_set_up else "the test's fixtures were set up"
                reason = f"{interrupted_by} while {what}"
                attempt.failures.append(Failure(kind="interrupted", stage=stage, reason=reason))

    def close(self) -> None:
        """Account for items that were not run."""
        started = {attempt.nodeid for attempt in self._attempts}
        for nodeid, check in self._pending.items():
            if nodeid not in started:
                attempt = Attempted(nodeid=nodeid, check=check, number=1)
                # Of what its marks leave out nothing is missing, however early the run ended.
                attempt.outcome = self._left_out.get(nodeid, "notrun")
                self._attempts.append(attempt)
        self._pending.clear()

    def drop(self) -> None:
        """Run none of the items, and miss none: something else takes their place."""
        self._pending.clear()

    def add_timings(self, engine: Engine) -> None:
        """Enter how long deletions took, now that they are over."""
        for attempt in self._attempts:
            measured = attempt.measurement
            if measured is not None:
                timings = replace(measured.timings, delete=engine.delete_seconds(measured))
                attempt.measurement = replace(measured, timings=timings)

    def results(self) -> tuple[ItemResult, ...]:
        """Every attempt, in the order of time."""
        return (*self._elsewhere, *(attempt.result() for attempt in self._attempts))

    # --- the phases

    @contextmanager
    def setting_up(self, item: pytest.Item) -> Iterator[None]:
        """Start an attempt, let the fixtures be set up, and measure unless one of them has."""
        if not is_kv_item(item):
            yield
            return
        self._tries[item.nodeid] += 1
        number = self._tries[item.nodeid]
        attempt = Attempted(nodeid=item.nodeid, check=item.stash.get(CHECK_KEY, None), number=number)
        attempt.is_counted = number == 1 and is_planned(item)
        item.stash[STATE_KEY] = attempt
        self._attempts.append(attempt)
        self._checkup.role.attempted(attempt, is_over=False)
        problem = item.stash.get(PROBLEM_KEY, None)
        if problem is not None:
            self._fail(attempt, ConfigError(problem))
        if attempt.check is not None and self._checkup.may_contact:
            try:
                attempt.check = item.stash[CHECK_KEY] = self._checkup.locate(attempt.check)
            except KvLatencyError as error:
                self._fail(attempt, error)
        yield
        if not self._checkup.may_contact:
            return
        if attempt.check is None:
            _skip()
        if not self._checkup.config.getoption("setuponly", default=False):
            self._measure(item)
        attempt.is_set_up = True

    @contextmanager
    def calling(self, item: pytest.Item) -> Iterator[None]:
        """Run the body unless nothing came back; then enforce the limits, whatever the body asserted."""
        attempt = item.stash.get(STATE_KEY, None)
        measurement = None if attempt is None else attempt.measurement
        if attempt is None or measurement is None:
            yield
            return
        verdict = to_exception(measurement.failures)
        if verdict is not None and verdict.kind == "connectivity":
            self._raise(attempt, verdict)
        try:
            yield
        except BaseException as error:
            redact = self._checkup.access.redactor()
            verdict = to_exception((attempt.measurement or measurement).failures)
            if verdict is not None and error is not attempt.raised:
                item.add_report_section("call", "kvlatency", printable(redact(verdict.failure_reason)))
            raise
        # The body may have asked for it anew.
        verdict = to_exception((attempt.measurement or measurement).failures)
        if verdict is not None:
            self._raise(attempt, verdict)

    @contextmanager
    def tearing_down(self, item: pytest.Item) -> Iterator[None]:
        """Let the guests go that nobody needs any more; after the last item wait until all are gone."""
        attempt = item.stash.get(STATE_KEY, None)
        if attempt is None:
            yield
            return
        try:
            yield
        finally:
            self._pending.pop(item.nodeid, None)
            self._let_go(attempt)
        if not self._pending and not self._checkup.stop.is_set():
            try:
                self._checkup.clean_up()
            except TeardownError as error:
                self._fail(attempt, error)

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
        attempt = item.stash.get(STATE_KEY, None)
        error = None if call.excinfo is None else call.excinfo.value
        redact = self._checkup.access.redactor()
        if isinstance(error, KvLatencyError) and report.failed:
            if _is_worded(item, call):
                # pytest only asks for the methods of its own class; the class itself is private.
                command = "" if attempt is None else self._rerun_command(item)
                words = FailureRepr(error, rerun=command, redact=redact)
                report.longrepr = words  # type: ignore[assignment]
            elif error.transcript:
                report.sections.append(("the guest's output", printable_lines(redact(error.transcript))))
        if report.failed and redact and redact(said := report.longreprtext) != said:
            # A failure of the body, of which --showlocals shows everything that was at hand.
            report.longrepr = redact(said)
        if attempt is None:
            return
        outcome = _outcome(report)
        if outcome is not None and attempt.outcome not in ("failed", "error"):
            attempt.outcome = outcome
        if report.failed and (error is None or error is not attempt.raised):
            attempt.failures.append(_failure(error, report))
        if report.when == "call" or outcome in ("error", "skipped"):
            self._show_in_html(attempt, report)
        self._checkup.role.attempted(attempt, is_over=report.when == "teardown")

    def _show_in_html(self, attempt: Attempted, report: pytest.TestReport) -> None:
        """Give pytest-html, where it writes a report, the numbers and pictures of this phase's row."""
        if not getattr(self._checkup.config.option, "htmlpath", None):
            return
        from pytest_kvlatency.report import html

        entry = self._checkup.reporting.entry(attempt.result())
        html.show(report, entry, with_details=not attempt.is_in_html)
        attempt.is_in_html = True

    # --- what fixtures ask for

    def check_of(self, item: pytest.Item) -> Check:
        """The item's check; skips the item when there is no network to check.

        Raises ``ConfigError`` when there is one, and the item never said that it needs it.
        """
        check = item.stash.get(CHECK_KEY, None)
        if check is None:
            if not is_kv_item(item) and self._checkup.settings().nad:
                raise ConfigError(
                    f"{item.nodeid} requests a check with request.getfixturevalue, but was collected without one. "
                    "Request the fixture as an argument or with usefixtures, or mark the test with kvlatency"
                )
            _skip()
        return check

    def latency_of(self, item: pytest.Item, check: Check) -> Latency:
        """Measure now, as a fixture asks for it.

        When the body asks (``request.getfixturevalue``), what it has done meanwhile is part of what it wants to
        measure: it is measured anew, and the measurement of the set-up, which nobody had asked for, goes to ``extra``.
        """
        del check
        attempt = item.stash[STATE_KEY]
        if attempt.measurement is not None and not attempt.was_asked_for:
            attempt.extra.append(attempt.measurement)
            attempt.measurement = None
        attempt.was_asked_for = True
        return Latency(self._measure(item))

    def ping_of(self, item: pytest.Item) -> Ping:
        """The callable that measures again."""
        return Ping(self, item)

    @contextmanager
    def owning_pair(self, item: pytest.Item, check: Check) -> Iterator[Pair]:
        """Own both guests until the item's teardown."""
        attempt = item.stash[STATE_KEY]
        self._count(attempt, check)
        try:
            try:
                pair = self._checkup.own_pair(check, holder=attempt)
            except KvLatencyError as error:
                self._fail(attempt, error)
            attempt.owns_pair = True
            yield pair
        finally:
            # Whatever ends it, and also while it is still waited for.
            attempt.owns_pair = False
            if self._checkup.engine is not None:
                self._checkup.engine.release(attempt)

    def measure_again(self, item: pytest.Item, parameters: dict[str, object]) -> Latency:
        """Measure the item's owned pair with other ping parameters; kept under ``extra``."""
        attempt = item.stash[STATE_KEY]
        check = self.check_of(item)
        known = {name: value for name, value in parameters.items() if name in PING_OPTIONS}
        wrong = [unknown_argument("kv_ping", name, PING_OPTIONS) for name in parameters if name not in known]
        try:
            ping = self._checkup.collecting.settings_of(item, kv_ping=known).ping
        except SettingsError as error:
            raise ConfigError("; ".join([*wrong, *error.messages])) from None
        if wrong:
            raise ConfigError("; ".join(wrong))
        unlimited = replace(check, limits=NO_LIMITS)
        tried = self._checkup.measure_owned(unlimited, ping, holder=attempt, confirm=False)
        attempt.extra.append(tried.measurement)
        if tried.error is not None:
            self._fail(attempt, tried.error)
        return Latency(tried.measurement)

    # --- inside

    def _measure(self, item: pytest.Item) -> Measurement:
        attempt = item.stash[STATE_KEY]
        if attempt.measurement is not None:
            return attempt.measurement
        check = self.check_of(item)
        self._count(attempt, check)
        try:
            if attempt.owns_pair:
                tried = self._checkup.measure_owned(check, check.ping, holder=attempt, confirm=True)
            else:
                tried = self._checkup.measure(item, check, holder=attempt, anew=attempt.is_set_up)
        except KvLatencyError as error:
            self._fail(attempt, error)
        measured = attempt.measurement = tried.measurement
        self._describe(item, attempt)
        if tried.error is not None:
            self._raise(attempt, tried.error)
        if measured.result is not None:
            failures = (*measured.failures, *judgements(item, measured))
            measured = attempt.measurement = replace(measured, failures=failures)
        return measured

    def _count(self, attempt: Attempted, check: Check) -> None:
        """Let the engine know of a user of the guests that the plan did not foresee: a rerun."""
        if attempt.is_counted:
            return
        try:
            self._checkup.begin().take_again(check)
        except KvLatencyError as error:
            self._fail(attempt, error)
        attempt.is_counted = True

    def _describe(self, item: pytest.Item, attempt: Attempted) -> None:
        """Give the numbers to JUnit, instead of those of an earlier attempt."""
        names = item.stash.get(PROPERTIES_KEY, frozenset[str]())
        kept = [one for one in item.user_properties if one[0] not in names]
        properties = item_properties(numbers_of(attempt.measurement))
        item.user_properties[:] = [*kept, *properties]
        item.stash[PROPERTIES_KEY] = frozenset(name for name, _ in properties)

    def _let_go(self, attempt: Attempted) -> None:
        engine = self._checkup.engine
        if engine is None:
            return
        engine.release(attempt)
        if attempt.check is None or not attempt.is_counted:
            return
        attempt.is_counted = False
        keep = self._checkup.inputs.given.keep
        try:
            if attempt.outcome in ("failed", "error"):
                engine.save_evidence(attempt.check)
                attempt.transcript_file = self._transcript_file(attempt)
        finally:
            if keep == "always" or (keep == "failed" and attempt.outcome in ("failed", "error")):
                engine.keep(attempt.check)
            engine.let_go(attempt.check)

    def _fail(self, attempt: Attempted, error: KvLatencyError) -> NoReturn:
        attempt.failures.append(failure_of(error))
        self._raise(attempt, error)

    @staticmethod
    def _raise(attempt: Attempted, error: KvLatencyError) -> NoReturn:
        # What was measured ahead may be the measurement of several items.
        attempt.raised = again(error)
        raise attempt.raised from None

    def _rerun_command(self, item: pytest.Item) -> str:
        return rerun.command(
            self._checkup.config, self._checkup.role.selectable(item), self._checkup.inputs.given
        )

    def _transcript_file(self, attempt: Attempted) -> str | None:
        source = None if attempt.measurement is None else attempt.measurement.source
        file = None if source is None else self._checkup.artifacts.transcript_file(source.vmi_name)
        return None if file is None else str(file)


def _is_worded(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Whether a phase ended with an error that the plugin puts into words: it had no body to blame."""
    error = None if call.excinfo is None else call.excinfo.value
    attempt = item.stash.get(STATE_KEY, None)
    is_raised_here = attempt is not None and error is attempt.raised
    return isinstance(error, KvLatencyError) and (call.when == "setup" or is_raised_here)


def _skip() -> NoReturn:
    # The underscore is pytest's: it makes the report name the test instead of this line.
    raise pytest.skip.Exception(NO_NAD, _use_item_location=True)


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
