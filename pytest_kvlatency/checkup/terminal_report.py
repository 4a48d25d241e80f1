"""What the terminal says of a run in its header and in its summary."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.options import OPTIONS
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.escape import printable
from pytest_kvlatency.report import checklistlines
from pytest_kvlatency.report.terminal.summary import lab_line, write_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import pytest

    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.collection import Collection
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_selection import Selection
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.sweep_run import SweepRun
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import Failure
    from pytest_kvlatency.report.screen import Screen

LAB_IS_OVER: Final = (
    "kvlatency: the lab ended with the run, and these VMIs with it. For a lab that stays, run "
    "python -m pytest_kvlatency.lab up, and use its kubeconfig (--kv-kubeconfig)"
)

#: The files that pytest and pytest-html write, by the names of their options in pytest's namespace.
_OF_OTHERS: Final = {"xmlpath": "--junitxml", "htmlpath": "--html"}
_FOLDERS: Final = frozenset(option.flag for option in OPTIONS if option.metavar == "DIR")
#: A file system may keep time less exactly than the clock.
_TOLERANCE: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class TerminalReport:
    """Gives the header's lines, and writes the summary."""

    state: RunState
    role: Role
    items: Items
    collection: Collection
    selection: Selection
    cluster: ClusterSession
    measuring: MeasuringSession
    sweep: SweepRun

    def header(self) -> list[str]:
        """The cluster, and each value that is not a default with where it came from; empty without kvlatency items."""
        option, share = self.state.config.option, self.state.share
        is_quiet = option.collectonly and getattr(option, "verbose", 0) < 0
        if is_quiet or share is None or not (self.items.total or self.state.results.is_empty_shard):
            # A quiet list of tests is for programs.
            hint = "" if is_quiet or self.selection.plan.collection_errors else self.collection.idle_hint()
            return [hint] if hint else []
        changed = self.state.inputs.given.changed()
        lines = [f"kvlatency: {name} = {value} ({source})" for name, value, source in changed]
        lines += [f"kvlatency: {text}" for text in self.state.results.left_out]
        return self._cluster_lines() + lines + share.header()

    def _cluster_lines(self) -> list[str]:
        """Which cluster will be asked, and where its VMIs will be; nothing while that is not known."""
        given = self.state.inputs.given
        if given.lab is not None:
            # It is started when something is measured, and has no namespace but this one before.
            return [f"kvlatency: cluster: the lab ({given.lab}), namespace {given.namespace or 'default'}"]
        if not self.state.may_contact:
            return []
        try:
            client = self.cluster.client()
            context = "in a pod of it" if client.context is None else f"context {client.context!r}"
            where = f"{client.server}, {context}, namespace {self.cluster.namespace}"
            return [printable(f"kvlatency: cluster: {where}")]
        except KvLatencyError:
            # Each test says why.
            return []

    def write(self, screen: Screen) -> None:
        """Write the table, and what went wrong outside of items, at the end of the terminal's report."""
        access, results = self.state.access, self.state.results
        document, redact = results.document, access.redactor()
        screen.begin_section()
        for line in self.sweep.lines:
            screen.write_line(f"kvlatency: {printable(redact(line))}")
        if document is not None and document["measurements"]:
            end = [printable(line) for line in self._end_lines(document)]
            width = max(screen.writer.fullwidth, 1)
            write_summary(screen.writer, document, reserved=sum(1 + len(line) // width for line in end))
            for line in end:
                screen.write_line(line)
        findings = None if document is None else document["preflight"]
        if findings is not None:
            checklistlines.write(screen.writer, findings)
        # A checklist has said its own failures.
        self._write_failures(screen, of_the_run=() if findings is not None else results.of_the_run)
        for note in (*results.notes, *results.comparison_notes):
            screen.write_line(f"kvlatency: note: {printable(redact(note))}", yellow=True)
        if results.told:
            screen.write_line(f"kvlatency: {results.told}")
        self._write_kept(screen)

    def _end_lines(self, document: Mapping[str, Any]) -> list[str]:
        """With which guests the lab ran, and every file that was written."""
        state = self.state
        files = _written(state.config, state.inputs.given, state.results.started_at)
        # The run's own lab also knows why it has no real guests.
        lab = state.access.lab_line or lab_line(document)
        return [*([lab] if lab else []), *([f"kvlatency: wrote {', '.join(files)}"] if files else [])]

    def _write_failures(self, screen: Screen, *, of_the_run: tuple[Failure, ...]) -> None:
        results, redact = self.state.results, self.state.access.redactor()
        for failure in dict.fromkeys((*of_the_run, *results.failures)):
            if failure in self.selection.plan.said:
                continue
            screen.write_line(f"kvlatency: {printable(redact(failure.failure_reason))}", red=True)
            for line in failure.hint.splitlines():
                screen.write_line(f"  {printable(line)}")
        for reason in results.shortfalls:
            # Where no report but this one was asked for, the run does not fail for it.
            color = "red" if self.state.is_reported_elsewhere else "yellow"
            screen.write_line(f"kvlatency: {printable(redact(reason))}", **{color: True})

    def _write_kept(self, screen: Screen) -> None:
        kept = self.role.kept_lines(self.measuring.kept_lines)
        for line in kept:
            screen.write_line(line)
        if kept and self.state.inputs.given.lab is not None:
            screen.write_line(LAB_IS_OVER)


def _written(config: pytest.Config, settings: Settings, since: datetime) -> list[str]:
    """Each file and folder that is there since the run began, with the option that asked for it."""
    return [
        f"{path} ({flag})"
        for path, flag in _asked_for(config, settings)
        if _is_new(path, since, is_folder=flag in _FOLDERS)
    ]


def _asked_for(config: pytest.Config, settings: Settings) -> Iterator[tuple[str, str]]:
    for option in OPTIONS:
        path = getattr(settings, option.attribute) if option.writes else None
        if path is not None:
            yield str(path), option.flag
    for name, flag in _OF_OTHERS.items():
        path = getattr(config.option, name, None)
        if path:
            yield os.path.expandvars(path), flag


def _is_new(path: str, since: datetime, *, is_folder: bool) -> bool:
    """Whether it was written by this run: what an earlier one left is not named."""
    try:
        place = Path(path).expanduser()
        state = place.stat()
        if place.is_dir():
            return is_folder
        return not place.is_file() or state.st_mtime >= since.timestamp() - _TOLERANCE
    except OSError:
        return False
