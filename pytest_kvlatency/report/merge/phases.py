"""The reports that pytest gave of an attempt at an item, phase by phase, from the document's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.escape import printable
from pytest_kvlatency.ping.verdict import error_of
from pytest_kvlatency.report.failure import FailureRepr
from pytest_kvlatency.report.junit import item_properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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


def reports_of(entry: Mapping[str, Any], *, is_last: bool) -> Iterator[tuple[pytest.TestReport, bool]]:
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
        words = "not run: its shard ended before it" if entry["outcome"] == "notrun" else "skipped"
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
    error = error_of(kind, reason)
    error.transcript = entry["transcript"] or ""
    error.stage = stage  # type: ignore[assignment] # as the document has it
    return FailureRepr(error, rerun="")
