"""What the controller does for its workers: all that a run has only one of, once, however many ask for it.

A worker sends the method that it wants called, with its arguments, and is sent what that returns or raises: all of it
is pickled.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pytest_kvlatency.checkup.run_state import CONTACT_SECONDS
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.checkup.role import Local, RunPlan
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.xdist.workers import Workers
    from pytest_kvlatency.config.parsers import NodeSet, Toleration
    from pytest_kvlatency.config.sources import Layer
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.kube.nodes import SeenNodes
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import Check, Failure, NodeChoice
    from pytest_kvlatency.report.run import ItemResult

    #: A method of ``Services``, by a worker that names its arguments; called with the worker's name.
    Message = Callable[["Services", str], "T"]

T = TypeVar("T")
EACH: Final = "--dist each would measure every pair in every worker: use another --dist, or leave -n out"


class Services:
    """Called for each worker, by its name, in a thread of its own; work that takes time is done under no lock."""

    def __init__(self, state: RunState, local: Local, workers: Workers) -> None:
        self.workers = workers
        self._state = state
        self._local = local
        self._lock = threading.Lock()
        self._once: dict[object, Future[object]] = {}
        self._is_planned = False
        #: Why the run is to end with a usage error; empty when it is not.
        self.refusal = ""
        self._kept: list[str] = []
        #: The kvlatency items of the workers by node id, once the first has collected them, and their checks.
        self.checks: Mapping[str, Check | None] = {}

    @property
    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that workers have left on purpose, a line each."""
        with self._lock:
            return list(self._kept)

    def hello(self, worker: str, pid: int) -> None:
        """Know which process a worker is; it says so first."""
        self.workers.has_connected(worker, pid)

    # --- while items are collected

    def refuse(self, _: str, text: str) -> None:
        """Have the run end with a usage error. A worker that ended by itself would only be replaced by another."""
        with self._lock:
            self.refusal = self.refusal or text

    def parameters(self, _: str) -> Sequence[Layer]:
        """What the ConfigMap says. Raises ``pytest.UsageError``, which the ConfigMap has been told by then."""
        return self._only_once("parameters", self._local.parameters)

    def nodes(self, _: str, node_set: NodeSet | None, tolerations: tuple[Toleration, ...]) -> NodeChoice:
        """The nodes of a node set, the same for every worker. Raises ``KvLatencyError``."""

        def discover() -> NodeChoice:
            given = self._state.inputs.given
            return self._local.discover(replace(given, node_set=node_set, tolerations=tolerations))

        return self._only_once((node_set, tolerations), discover)

    def take_plan(self, worker: str, plan: RunPlan) -> None:
        """Take the plan of the first worker, since all collect the same."""
        with self._lock:
            if self._is_planned:
                return
            self._is_planned = True
        if plan.checks and self._state.config.getoption("dist", "no") == "each":
            self.refuse(worker, EACH)
        self._local.adopt(plan)
        self.checks = plan.checks

    # --- while items run

    def lab_kubeconfig(self, _: str) -> str:
        """How to reach the lab, once it runs. Raises ``KvLatencyError``."""
        self._only_once("client", self._local.client)
        return str(self._state.access.lab_kubeconfig)

    def facts(self, _: str) -> tuple[ClusterFacts | None, SeenNodes | None]:
        """What the cluster and its nodes are; by then the ConfigMap says that the run has begun.

        Raises ``KvLatencyError``.
        """
        deadline = Deadline(CONTACT_SECONDS, stop=self._state.stop)
        checks = [check for check in self.checks.values() if check is not None]
        self._only_once("open", lambda: self._local.open(checks, deadline))
        return self._state.results.cluster_facts, self._state.nodes

    def vmi_made(self, worker: str, handle: VmiHandle) -> None:
        """Know a VMI by name before it is created, and again with its uid: it is removed when the worker dies."""
        self.workers.has_made(worker, handle)

    def vmi_gone(self, worker: str, handle: VmiHandle) -> None:
        """Forget a VMI that needs no more care."""
        self.workers.needs_no_more(worker, handle)

    def take_attempt(self, worker: str, result: ItemResult, *, is_over: bool) -> None:
        """Know how far an attempt at an item is."""
        self.workers.has_attempted(worker, result, is_over=is_over)
        self._local.tally.take(result, is_over=is_over)

    def take_waits(self, worker: str, waits: Sequence[Wait]) -> None:
        """Know what a worker is waiting for, until it tells something else."""
        self.workers.waits_for(worker, waits)

    # --- the end

    def take_last_words(self, _: str, failures: Sequence[Failure], kept: Sequence[str]) -> None:
        """Take what a worker says when it ends in order: what went wrong outside of items, and what stays."""
        with self._lock:
            self._state.results.failures += failures
            self._kept += kept

    def _only_once(self, what: object, work: Callable[[], T]) -> T:
        """Do something for the first who asks, and give all others the same answer, or the same error."""
        mine: Future[T] = Future()
        with self._lock:
            answer = cast("Future[T]", self._once.setdefault(what, cast("Future[object]", mine)))
        if answer is mine:
            try:
                mine.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised below, and again for each who asks later
                mine.set_exception(error)
        return result_of(answer)
