"""The engine of a run: opened before the first item that needs it, asked to measure, waited for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.checkup import hooks
from pytest_kvlatency.checkup.cluster_session import Cluster
from pytest_kvlatency.checkup.testitem import CHECK_KEY, may_be_measured_ahead
from pytest_kvlatency.errors import HIDDEN, CheckupTimeoutError, InterruptedRunError, KvLatencyError, again
from pytest_kvlatency.plan.checks import guest_count
from pytest_kvlatency.plan.moves import MOST_AT_ONCE
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    import pytest

    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.checkup.sweep_run import SweepRun
    from pytest_kvlatency.checkup.tally import Tally
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.engine import Engine
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import Check, Measurement, PingParameters
    from pytest_kvlatency.report.progressline import Progress

T = TypeVar("T")
__tracebackhide__ = HIDDEN


@dataclass(kw_only=True)
class MeasuringSession:
    """Has the engine measure, for a ``holder``: who asks, such as one attempt at an item."""

    state: RunState
    role: Role
    cluster: ClusterSession
    sweep: SweepRun
    tally: Tally
    #: The engine, once it is there.
    engine: Engine | None = field(init=False, default=None)
    _broken: KvLatencyError | None = field(init=False, default=None)
    _opening: threading.Lock = field(init=False, default_factory=threading.Lock)
    _opened: Future[Engine] | None = field(init=False, default=None)
    #: Node ids of what is measured ahead, once that is decided.
    _measured_ahead: frozenset[str] | None = field(init=False, default=None)
    #: Those whom the engine counts among the users of their guests.
    _users: set[object] = field(init=False, default_factory=set)

    @property
    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that are left on purpose, a line each."""
        return [] if self.engine is None else self.engine.leftovers.kept_lines()

    # --- opening

    @told()
    def begin(self) -> Engine:
        """Open the cluster and the engine before the first kvlatency item; later calls return the engine.

        Raises the same ``KvLatencyError`` to every item when that is not possible.
        """
        if self.engine is not None:
            return self.engine
        if self._broken is not None:
            raise again(self._broken)
        self.state.signals.install()
        if self._opened is None or self._opened.done():
            self._opened = Threads(1, "kvlatency-begin").submit(self._open)
        try:
            return self.state.wait_for_cluster(self._opened)
        except CheckupTimeoutError as error:
            self._broken = again(error)
            raise

    @told()
    def kv_cluster(self) -> Cluster:
        """What ``kv_cluster`` gives. Raises ``KvLatencyError``."""
        self.begin()
        client, facts = self.cluster.client(), self.state.results.cluster_facts
        return Cluster(
            client=client,
            namespace=self.cluster.namespace,
            server=client.server,
            kubernetes_version=None if facts is None else facts.kubernetes_version,
            kubevirt_version=None if facts is None else facts.kubevirt_version,
        )

    def open_cluster(self, checks: Iterable[Check], deadline: Deadline) -> None:
        """Learn what the cluster is that these checks are made in, and have it know that the run has begun.

        Raises ``KvLatencyError``.
        """
        self.cluster.open(checks, deadline)
        self.sweep.catch_up()

    def settle_opening(self, seconds: float) -> None:
        """Wait at most so long until nothing is being opened; the stop is set, so nothing is begun any more."""
        if self._opening.acquire(timeout=seconds):
            self._opening.release()

    def assemble(self, checks: Sequence[Check]) -> Engine:
        """Put the engine of a plan together, which creates nothing yet. Raises ``KvLatencyError``."""
        from pytest_kvlatency.engine.assembly import assemble

        state = self.state
        facts, share = state.results.cluster_facts, state.share
        return assemble(
            client=self.cluster.client(),
            namespace=self.cluster.namespace,
            settings=state.inputs.given,
            checks=checks,
            deadline=state.deadline,
            profiles=hooks.guest_profiles(state.config),
            change_manifest=lambda manifest, check: hooks.change_manifest(state.config, manifest, check),
            artifacts=state.artifacts,
            binding_plugins=None if facts is None else facts.binding_plugins,
            nodes=state.nodes,
            has_manifest_hooks=hooks.has_manifest_hooks(state.config),
            addresses=self.role.addresses(guest_count(checks), None if share is None else share.addresses),
            journal=self.role.journal,
            occupy=self.role.occupy,
            on_measured=self.tally.has_measured,
            kubevirt_version=None if facts is None else facts.kubevirt_version,
            parallel_migrations=MOST_AT_ONCE if facts is None else facts.parallel_migrations,
            move_refusal=self.cluster.move_refusal(checks),
        )

    def _open(self) -> Engine:
        """Open once, and keep the engine here: the one who waits for it may be gone when it comes."""
        with self._opening:
            if self._broken is not None:
                raise again(self._broken)
            if self.engine is None:
                try:
                    with told():
                        self.engine = self._make_engine()
                except InterruptedRunError:
                    raise
                except KvLatencyError as error:
                    self._broken = again(error)
                    raise
            return self.engine

    def _make_engine(self) -> Engine:
        self.cluster.client()
        checks = [self.cluster.located(check) for check in self.state.planned_checks]
        self.cluster.need_rules_for(checks)
        self.role.open(lambda: self.open_cluster(self.state.planned_checks, self.state.deadline))
        engine = self.assemble(checks)
        if self.state.stop.is_set():
            raise InterruptedRunError(self.state.stop.reason)
        engine.begin()
        return engine

    # --- measuring

    @told()
    def measure(self, item: pytest.Item, check: Check, *, holder: object) -> Attempt:
        """Take what was measured ahead for the item, or measure its check and wait for it.

        Raises ``KvLatencyError`` when the cluster cannot be opened, and on a stop.
        """
        engine = self._at_work()
        if self._measured_ahead is None or item.nodeid not in self._measured_ahead:
            return self.measure_anew(check, holder=holder)
        return self._attempt(engine.measure(check, holder=holder), check)

    @told()
    def measure_anew(self, check: Check, *, holder: object) -> Attempt:
        """Measure a check and wait for it, whatever was measured ahead. Raises as ``measure``."""
        engine = self._at_work()
        self._refresh(engine, check)
        return self._attempt(engine.measure(check, holder=holder, anew=True), check)

    @told()
    def measure_owned(
        self, check: Check, ping: PingParameters, *, holder: object, confirm: bool, moves: bool = True
    ) -> Attempt:
        """Measure a pair that the holder owns; ``confirm`` has the target asked after a loss.

        Without ``moves`` no guest migrates.
        """
        measured = self.begin().measure_owned(check, ping, holder=holder, confirm=confirm, moves=moves)
        return self._attempt(measured, check)

    @told()
    def own_pair(self, check: Check, *, holder: object) -> tuple[ReadyGuest, ReadyGuest]:
        """Own both guests, source and target, until ``release``. Raises ``KvLatencyError``."""
        engine = self._at_work()
        self._refresh(engine, check)
        try:
            return self._wait(engine.own(check, holder=holder), check)
        except InterruptedRunError as error:
            raise (self._interrupted(engine, check).error or error) from None

    # --- the users of guests

    def expect(self, holder: object) -> None:
        """Know a holder that the plan has, and that the engine counts already among the users of its guests."""
        self._users.add(holder)

    def count(self, check: Check, *, holder: object) -> None:
        """Let the engine know of a user of the guests that the plan did not foresee: a rerun.

        Raises ``KvLatencyError``.
        """
        if holder not in self._users:
            self.begin().take_again(check)
            self._users.add(holder)

    def release(self, holder: object) -> None:
        """End all that the holder has asked for."""
        if self.engine is not None:
            self.engine.release(holder)

    def let_go(self, check: Check, *, holder: object, has_failed: bool) -> None:
        """Let the guests go that were the holder's last to need, unless ``--kv-keep`` has them stay.

        Those of a holder that failed leave their artifacts.
        """
        if self.engine is None or holder not in self._users:
            return
        self._users.discard(holder)
        keep = self.state.inputs.given.keep
        try:
            if has_failed:
                self.engine.save_evidence(check)
        finally:
            if keep == "always" or (keep == "failed" and has_failed):
                self.engine.keep(check)
            self.engine.let_go(check)

    def _at_work(self) -> Engine:
        """The engine, which measures ahead from the first time that an item asks it for something.

        What the set-up of an item prepares is there by then, its session's fixtures for one: those that depend on
        others are measured when their turn comes.
        """
        engine = self.begin()
        if self._measured_ahead is None:
            items = self.role.ahead(
                [item for item in self.state.planned_items if may_be_measured_ahead(item)]
            )
            checks = {item.nodeid: self.cluster.located(item.stash[CHECK_KEY]) for item in items}
            forgiven = {item.nodeid for item in items if item.get_closest_marker("xfail") is not None}
            self.tally.plan_ahead(checks, forgiven=forgiven)
            engine.start(list(checks.values()))
            self._measured_ahead = frozenset(item.nodeid for item in items)
        return engine

    def _attempt(self, future: Future[Attempt], check: Check) -> Attempt:
        """Wait for a measurement. A signal gives it the same words, whether this thread or its own sees it first."""
        engine = self.begin()
        try:
            # What was measured of a migration until then is read once it is stopped.
            attempt = self._wait(future, check, has_last_word=check.pair.is_move)
        except InterruptedRunError:
            return self._interrupted(engine, check)
        if isinstance(attempt.error, InterruptedRunError):
            return self._interrupted(engine, check, attempt.measurement)
        return attempt

    def _interrupted(self, engine: Engine, check: Check, measured: Measurement | None = None) -> Attempt:
        reason = self.state.stop.reason or "the run was interrupted"
        return engine.interrupted(check, reason, measured)

    def _refresh(self, engine: Engine, check: Check) -> None:
        """Look again at nodes where no VM could start: a fixture of the test's may have seen to it meanwhile."""
        if not engine.is_refused(check):
            return
        try:
            self._wait(Threads(1, "kvlatency-look").submit(engine.look_again, check), check)
        except InterruptedRunError as error:
            raise (self._interrupted(engine, check).error or error) from None

    def _wait(self, future: Future[T], check: Check, *, has_last_word: bool = False) -> T:
        def what() -> str:
            return ("" if self.engine is None else self.engine.activity.words) or check.id

        return self.state.waiter.wait(
            future, deadline=self.state.deadline, text=self._progress, what=what, has_last_word=has_last_word
        )

    def _progress(self) -> Progress:
        engine = self.engine
        if engine is None:
            return self.tally.progress()
        waiting, pace = engine.activity.waits, engine.pace
        self.role.waits(waiting)
        return self.tally.progress(waiting, rounds=pace.round, ahead_seconds=pace.seconds_left)
