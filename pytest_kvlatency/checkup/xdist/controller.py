"""xdist's controller: measures nothing, and has what the run has only one of: lab, ConfigMap, addresses, reports.

It knows every VMI of its workers by name, so that it can remove what a worker that died has left.
"""

from __future__ import annotations

import _thread
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.checkup.inputs import usage_text
from pytest_kvlatency.checkup.role import Role
from pytest_kvlatency.checkup.xdist.wire import Exchange
from pytest_kvlatency.checkup.xdist.worker import INPUT, REMOTE
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import KvLatencyError, TeardownError, again
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.screen import Screen
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.sharding import Share
    from pytest_kvlatency.checkup.xdist.orphans import Orphans
    from pytest_kvlatency.config.parsers import NodeSet, Toleration
    from pytest_kvlatency.config.settings import Layer
    from pytest_kvlatency.kube.facts import ClusterFacts
    from pytest_kvlatency.kube.nodes import SeenNodes
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import Check, NodeChoice, Outcome
    from pytest_kvlatency.report.notes import Unused
    from pytest_kvlatency.report.run import ItemResult

CONTACT_SECONDS: Final = 60.0
CLEANUP_SECONDS: Final = 60.0
#: So long have workers that were stopped to ask for their VMIs' deletion and to hand over their results.
STOPPING_SECONDS: Final = 8.0
LONGEST_PLACE: Final = 64
EACH: Final = "--dist each would measure every pair in every worker: use another --dist, or leave -n out"


@dataclass(kw_only=True)
class _Known:
    """What is known of one worker. ``results`` are by item and attempt; ``open`` are those that are not over."""

    part: int
    pid: int = 0
    is_connected: bool = False
    vmis: dict[tuple[str, str], VmiHandle] = field(default_factory=dict)
    open: set[tuple[str, int]] = field(default_factory=set)


class Hooks:
    """What the controller wants to know from pytest-xdist."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker what it needs, before it starts."""
        self._controller.configure_node(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """A worker knows its items."""
        self._controller.collected()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended, in order or not."""
        self._controller.node_down(node)


class Controller(Role):
    """Answers its workers in threads of their own; the main thread is xdist's."""

    is_distributed = True

    def __init__(self, checkup: Checkup) -> None:
        super().__init__(checkup)
        self._run_id = secrets.token_hex(4)
        self._changed = threading.Condition()
        self._once_lock = threading.Lock()
        self._once: dict[object, tuple[bool, Any]] = {}
        self._exchange: Exchange | None = None
        self._directory: Path | None = None
        self._key = secrets.token_bytes(32)
        self._known: dict[str, _Known] = {}
        self._results: dict[tuple[str, str, int], ItemResult] = {}
        self._kept: list[str] = []
        self._refusal = ""
        self._is_planned = False
        self._is_announced = False
        self._is_stopping = False
        self._orphans: Orphans | None = None
        self.checks: list[tuple[str, Check | None]] = []
        checkup.config.pluginmanager.register(Hooks(self), "kvlatency-controller")

    # --- hooks of pytest-xdist

    def configure_node(self, node: Any) -> None:
        """Give a worker that is about to start the way to this process. Raises ``pytest.UsageError``."""
        if not node.gateway.spec.popen:
            if self.checkup.inputs.given.nad:
                raise pytest.UsageError(f"{node.gateway.spec}: {REMOTE}")
            return
        if self._directory is None:
            # A socket's path has little more than a hundred characters, wherever TMPDIR is.
            place = None if len(tempfile.gettempdir()) < LONGEST_PLACE else "/tmp"  # noqa: S108
            self._directory = Path(tempfile.mkdtemp(prefix="kvlatency-xdist-", dir=place))
        if self._exchange is None:
            try:
                with told():
                    self._exchange = Exchange(
                        self._directory, self._key, answer=self._answer, hung_up=self._hung_up
                    )
            except KvLatencyError as error:
                raise pytest.UsageError(usage_text(error)) from None
        count = int(node.workerinput["workercount"])
        with self._changed:
            taken = {one.part for one in self._known.values()}
            part = min(set(range(len(taken) + 1)) - taken) % count
            self._known[node.gateway.id] = _Known(part=part)
        node.workerinput[INPUT] = {
            "address": self._exchange.address,
            "key": self._key,
            "directory": str(self._directory),
            "run_id": self._run_id,
            "part": (part, count),
        }

    def collected(self) -> None:
        """A worker has collected its items. Raises ``pytest.UsageError`` for what it found wrong."""
        if self._refusal:
            if not self.checkup.reporting.failures:
                reason = self._refusal.partition("\n")[0]
                failure = Failure(kind="config", stage="config", reason=reason)
                self.checkup.reporting.failures.append(failure)
            raise pytest.UsageError(self._refusal)
        if not self.checks or self._is_announced:
            return
        self._is_announced = True
        self.checkup.signals.install()
        reporter = self.checkup.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            screen = Screen(reporter)
            for line in self.checkup.header():
                screen.write_line(line)

    def node_down(self, node: Any) -> None:
        """A worker has ended: its part of the addresses is free, and what it left is deleted at once."""
        with self._changed:
            known = self._known.get(node.gateway.id)
            if known is None:
                return
            known.part = -1
        Threads(1, "kvlatency-orphans").submit(self._bury, node.gateway.id)

    # --- what workers ask and tell, each in a thread of its own

    def _answer(self, worker: str, name: str, arguments: tuple[Any, ...]) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "hello": self._hello,
            "refuse": self._refuse,
            "planned": self._planned,
            "parameters": self._parameters,
            "discover": self._discover,
            "kubeconfig": self._kubeconfig,
            "open": self._open,
            "made": self._made,
            "gone": self._gone,
            "attempted": self._attempted,
            "finished": self._finished,
        }
        return answers[name](worker, *arguments)

    def _hello(self, worker: str, pid: int) -> None:
        with self._changed:
            known = self._known[worker]
            known.pid, known.is_connected = pid, True

    def _refuse(self, worker: str, text: str) -> None:
        del worker
        with self._changed:
            self._refusal = self._refusal or text

    def _planned(
        self,
        worker: str,
        checks: list[tuple[str, Check | None]],
        left_out: dict[str, Outcome],
        unused: Unused,
        share: Share | None,
        errors: int,
        said: list[Failure],
    ) -> None:
        with self._changed:
            if self._is_planned:
                return
            self._is_planned = True
            self.checks = checks
        if checks and self.checkup.config.getoption("dist", "no") == "each":
            self._refuse(worker, EACH)
        self.checkup.adopt_plan(
            checks, share, left_out=left_out, unused=unused, collection_errors=errors, said=said
        )

    def _parameters(self, worker: str) -> list[Layer]:
        del worker
        return list(self._only_once("parameters", self._read_parameters))

    def _read_parameters(self) -> list[Layer]:
        inputs = self.checkup.inputs
        if inputs.is_unread:
            inputs.read_configmap(self.checkup.client)
        return inputs.configmap_layers()

    def _discover(
        self, worker: str, node_set: NodeSet | None, tolerations: tuple[Toleration, ...]
    ) -> NodeChoice:
        del worker
        settings = replace(self.checkup.inputs.given, node_set=node_set, tolerations=tuple(tolerations))
        found: NodeChoice = self._only_once(
            ("discover", node_set, tolerations), lambda: self.checkup.discover(settings)
        )
        return found

    def _kubeconfig(self, worker: str) -> str:
        del worker
        self._only_once("client", self.checkup.client)
        return str(self.checkup.access.lab_kubeconfig)

    def _open(self, worker: str) -> tuple[ClusterFacts | None, SeenNodes | None]:
        del worker
        deadline = Deadline(CONTACT_SECONDS, stop=self.checkup.stop)
        checks = [check for _, check in self.checks if check is not None]
        self._only_once("open", lambda: self.checkup.open_cluster(checks, deadline))
        return self.checkup.reporting.cluster_facts, self.checkup.nodes

    def _made(self, worker: str, handle: VmiHandle) -> None:
        with self._changed:
            self._known[worker].vmis[handle.namespace, handle.name] = handle

    def _gone(self, worker: str, handle: VmiHandle) -> None:
        with self._changed:
            self._known[worker].vmis.pop((handle.namespace, handle.name), None)

    def _attempted(self, worker: str, result: ItemResult, is_over: bool) -> None:  # noqa: FBT001
        key = (worker, result.nodeid, result.attempt)
        with self._changed:
            self._results[key] = result
            if is_over:
                self._known[worker].open.discard(key[1:])
            else:
                self._known[worker].open.add(key[1:])

    def _finished(self, worker: str, failures: list[Failure], kept: list[str]) -> None:
        del worker
        with self._changed:
            self.checkup.reporting.failures += failures
            self._kept += kept

    def _hung_up(self, worker: str) -> None:
        """A worker is gone: what it had begun and not ended is an error."""
        with self._changed:
            known = self._known[worker]
            known.is_connected = False
            for nodeid, number in known.open:
                result = self._results[worker, nodeid, number]
                reason = f"worker {worker} of pytest-xdist died while it ran this item"
                failure = Failure(kind="interrupted", stage="run", reason=reason)
                self._results[worker, nodeid, number] = replace(
                    result, outcome="error", failures=(*result.failures, failure)
                )
            known.open.clear()
            self._changed.notify_all()

    def _only_once(self, what: object, work: Callable[[], Any]) -> Any:
        """Do something for the first who asks, and give all others the same answer, or the same error."""
        with self._once_lock:
            if what not in self._once:
                try:
                    self._once[what] = (True, work())
                except Exception as error:  # noqa: BLE001 - it is raised below, and again for whoever asks next
                    self._once[what] = (False, error)
            is_good, answer = self._once[what]
        if is_good:
            return answer
        raise again(answer)

    # --- the end

    @property
    def stop_reason(self) -> str:
        """What xdist says: ``stopping after 1 failures``, or that a worker crashed and none takes its place."""
        session = self.checkup.config.pluginmanager.get_plugin("dsession")
        return str(getattr(session, "shouldstop", "") or getattr(session, "_summary_report", "") or "")

    def interrupt(self, name: str, reason: str) -> None:
        """Have the workers end in order, and xdist wait for them; a second signal does not wait."""
        del name
        session = self.checkup.config.pluginmanager.get_plugin("dsession")
        if self._is_stopping or session is None:
            raise KeyboardInterrupt(reason)
        self._is_stopping = True
        session.shouldstop = reason
        self._signal_workers(signal.SIGTERM)
        timer = threading.Timer(STOPPING_SECONDS, self._lose_patience)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            # No thread can be had that would lose patience later.
            raise KeyboardInterrupt(reason) from None

    def gather(self) -> None:
        """Wait until no worker is left that could tell something, or create something; end those that do not end."""
        if self._connected:
            # Either xdist was interrupted, or it met an error of its own.
            self._signal_workers(signal.SIGTERM)
            self._wait_hung_up(STOPPING_SECONDS)
            self._signal_workers(signal.SIGKILL)
            self._wait_hung_up(STOPPING_SECONDS)
        with self._changed:
            workers = list(self._known)
            results = list(self._results.values())
        for worker in workers:
            try:
                self._adopt(worker)
            except KvLatencyError as error:
                self.checkup.reporting.add_failure(self._not_removed(worker, error))
        self.checkup.items.adopt(results)

    @property
    def removable(self) -> Orphans | None:
        """What workers have left."""
        return self._orphans

    @property
    def kept_lines(self) -> list[str]:
        """Those of all workers."""
        return list(self._kept)

    def close(self) -> None:
        """End the exchange and remove its directory."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    # --- inside

    @property
    def _connected(self) -> Sequence[_Known]:
        with self._changed:
            return [one for one in self._known.values() if one.is_connected]

    def _signal_workers(self, number: int) -> None:
        for one in self._connected:
            # Connected, so it lives: the number is no other process's.
            os.kill(one.pid, number)

    def _wait_hung_up(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while any(one.is_connected for one in self._known.values()):
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _lose_patience(self) -> None:
        if not self.checkup.ending.is_going_on and self._connected:
            _thread.interrupt_main()

    def _bury(self, worker: str) -> None:
        """Delete what a worker has left, as soon as nothing more can come from it."""
        self._wait_for(worker, STOPPING_SECONDS)
        try:
            orphans = self._adopt(worker)
        except KvLatencyError:
            # The end of the run tries again, and says it then.
            return
        if orphans is not None:
            orphans.delete_now(Deadline(CLEANUP_SECONDS))

    def _not_removed(self, worker: str, error: KvLatencyError) -> TeardownError:
        names = ", ".join(map(str, self._known[worker].vmis.values()))
        return TeardownError(
            f"cannot delete what worker {worker} left: {error.reason}. These VMIs may still exist: {names}",
            hint=error.hint,
        )

    def _wait_for(self, worker: str, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._known[worker].is_connected, seconds)

    def _adopt(self, worker: str) -> Orphans | None:
        """Take care of what a worker has left, if anything. Raises ``KvLatencyError``."""
        with self._changed:
            left = self._known[worker].vmis
            if not left:
                return None
            if self._orphans is None:
                from pytest_kvlatency.checkup.xdist.orphans import Orphans

                self._orphans = Orphans(self.checkup.client())
            self._orphans.adopt(left.values())
            # Not before: where the cluster cannot be had they are still to be told of.
            left.clear()
            return self._orphans
