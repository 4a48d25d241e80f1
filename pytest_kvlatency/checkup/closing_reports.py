"""The reports that are due when a run ends, and its exit status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.deadline import Deadline

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.stopping import Stopping

#: Whoever stops a run may kill it 5 s later: so long for the status, besides what the deletions are given.
STATUS_SECONDS: Final = 3.0
# Longer than an answer takes that the client waits for: by then the VMIs are gone, and it may be the only try left.
LAST_STATUS_SECONDS: Final = 20.0
REPORT_SECONDS: Final = 60.0


@dataclass(kw_only=True)
class ClosingReports:
    """Writes the ConfigMap and the files that are made of the document, as often as more is known."""

    state: RunState
    items: Items
    stopping: Stopping
    #: Whether the cluster can still be reached: a lab ends with the run, and its ConfigMap with that.
    is_cluster_there: bool = field(init=False, default=True)

    def make_document(self) -> dict[str, Any]:
        """Make the document of what is known now."""
        return self.state.results.make_document(self.items.results())

    def write(self, *, is_last: bool) -> dict[str, Any]:
        """Write the reports that others may wait for; the ConfigMap first, and files with what became of that."""
        self.make_document()
        self._write_configmap(is_last=is_last)
        document = self.make_document()
        if not self.write_files():
            document = self.make_document()
            self._write_configmap(is_last=is_last)
            # Those that can be written say now that another one cannot.
            self.write_files()
        return document

    def write_files(self) -> bool:
        """Write the files that are made of the document that was made last; whether that went well."""
        return self.state.results.write_files(self.state.inputs.given)

    def set_exit_status(self, session: pytest.Session) -> None:
        """Have the session end with what the reports say."""
        results, configmap = self.state.results, self.state.inputs.configmap
        may_be_empty = results.is_empty_shard or results.is_sweep_only
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and may_be_empty:
            session.exitstatus = pytest.ExitCode.OK
        has_ended_well = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if configmap is not None and configmap.is_taken:
            # Refused, as where that is known before anything runs.
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self.stopping.signal_at_the_end and has_ended_well:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        elif self._has_failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @property
    def _has_failed(self) -> bool:
        """Whether the run must not pass: something went wrong outside of items, or a report says that it failed."""
        results = self.state.results
        if results.failures:
            return True
        document = results.document
        return self.state.is_reported_elsewhere and document is not None and not document["succeeded"]

    def _write_configmap(self, *, is_last: bool) -> None:
        if not self.is_cluster_there:
            return
        results, configmap, trouble = self.state.results, self.state.inputs.configmap, None
        stop, seconds = self.stopping.end_stop, STATUS_SECONDS
        if is_last:
            seconds = LAST_STATUS_SECONDS if self.stopping.hurries else REPORT_SECONDS
        if not stop.is_set():
            trouble = results.write_configmap(configmap, Deadline(seconds, stop=stop))
        if stop.is_set():
            # No stop ends this one: it is short, and without it a ConfigMap would look in use for ever.
            trouble = results.write_configmap(configmap, Deadline(STATUS_SECONDS))
        if trouble is not None and is_last:
            results.add_failure(trouble)
