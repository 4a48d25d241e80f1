"""The reports that the command writes: the options that ask for them, and what each makes of the document."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report import csv, files, json, prometheus
from pytest_kvlatency.report.junit import suite
from pytest_kvlatency.report.markdown import jobsummary
from pytest_kvlatency.report.page import render as page

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    Render = Callable[[Mapping[str, Any], argparse.Namespace], str]

#: The file that stands for standard output.
STANDARD_OUTPUT: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A report. ``flags`` are its option and other names of that; ``help`` is what the option says it does."""

    name: str
    flags: tuple[str, ...]
    help: str
    render: Render

    @property
    def dest(self) -> str:
        """Where argparse puts the file."""
        return self.flags[0].strip("-")

    def path(self, given: argparse.Namespace) -> str | None:
        """The file that is asked for; None where the report is not."""
        found: str | None = getattr(given, self.dest)
        return found

    def write(self, document: Mapping[str, Any], given: argparse.Namespace) -> None:
        """Make the report and write it, whole or not at all. Raises ``ReportError``."""
        path = self.path(given)
        if path is None:
            return
        text = self.render(document, given)
        if path == STANDARD_OUTPUT:
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()
        else:
            files.write(text, path, name=self.name, option=self.flags[0])


def wanted(given: argparse.Namespace) -> Iterator[Output]:
    """The reports that are asked for."""
    return (one for one in OUTPUTS if one.path(given) is not None)


def _junit(document: Mapping[str, Any], given: argparse.Namespace) -> str:
    return suite.render(document, has_case_properties=given.case_properties)


def _html(document: Mapping[str, Any], given: argparse.Namespace) -> str:
    folder = None if given.html == STANDARD_OUTPUT else Path(given.html).absolute().parent
    return page.render(document, folder=folder)


OUTPUTS: Final = (
    Output(name="HTML", flags=("--html", "--kv-html"), help="a page that opens offline", render=_html),
    Output(
        name="JUnit",
        flags=("--junitxml", "--junit-xml"),
        help="a JUnit file, as pytest writes it (junit_family=xunit2)",
        render=_junit,
    ),
    Output(
        name="Markdown",
        flags=("--markdown",),
        help="a summary for a CI job, of at most 1 MB",
        render=lambda document, _: jobsummary.render(document),
    ),
    Output(
        name="CSV",
        flags=("--csv",),
        help="a table for a spreadsheet, with a row for each measurement",
        render=lambda document, _: csv.render(document),
    ),
    Output(
        name="Prometheus",
        flags=("--prometheus", "--kv-prometheus"),
        help="metrics in Prometheus's text format",
        render=lambda document, _: prometheus.render(document),
    ),
    Output(
        name="JSON",
        flags=("--json", "--kv-json"),
        help="the document itself; of shards, that of the whole plan",
        render=lambda document, _: json.dumps(document),
    ),
)
