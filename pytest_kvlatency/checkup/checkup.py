"""The one place where the parts of a run are put together: each is made, and handed the others that it needs."""

from __future__ import annotations

import contextlib

import pytest

from pytest_kvlatency.checkup.closing_reports import ClosingReports
from pytest_kvlatency.checkup.cluster_session import ClusterSession
from pytest_kvlatency.checkup.collected_first import First
from pytest_kvlatency.checkup.collection import Collection
from pytest_kvlatency.checkup.folding import Folding
from pytest_kvlatency.checkup.inputs import usage_lines
from pytest_kvlatency.checkup.item_phases import Phases
from pytest_kvlatency.checkup.items import Items
from pytest_kvlatency.checkup.measurements import Measurements
from pytest_kvlatency.checkup.measuring_session import MeasuringSession
from pytest_kvlatency.checkup.planning import Planning
from pytest_kvlatency.checkup.preflight_run import PreflightRun
from pytest_kvlatency.checkup.role import Local, Role
from pytest_kvlatency.checkup.run_selection import Selection
from pytest_kvlatency.checkup.run_state import RunState
from pytest_kvlatency.checkup.statuswords import StatusWords
from pytest_kvlatency.checkup.stopping import Stopping
from pytest_kvlatency.checkup.sweep_run import SweepRun
from pytest_kvlatency.checkup.teardown import Teardown
from pytest_kvlatency.checkup.terminal_report import TerminalReport
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.report.outlets import Outlets
from pytest_kvlatency.shortage import told


class Checkup:
    """One whole run, from pytest's configuration to its end: what pytest's hooks and the fixtures reach.

    Nothing is contacted before a kvlatency item runs, but for the ConfigMap that parameters come from.
    """

    def __init__(self, config: pytest.Config) -> None:
        state = self.state = RunState(config)
        role = self.role = _role_of(state)
        stopping = Stopping(state, role)
        items = Items()
        # Before anything is measured.
        cluster = ClusterSession(state=state, role=role)
        planning = self.planning = Planning(state=state, role=role, cluster=cluster)
        collection = self.collection = Collection(state, planning)
        selection = self.selection = Selection(
            state=state, role=role, cluster=cluster, planning=planning, collection=collection, items=items
        )
        sweep = self.sweep = SweepRun(state=state, role=role, cluster=cluster)
        # Measuring, or the preflight in its place.
        measuring = self.measuring = MeasuringSession(
            state=state, role=role, cluster=cluster, sweep=sweep, tally=items.tally
        )
        measurements = self.measurements = Measurements(
            measuring=measuring, planning=planning, collection=collection
        )
        self.preflight = PreflightRun(state=state, cluster=cluster, measuring=measuring, items=items)
        # The end.
        teardown = self.teardown = Teardown(
            state=state,
            role=role,
            items=items,
            selection=selection,
            measuring=measuring,
            stopping=stopping,
            reports=ClosingReports(state=state, items=items, stopping=stopping),
        )
        self.terminal_report = TerminalReport(
            state=state,
            role=role,
            items=items,
            collection=collection,
            selection=selection,
            cluster=cluster,
            measuring=measuring,
            sweep=sweep,
        )
        self.phases = Phases(
            state=state,
            role=role,
            items=items,
            cluster=cluster,
            measuring=measuring,
            measurements=measurements,
            clean_up=teardown.clean_up,
        )
        role.serve(
            Local(
                client=cluster.client,
                parameters=planning.parameters,
                discover=cluster.discover,
                open=measuring.open_cluster,
                adopt=selection.adopt,
                header=self.terminal_report.header,
                tally=items.tally,
            )
        )

    @classmethod
    def configure(cls, config: pytest.Config) -> Checkup:
        """Read the options. Raises ``pytest.UsageError`` for wrong ones, without a traceback."""
        try:
            with told():
                checkup = cls(config)
                checkup.selection.refuse_distribution()
        except KvLatencyError as error:
            raise pytest.UsageError(usage_lines(error)) from None
        return checkup

    def attend(self) -> None:
        """See what happens to pytest's session from now on, however far that is."""
        config = self.state.config
        session: pytest.Session | None = config.pluginmanager.get_plugin("session")
        if session is not None:
            self.teardown.session = session
        config.pluginmanager.register(First(config, self._add_own_check), "kvlatency-first")
        config.pluginmanager.register(Folding(config, self.state.results), "kvlatency-folding")
        config.pluginmanager.register(StatusWords(), "kvlatency-status-words")
        config.pluginmanager.register(Outlets(config, self.state.access.redactor), "kvlatency-outlets")

    def _add_own_check(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        with self.role.refusing(), self.state.inputs.noting_refusals():
            self.collection.add_own_check(session, items)

    def close(self) -> None:
        """Close what an unusual end has left open, and end what it has not ended."""
        self.teardown.make_up()
        reporter = self.state.config.pluginmanager.get_plugin("terminalreporter")
        # From here on a signal ends the process, with whatever it has not written yet. Other plugins' reporters may
        # lack parts of pytest's own.
        flush = getattr(reporter, "flush", None)
        if flush is not None:
            with contextlib.suppress(OSError, ValueError):
                flush()
        self.role.close()
        self.state.signals.restore()
        self.state.access.close()


def _role_of(state: RunState) -> Role:
    """What this process does of the run. Nothing of the machinery is loaded where nothing is distributed."""
    config = state.config
    if hasattr(config, "workerinput"):
        from pytest_kvlatency.checkup.xdist.worker import Worker

        return Worker(state)
    is_distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    if is_distributed and not config.option.collectonly:
        from pytest_kvlatency.checkup.xdist.controller import Controller

        return Controller(state)
    return Role()
