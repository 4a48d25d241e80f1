"""What the terminal says of a run in its header and in its summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report import checklist
from pytest_kvlatency.report.terminal.summary import write_summary

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.collection import Collection
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_selection import Selection
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.sweep_run import SweepRun
    from pytest_kvlatency.model import Failure
    from pytest_kvlatency.report.screen import Screen

LAB_IS_OVER: Final = (
    "kvlatency: the lab ended with the run, and these VMIs with it. For a lab that stays, run "
    "python -m pytest_kvlatency.lab up, and use its kubeconfig (--kv-kubeconfig)"
)


@dataclass(frozen=True, kw_only=True)
class TerminalSummary:
    """Gives the header's lines, and writes the summary."""

    state: RunState
    role: Role
    items: Items
    collection: Collection
    selection: Selection
    measuring: MeasuringSession
    sweep: SweepRun

    def header(self) -> list[str]:
        """Each value that is not a default, and where it came from; empty without kvlatency items."""
        option, share = self.state.config.option, self.state.share
        is_quiet = option.collectonly and getattr(option, "verbose", 0) < 0
        if is_quiet or share is None or not (self.items.total or share.is_empty):
            # A quiet list of tests is for programs.
            hint = "" if is_quiet or self.selection.collection_errors else self.collection.idle_hint()
            return [hint] if hint else []
        changed = self.state.inputs.given.changed()
        lines = [f"kvlatency: {name} = {value} ({source})" for name, value, source in changed]
        lines += [f"kvlatency: {text}" for text in self.state.results.left_out]
        return lines + share.header()

    def write(self, screen: Screen) -> None:
        """Write the table, and what went wrong outside of items, at the end of the terminal's report."""
        access, results = self.state.access, self.state.results
        document, redact = results.document, access.redactor()
        for line in self.sweep.lines:
            screen.write_line(f"kvlatency: {printable(redact(line))}")
        if document is not None and document["measurements"]:
            write_summary(screen.writer, document)
            if access.lab_line:
                screen.write_line(printable(access.lab_line))
        findings = None if document is None else document["preflight"]
        if findings is not None:
            checklist.write(screen.writer, findings)
        # A checklist has said its own failures.
        self._write_failures(screen, of_the_run=() if findings is not None else results.of_the_run)
        for note in results.notes:
            screen.write_line(f"kvlatency: note: {printable(redact(note))}", yellow=True)
        if results.told:
            screen.write_line(f"kvlatency: {results.told}")
        self._write_kept(screen)

    def _write_failures(self, screen: Screen, *, of_the_run: tuple[Failure, ...]) -> None:
        results, redact = self.state.results, self.state.access.redactor()
        for failure in dict.fromkeys((*of_the_run, *results.failures)):
            if failure in self.selection.said:
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
