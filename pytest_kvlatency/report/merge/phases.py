"""The reports that pytest gave of an attempt at an item, phase by phase, from the document's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.escape import printable
from pytest_kvlatency.ping.verdict import error_of
from pytest_kvlatency.report.failure import FailureRepr
from pytest_kvlatency.report.junit.properties import item_properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    When = Literal["setup", "call", "teardown"]
    Told = Literal["passed", "failed", "skipped"]

#: The phase that tells how an item ended, and what it tells; unless the entry says more (see ``_telling_phase``).
_PHASES: Final[Mapping[str, tuple[When, Told]]] = {
    "passed": ("call", "passed"),
    "failed": ("call", "failed"),
    "error": ("setup", "failed"),
    "skipped": ("setup", "skipped"),
    "xfailed": ("call", "skipped"),
    "xpassed": ("call", "passed"),
    "notrun": ("setup", "skipped"),
}


def reports_of(entry: Mapping[str, Any], *, is_last: bool) -> Iterator[tuple[pytest.TestReport, bool]]:
    """Give the reports that pytest gave of an attempt, and whether each tells how it ended.

    Of an attempt that was followed by another the rerun plugins leave out what comes after that.
    """
    when, outcome = _telling_phase(entry)
    if when != "setup":
        yield _report(entry, "setup", "passed"), False
    if when == "teardown":
        yield _report(entry, "call", "passed"), True
    telling = _report(entry, when, outcome if is_last else "rerun")
    telling.duration = (entry["timings"] or {}).get("measure") or 0.0
    _explain(telling, entry, outcome)
    yield telling, True
    if is_last and when != "teardown":
        yield _report(entry, "teardown", "passed"), False


def _telling_phase(entry: Mapping[str, Any]) -> tuple[When, Told]:
    """The phase that tells how the attempt ended, and what it tells."""
    when, outcome = _PHASES[entry["outcome"]]
    if entry["outcome"] == "error" and str(entry["failureReason"]).startswith("teardown:"):
        return "teardown", outcome
    if entry["outcome"] == "skipped" and entry["transmitted"] is not None:
        return "call", outcome
    return when, outcome


def _explain(telling: pytest.TestReport, entry: Mapping[str, Any], outcome: Told) -> None:
    """Say in the report why the attempt ended so, unless it passed."""
    if outcome == "failed":
        telling.longrepr = _longrepr(entry)
    elif entry["outcome"] in ("xfailed", "xpassed"):
        telling.wasxfail = entry["failureReason"] or ""
    elif outcome == "skipped":
        words = "not run: its shard ended before it" if entry["outcome"] == "notrun" else "skipped"
        telling.longrepr = (telling.fspath, 0, f"Skipped: {words}")


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
    error = error_of(kind, reason)
    error.transcript = entry["transcript"] or ""
    error.stage = stage  # type: ignore[assignment] # as the document has it
    return FailureRepr(error, rerun="")
