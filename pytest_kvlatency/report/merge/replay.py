"""A document as JUnit and HTML: replayed as a run of pytest, so that its own writers make both as in any run."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import pytest

from pytest_kvlatency.errors import (
    CheckFailedError,
    CheckupTimeoutError,
    ConfigError,
    ConnectivityError,
    GuestError,
    InterruptedRunError,
    KvLatencyError,
    LimitExceeded,
    PermissionDeniedError,
    ProvisionError,
    TeardownError,
)
from pytest_kvlatency.escape import for_html, printable
from pytest_kvlatency.report import files, html
from pytest_kvlatency.report.document import TIMESTAMP, timestamp
from pytest_kvlatency.report.failure import FailureRepr
from pytest_kvlatency.report.junit import cluster_properties, describe_suite, item_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal

    When = Literal["setup", "call", "teardown"]

#: The phase that tells how an item ended, and what it tells.
_PHASES: Final[Mapping[str, tuple[When, Literal["passed", "failed", "skipped"]]]] = {
    "passed": ("call", "passed"),
    "failed": ("call", "failed"),
    "error": ("setup", "failed"),
    "skipped": ("setup", "skipped"),
    "xfailed": ("call", "skipped"),
    "xpassed": ("call", "passed"),
    "notrun": ("setup", "skipped"),
}
_ERRORS: Final[Mapping[str, type[KvLatencyError]]] = {
    "config": ConfigError,
    "permission": PermissionDeniedError,
    "provision": ProvisionError,
    "guest": GuestError,
    "connectivity": ConnectivityError,
    "loss": LimitExceeded,
    "latency": LimitExceeded,
    "timeout": CheckupTimeoutError,
    "interrupted": InterruptedRunError,
    "teardown": TeardownError,
}
#: Nothing of the directory, of the user's configuration and of other plugins has a say, and nothing is printed.
_BARE: Final = ("-c", os.devnull, "--noconftest", *(f"-pno:{name}" for name in (
    "terminal", "cacheprovider", "capture", "faulthandler", "logging",
)))  # fmt: skip
_FOREIGN: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
_HTML_PLUGINS: Final = ("-ppytest_metadata.plugin", "-ppytest_html.plugin")
#: How a run that collects nothing ends: by what was reported to have failed.
_WHOLE: Final = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
# pytest-html says how long its own run took.
_TOOK: Final = re.compile(r'(<p class="run-count">\d+ tests? took )[^<]*(</p>)')


def write_junit(document: Mapping[str, Any], target: Path) -> None:
    """Write the JUnit file of a document. Raises ``ReportError``."""
    start, end = _span(document)

    def finish(made: Path) -> None:
        tree = ET.parse(made)  # noqa: S314 - pytest has just written it
        for suite in tree.getroot().iter("testsuite"):
            # Of when and where it was measured pytest knows nothing.
            suite.attrib.pop("hostname", None)
            suite.set("timestamp", start.isoformat())
            suite.set("time", f"{(end - start).total_seconds():.3f}")
        text = ET.tostring(tree.getroot(), encoding="unicode")
        files.write(
            f'<?xml version="1.0" encoding="utf-8"?>{text}', target, name="JUnit", option="--junitxml"
        )

    _replay(document, "JUnit", target, ["--junitxml"], finish)


def write_html(document: Mapping[str, Any], target: Path, *, is_self_contained: bool) -> None:
    """Write the HTML report of a document; unless it is self-contained, with a folder ``assets`` beside it.

    Raises ``ReportError``.
    """
    start, end = _span(document)

    def finish(made: Path) -> None:
        text = _TOOK.sub(rf"\g<1>{end - start}.\g<2>", made.read_text(encoding="utf-8"))
        files.write(text, target, name="HTML", option="--html")
        assets = made.parent / "assets"
        try:
            if assets.exists():
                shutil.copytree(assets, target.parent / assets.name, dirs_exist_ok=True)
        except OSError as error:
            raise files.unwritten(target.parent / assets.name, error, name="HTML", option="--html") from error

    options = ["--self-contained-html"] if is_self_contained else []
    _replay(document, "HTML", target, [*_HTML_PLUGINS, *options, "--html"], finish)


def _replay(
    document: Mapping[str, Any],
    name: str,
    target: Path,
    options: Sequence[str],
    finish: Callable[[Path], None],
) -> None:
    """Let pytest make a report where nothing is in its way, and finish it there. Raises ``ReportError``."""
    try:
        with TemporaryDirectory(prefix="kvlatency-merge-") as directory:
            made = Path(directory, target.name)
            replay = Replay(document)
            with _without_plugins():
                status = pytest.main([*_BARE, "--rootdir", directory, *options, str(made)], plugins=[replay])
            if status == pytest.ExitCode.INTERRUPTED:
                # pytest has written half of the report, and takes the interrupt for its own.
                raise KeyboardInterrupt
            if status not in _WHOLE or not made.is_file():
                why = replay.problem or f"pytest ended with exit status {int(status)}"
                raise files.ReportError(f"cannot make the {name} report of {target}: {why}")
            finish(made)
    except OSError as error:
        raise files.ReportError(f"cannot make the {name} report of {target}: {error}") from error


@contextmanager
def _without_plugins() -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in _FOREIGN}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class Replay:
    """The only plugin of a pytest run that collects and runs nothing: it reports what the document says was run."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        #: What kept the run from its end.
        self.problem = ""

    def pytest_collection(self) -> bool:
        """Collect nothing."""
        return True

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Report every attempt at every item, phase by phase."""
        config = session.config
        is_html = bool(getattr(config.option, "htmlpath", None))
        entries = self._document["measurements"]
        last = {entry["nodeid"]: entry["attempt"] for entry in entries}
        for entry in entries:
            for report, is_telling in _reports(entry, is_last=entry["attempt"] == last[entry["nodeid"]]):
                if is_html and is_telling:
                    html.show(report, entry, with_details=report.when != "teardown")
                config.hook.pytest_runtest_logreport(report=report)
        describe_suite(config, self._document)
        return True

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """Keep what went wrong, instead of printing a traceback."""
        self.problem = self.problem or printable(excinfo.exconly(tryshort=True))
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_metadata(self, metadata: dict[str, Any]) -> None:
        """Show the cluster where pytest-html shows its environment: this machine has measured nothing."""
        metadata.clear()
        facts = [
            *cluster_properties(self._document["cluster"]),
            *((name, str(self._document[name])) for name in ("startTimestamp", "completionTimestamp")),
        ]
        metadata.update({name: for_html(value) for name, value in facts})

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str], postfix: list[str]) -> None:
        """Say what the plan came to, and add the matrices."""
        html.summary(prefix, postfix, self._document)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Add the numbers' columns."""
        html.header(cells)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Add the numbers of one item."""
        html.row(report, cells)


def _reports(entry: Mapping[str, Any], *, is_last: bool) -> Iterator[tuple[pytest.TestReport, bool]]:
    """Give the reports that pytest gave of an attempt, and whether each tells how it ended.

    Of an attempt that was followed by another the rerun plugins leave out what comes after that.
    """
    when, outcome = _PHASES[entry["outcome"]]
    if entry["outcome"] == "error" and str(entry["failureReason"]).startswith("teardown:"):
        when = "teardown"
    if entry["outcome"] == "skipped" and entry["transmitted"] is not None:
        when = "call"
    if when != "setup":
        yield _report(entry, "setup", "passed"), False
    if when == "teardown":
        yield _report(entry, "call", "passed"), True
    told = _report(entry, when, outcome if is_last else "rerun")
    told.duration = (entry["timings"] or {}).get("measure") or 0.0
    if outcome == "failed":
        told.longrepr = _longrepr(entry)
    elif entry["outcome"] in ("xfailed", "xpassed"):
        told.wasxfail = entry["failureReason"] or ""
    elif outcome == "skipped":
        words = "not run: the run of its shard ended before" if entry["outcome"] == "notrun" else "skipped"
        told.longrepr = (told.fspath, 0, f"Skipped: {words}")
    yield told, True
    if is_last and when != "teardown":
        yield _report(entry, "teardown", "passed"), False


def _report(entry: Mapping[str, Any], when: When, outcome: str) -> pytest.TestReport:
    nodeid = entry["nodeid"]
    path, _, name = nodeid.partition("::")
    return pytest.TestReport(
        nodeid=nodeid,
        location=(path, None, name),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type] # "rerun" is one where items are run again
        longrepr=None,
        when=when,
        user_properties=[(one, value) for one, value in item_properties(entry)],
    )


def _longrepr(entry: Mapping[str, Any]) -> Any:
    """Why an attempt failed, as pytest had it from the plugin; of a test's own failure there is no traceback."""
    text = entry["failureReason"] or f"run: the test ended as {entry['outcome']}"
    stage, _, reason = text.partition(": ")
    kind = entry["failureKind"]
    if kind in (None, "assertion") or not reason:
        return printable(reason or text)
    error = _ERRORS.get(kind, CheckFailedError)(reason)
    error.transcript = entry["transcript"] or ""
    error.stage = stage  # type: ignore[assignment] # as the document has it
    return FailureRepr(error, rerun="")


def _span(document: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """From the first shard's start to the last one's end. Raises ``ReportError``."""
    try:
        first, last = (
            datetime.strptime(document[name], TIMESTAMP).replace(tzinfo=timezone.utc)
            for name in ("startTimestamp", "completionTimestamp")
        )
    except ValueError as error:
        example = timestamp(datetime.now(timezone.utc))
        raise files.ReportError(f"cannot read when it was measured: {error}; valid is {example}") from error
    return first, last
