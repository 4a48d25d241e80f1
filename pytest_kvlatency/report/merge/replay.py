"""A document as a run of pytest, in which nothing is run: its own writers of reports see what they see in any run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.escape import for_html, printable
from pytest_kvlatency.report import html
from pytest_kvlatency.report.junit.properties import cluster_properties
from pytest_kvlatency.report.merge.phases import reports_of

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            for report, is_telling in reports_of(entry, is_last=entry["attempt"] == last[entry["nodeid"]]):
                if is_html and is_telling:
                    html.show(report, entry, with_details=report.when != "teardown")
                config.hook.pytest_runtest_logreport(report=report)
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
