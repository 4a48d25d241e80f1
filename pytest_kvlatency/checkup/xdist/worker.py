"""A worker of pytest-xdist: measures its own items, and asks and tells the controller whatever concerns the run."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from pytest_kvlatency.checkup.role import Role
from pytest_kvlatency.checkup.testitem import PROBLEM_KEY, is_kv_item
from pytest_kvlatency.checkup.xdist.services import Services
from pytest_kvlatency.checkup.xdist.wire import WorkerLink
from pytest_kvlatency.config.options import WORKER_INPUT
from pytest_kvlatency.config.timeouts import ROUND_NS, usual_ns
from pytest_kvlatency.errors import InterruptedRunError, KvLatencyError
from pytest_kvlatency.plan.addresses import AddressShare
from pytest_kvlatency.plan.checks import guest_count
from pytest_kvlatency.plan.moves import MOST_AT_ONCE
from pytest_kvlatency.threads import Steward, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_kvlatency.checkup.role import Local, RunPlan
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.xdist.services import Message
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import Check, Failure, NodeChoice
    from pytest_kvlatency.report.run import ItemResult

T = TypeVar("T")
BOOT_NS: Final = 60_000_000_000
#: Between two words about what is waited for.
TOLD_SECONDS: Final = 0.5
REMOTE: Final = (
    "kvlatency checks run in workers on the controller's own machine only: "
    "use -n N, or --tx N*popen, or select other tests for remote workers"
)


class Worker(Role):
    """Starts with nothing but a way to the controller, and does not even connect without kvlatency items."""

    is_worker = True
    is_distributed = True

    def __init__(self, state: RunState) -> None:
        self._state = state
        workerinput: Mapping[str, Any] = state.config.workerinput  # type: ignore[attr-defined]
        self._id = str(workerinput["workerid"])
        self._count = int(workerinput["workercount"])
        #: The way to the controller, or the channel that asks for it; nothing in a worker on another machine.
        self._input: Mapping[str, Any] = workerinput.get(WORKER_INPUT) or {}
        self._connected: WorkerLink | None = None
        self._talking: Steward | None = None
        self._is_lost = False
        self._is_in_phase = False
        #: The controller knows every VMI by name.
        self.journal = self
        self._kubeconfig: Path | None = None
        self._told_waits: list[tuple[str, str]] = []
        self._told_waits_at = 0.0

    def serve(self, _local: Local) -> None:
        """Take over the signals: a signal that stops the run stops its workers, which end in order."""
        self._state.signals.install()

    # --- before and while items are collected

    def read_parameters(self, _locally: Callable[[], object]) -> None:
        """Take what the controller reads; it has told the ConfigMap itself what is wrong."""
        try:
            layers = self._ask(Services.parameters)
        except KvLatencyError as error:
            self._tell(partial(Services.refuse, text=error.reason))
            raise pytest.UsageError(error.reason) from None
        self._state.inputs.add(layers)

    def discover(self, settings: Settings, _locally: Callable[[Settings], NodeChoice]) -> NodeChoice:
        """Take what the controller finds: the same for every worker."""
        return self._ask(
            partial(Services.nodes, node_set=settings.node_set, tolerations=settings.tolerations)
        )

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Let the controller end the run: a worker that ends itself would be replaced by another."""
        try:
            yield
        except pytest.UsageError as error:
            self._tell(partial(Services.refuse, text=str(error)))

    def planned(self, items: Sequence[pytest.Item], plan: RunPlan) -> None:
        """Tell the controller; it takes what the first worker says, since all collect the same."""
        state = self._state
        if state.stop.is_set() and state.session is not None:
            state.session.shouldstop = state.stop.reason
        if not items and not state.inputs.asked_on_the_command_line:
            return
        if not self._input:
            for item in filter(is_kv_item, items):
                item.stash[PROBLEM_KEY] = REMOTE
            return
        self._tell(partial(Services.take_plan, plan=plan))

    # --- while items run

    def connection(self, settings: Settings) -> Settings:
        """The controller's lab, where there is one."""
        if settings.lab is None:
            return settings
        if self._kubeconfig is None:
            self._kubeconfig = Path(self._ask(Services.lab_kubeconfig))
        return replace(settings, lab=None, kubeconfig=self._kubeconfig, context=None)

    def open(self, _locally: Callable[[], None]) -> None:
        """Take the cluster's facts from the controller, which writes the ConfigMap before it answers."""
        self._state.results.cluster_facts, self._state.nodes = self._ask(Services.facts)

    def addresses(self, guests: int, share: AddressShare | None) -> AddressShare:
        """A part of the run's, or of its shard's part; each worker may need every guest."""
        index, count = self._input["part"]
        if share is None:
            share = AddressShare(run_id=self._input["run_id"], guests=max(2, guests))
        outer, parts = share.part
        return replace(share, guests=share.guests * count, part=(outer * count + index, parts * count))

    def at_once(self, parallel: int | None) -> int | None:
        """One pair in each worker."""
        return min(self._count, parallel or self._count)

    def allowance_ns(self, checks: Sequence[Check]) -> int:
        """Each worker brings up its guests when it needs them, one pair after the other, and may get all items."""
        samples = sum(usual_ns(check) + ROUND_NS for check in checks)
        return samples + guest_count(checks) * BOOT_NS

    def ahead(self, _items: Sequence[pytest.Item]) -> Sequence[pytest.Item]:
        """None: xdist hands out items one after the other, and nobody knows to whom."""
        return ()

    def made(self, handle: VmiHandle) -> None:
        """Tell of a VMI before it is created, and again with its uid."""
        self._ask(partial(Services.vmi_made, handle=handle))

    def gone(self, handle: VmiHandle) -> None:
        """Tell that a VMI needs no more care."""
        self._tell(partial(Services.vmi_gone, handle=handle))

    @property
    def occupy(self) -> Any:  # type: ignore[override]
        """Keep the other workers from nodes that are being measured."""
        from pytest_kvlatency.checkup.xdist.nodelocks import NodeLocks

        facts = self._state.results.cluster_facts
        locks = NodeLocks(
            Path(self._input["directory"]),
            parallel=self._state.inputs.given.parallel,
            migrations=MOST_AT_ONCE if facts is None else facts.parallel_migrations,
        )
        return locks.hold

    @contextmanager
    def phase(self) -> Iterator[None]:
        """Only a test may be broken off by an exception, never xdist's talk with its controller."""
        self._is_in_phase = True
        try:
            yield
        finally:
            self._is_in_phase = False

    def selectable(self, item: pytest.Item) -> str:
        """Without the group that ``--dist loadgroup`` puts behind it."""
        is_grouped = self._state.config.option.loadgroup and item.get_closest_marker("xdist_group")
        return item.nodeid.rpartition("@")[0] or item.nodeid if is_grouped else item.nodeid

    def attempted(self, result: ItemResult, *, is_over: bool) -> None:
        """Tell how far an attempt is."""
        self._told_waits = []
        self._tell(partial(Services.take_attempt, result=result, is_over=is_over))

    def waits(self, waiting: Sequence[Wait]) -> None:
        """Tell what has changed; the controller counts the seconds by itself."""
        now = time.monotonic()
        phases = [(one.who, one.phase) for one in waiting]
        if phases != self._told_waits and now - self._told_waits_at >= TOLD_SECONDS:
            self._told_waits, self._told_waits_at = phases, now
            self._tell(partial(Services.take_waits, waits=tuple(waiting)))

    def interrupt(self, name: str, reason: str, *, is_collecting: bool) -> None:
        """Break a test off; between tests xdist's own loop sees that the session is to stop."""
        del name, is_collecting
        if self._is_in_phase:
            self._is_in_phase = False
            # Not the status of an interruption: xdist would start another worker in place of this one.
            pytest.exit(reason, returncode=pytest.ExitCode.TESTS_FAILED)

    # --- the end

    def hand_over(
        self, results: Sequence[ItemResult], failures: Sequence[Failure], kept: Sequence[str]
    ) -> None:
        """Send everything once more, complete, and hang up."""
        if self._connected is None:
            return
        for result in results:
            self.attempted(result, is_over=True)
        self._tell(partial(Services.take_last_words, failures=failures, kept=kept))
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None
        if self._talking is not None:
            self._talking.end()
            self._talking = None

    # --- inside

    def _ask(self, message: Message[T]) -> T:
        """Wait for the controller's answer. Raises ``KvLatencyError``."""
        was_in_phase, self._is_in_phase = self._is_in_phase, False
        try:
            if self._talking is None:
                talking = Steward("kvlatency-link")
                talking.start()
                self._talking = talking
            # Whole, whatever strikes this thread meanwhile: else the next call would be given this one's answer.
            return result_of(self._talking.ask(lambda: self._talk(message)))
        finally:
            self._is_in_phase = was_in_phase

    def _talk(self, message: Message[T]) -> T:
        try:
            if self._connected is None:
                self._wake_controller()
                connected = WorkerLink(self._input["address"], self._input["key"])
                connected.call(self._id)
                connected.call(partial(Services.hello, pid=os.getpid()))
                self._connected = connected
            answer: T = self._connected.call(message)
        except (OSError, EOFError) as error:
            raise InterruptedRunError(f"the controller of pytest-xdist cannot be reached: {error}") from error
        return answer

    def _wake_controller(self) -> None:
        """Ask for the way to the controller, which did not know that any test concerns it."""
        channel = self._input.get("channel")
        if channel is not None:
            channel.send(None)
            self._input = channel.receive()

    def _tell(self, message: Message[None]) -> None:
        """Say what asks for no answer; without a controller the run is over."""
        if self._is_lost or not self._input:
            return
        try:
            self._ask(message)
        except KvLatencyError as error:
            self._is_lost = True
            self._state.stop.set(error.reason)
