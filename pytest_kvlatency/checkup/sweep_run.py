"""``--kv-sweep``: the VMIs that killed runs left are removed before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import HIDDEN, InterruptedRunError, KvLatencyError
from pytest_kvlatency.model import failure_of
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    import pytest

    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState

SWEEP_SECONDS: Final = 120.0
__tracebackhide__ = HIDDEN


@dataclass(kw_only=True)
class SweepRun:
    """Sweeps once in a run, where that is asked for."""

    state: RunState
    role: Role
    cluster: ClusterSession
    #: What was done, for the terminal.
    lines: list[str] = field(init=False, default_factory=list)

    def go_first(self, session: pytest.Session) -> None:
        """Sweep before anything is measured.

        What goes wrong fails the run, and hinders nothing else. Raises ``session.Interrupted`` on a signal.
        """
        state = self.state
        if session.testsfailed and not state.config.option.continue_on_collection_errors:
            return
        if not self._begins():
            return
        state.signals.install()
        deadline = Deadline(SWEEP_SECONDS, stop=state.stop)
        try:
            state.waiter.wait(
                Threads(1, "kvlatency-sweep").submit(self._sweep, deadline),
                deadline=deadline,
                text=lambda: "kvlatency: removing the VMIs of killed runs",
                what=lambda: "the removal of the VMIs of killed runs",
            )
        except InterruptedRunError:
            raise session.Interrupted(state.stop.reason) from None

    def catch_up(self) -> None:
        """Sweep if a ConfigMap asks for it that the workers of pytest-xdist have read: it is known only now."""
        if self._begins():
            self._sweep(Deadline(SWEEP_SECONDS, stop=self.state.stop))

    def _begins(self) -> bool:
        """Whether this process sweeps, and has not begun: of workers and shards only one does."""
        given, results = self.state.inputs.given, self.state.results
        shard = given.shard
        is_one = not self.role.is_worker and (shard is None or shard.index == 0)
        if given.sweep and shard is not None and shard.index:
            self.lines = ["--kv-sweep is left to shard 0"]
        begins = given.sweep and is_one and self.state.may_contact and results.swept is None
        if begins:
            results.swept = ()
            results.is_sweep_only = not given.nad and given.configmap is None
        return begins

    def _sweep(self, deadline: Deadline) -> None:
        """Sweep, and enter what came of it. Raises ``InterruptedRunError``."""
        from pytest_kvlatency.kube.sweep import sweep, words

        try:
            swept = sweep(self.cluster.client(), self.cluster.namespace, deadline)
        except InterruptedRunError:
            raise
        except KvLatencyError as error:
            self._not_swept(error)
            return
        self.state.results.swept = tuple(map(str, swept.removed))
        self.lines = words(swept, self.cluster.namespace)
        for problem in swept.problems:
            self._not_swept(problem)

    def _not_swept(self, error: KvLatencyError) -> None:
        failure = failure_of(error)
        self.state.results.failures.append(replace(failure, reason=f"--kv-sweep: {failure.reason}"))
