"""One live migration of a guest while another pings it: asked for, followed through its phases, judged, deleted."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.engine.phaselog import PhaseLog
from pytest_kvlatency.errors import KvLatencyError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube.diagnosis import PULL_HINT
from pytest_kvlatency.kube.migration import FAILED, REMOVAL_SECONDS, SUCCEEDED, Moved, knows_node_selector
from pytest_kvlatency.kube.targetpod import PodTrouble, TargetPodWatch
from pytest_kvlatency.model import ANYWHERE, Migration
from pytest_kvlatency.threads import Slots
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.migration import MigrationState
    from pytest_kvlatency.kube.state import VmiState
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.model import Check

#: From the phase Running on a longer step would tell the two gaps apart less well.
_STEP_SECONDS: Final = 0.1
_PAUSES: Final = Backoff(first=0.1, longest=1.0, factor=1.5)
#: KubeVirt begins with a migration within a fraction of it, unless its limits forbid that.
_USUALLY_PENDING_SECONDS: Final = 3.0
_AT_LIMIT: Final = "the cluster's limit on parallel migrations is reached"
_LIMITS_HINT: Final = (
    "wait until other migrations have ended (kubectl get vmim -A), or raise parallelMigrationsPerCluster and "
    "parallelOutboundMigrationsPerNode in the KubeVirt object"
)
_NO_REASON: Final = "the cluster gives no reason"


@dataclass(frozen=True, kw_only=True)
class MoveLimits:
    """How long, in seconds, a migration may take, and how long its outcome is waited for.

    ``pending``: until the cluster begins with it. ``scheduling``: until its target pod runs, for which KubeVirt waits 5
    minutes. ``pod``: how long what keeps the target pod from starting must last. ``whole``: all of it.
    """

    pending: float = 60.0
    scheduling: float = 60.0
    pod: float = 10.0
    whole: float = 300.0
    outcome: float = 3.0
    migratable: float = 10.0


LIMITS: Final = MoveLimits()


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What came of a migration. ``error`` says why the guest is not where it was to go, or why that is not known.

    Then nothing is judged.
    ``created`` and ``ended`` are by this process's monotonic clock, in nanoseconds; None: it was refused, or has not
    ended.
    """

    migration: Migration
    error: KvLatencyError | None = None
    created: int | None = None
    ended: int | None = None


class Mover:
    """Migrates guests, at most ``at_once`` at a time: more would only stay Pending. Thread-safe.

    ``node_labels`` are the labels by which a node can be selected, None where that is not known. ``version`` is
    KubeVirt's.
    """

    def __init__(
        self,
        client: KubeClient,
        vmis: Vmis,
        leftovers: Leftovers,
        *,
        run_id: str,
        version: str | None,
        node_labels: Callable[[str], Mapping[str, str] | None] = lambda _: None,
        limits: MoveLimits | None = None,
        at_once: int,
    ) -> None:
        self._client = client
        self._vmis = vmis
        self._leftovers = leftovers
        self._run_id = run_id
        self._selects_nodes = knows_node_selector(version)
        self._node_labels = node_labels
        self._limits = limits or LIMITS
        self._turns = Slots(at_once)

    @property
    def longest_seconds(self) -> float:
        """How long a migration takes at most."""
        return self._limits.whole

    def require_migratable(self, target: ReadyGuest, deadline: Deadline) -> None:
        """Raise ``ProvisionError`` in the cluster's words for a guest that cannot be migrated.

        The condition says nothing of the nodes that there are.
        """
        limit, pauses = deadline.limit(self._limits.migratable), iter(_PAUSES)
        while True:
            state = self._vmis.get_state(target.handle, deadline)
            found = None if state is None else state.conditions.get("LiveMigratable")
            if found is not None and found.status == "False":
                said = f"{found.message or found.reason} ({found.reason})"
                raise ProvisionError(
                    f"VMI {target.handle} cannot be migrated: {said}",
                    summary=f"a VMI cannot be migrated: {said}",
                    hint="see the condition LiveMigratable in kubectl describe vmi",
                )
            # Where it is not known the webhook decides.
            if found is not None or limit.expired():
                return
            deadline.pause(next(pauses), f"VMI {target.handle} to be migratable")

    def turn(self, deadline: Deadline, say: Say) -> AbstractContextManager[None]:
        """Migrate inside, as soon as no more are under way than the cluster takes. Raises as ``Deadline.check``."""
        return self._turns.taken(
            deadline,
            "other migrations to end",
            on_wait=lambda: say("waiting for other migrations to end", phase="other migrations"),
        )

    def move(self, check: Check, target: ReadyGuest, deadline: Deadline, say: Say) -> Journey:
        """Migrate the target guest and wait for the end of that; the migration is deleted afterwards in any case.

        Raises ``PermissionDeniedError`` where migrations are not permitted, and as the deadline does until it is
        created. That no guest migrates twice is seen to before (``Ticket.as_it_is``).
        """
        target.has_migrated = True
        destination = check.pair.destination or ANYWHERE
        _say_migrating(say, target, destination)
        began = Migration(
            name=target.handle.name,
            uid="",
            source_node=target.node,
            requested_node=destination,
            target_node=None,
            succeeded=False,
            created_at=datetime.now(timezone.utc),
        )
        # Nothing is typed there now, and the migration drops the console: it is opened again when it is needed.
        target.shell.suspend()
        try:
            return self._move(began, target, deadline, say)
        finally:
            with suppress(KvLatencyError):
                self._vmis.remove_migration(target.handle, Deadline(REMOVAL_SECONDS))

    def _move(self, began: Migration, target: ReadyGuest, deadline: Deadline, say: Say) -> Journey:
        handle, destination = target.handle, began.requested_node
        labels = None
        if self._selects_nodes and destination != ANYWHERE:
            # Else the affinity leaves only one choice.
            labels = self._node_labels(destination)
        log = PhaseLog(began=time.monotonic_ns())
        try:
            with self._leftovers.migrating(handle, deadline):
                created = self._vmis.migrate(handle, deadline, run_id=self._run_id, node_labels=labels)
        except PermissionDeniedError:
            raise
        except ProvisionError as error:
            return Journey(migration=replace(began, failure_reason=error.reason), error=error)
        migration, ended = replace(began, uid=created.uid), None
        try:
            state, cause = self._follow(target, migration, log, deadline, say)
            ended = time.monotonic_ns()
            state, now, moved = self._outcome(target, state, migration.uid, deadline)
        except KvLatencyError as error:
            # What became of it is not known; what was measured is.
            migration = replace(migration, phases=tuple(log.phases), failure_reason=error.reason)
            return Journey(migration=migration, error=error, created=log.began, ended=ended)
        migration = replace(
            migration,
            target_node=now.node if now is not None else None,
            mode=(state and state.mode) or (moved and moved.mode) or None,
            phases=tuple(log.phases),
        )
        wrong = cause or self._judge(target, migration, state, moved)
        migration = replace(
            migration,
            succeeded=wrong is None,
            failure_reason="" if wrong is None else _failure_reason(state, moved) or wrong.reason,
        )
        return Journey(migration=migration, error=wrong, created=log.began, ended=ended)

    def _follow(
        self, target: ReadyGuest, migration: Migration, log: PhaseLog, deadline: Deadline, say: Say
    ) -> tuple[MigrationState | None, ProvisionError | None]:
        """Look at the migration until it has ended: its last state, and why it was given up, if it was."""
        uid, to = migration.uid, migration.requested_node
        limit = deadline.limit(self._limits.whole)
        pod, has_waited = TargetPodWatch(self._client, target.handle, uid, lasts=self._limits.pod), False
        while True:
            asked_at = time.monotonic_ns()
            state = self._vmis.get_migration(target.handle, uid, deadline)
            if state is None:
                return None, _failed(
                    target,
                    "another client deleted its migration",
                    summary="another client deleted a migration",
                )
            log.see(state, asked_at, time.monotonic_ns())
            if state.has_ended:
                return state, None
            cause = self._late(target, state, log, pod, limit, deadline)
            if cause is not None:
                return state, cause
            is_waiting = state.phase == "Pending" and log.seconds_in_phase >= _USUALLY_PENDING_SECONDS
            if is_waiting:
                say("waiting for a turn: the cluster limits parallel migrations", phase="waiting for a turn")
            elif has_waited:
                _say_migrating(say, target, to)
            has_waited = is_waiting
            deadline.pause(_STEP_SECONDS, f"the migration of VMI {target.handle} (phase {state.phase})")

    def _late(
        self,
        target: ReadyGuest,
        state: MigrationState,
        log: PhaseLog,
        pod: TargetPodWatch,
        limit: Deadline,
        deadline: Deadline,
    ) -> ProvisionError | None:
        """Why a migration is not waited for any longer."""
        seconds = log.seconds_in_phase
        if state.phase in ("", "Pending"):
            if seconds < self._limits.pending:
                return None
            return _failed(
                target,
                f"its migration stayed Pending for {_words(seconds)}: {_AT_LIMIT}",
                summary=f"a migration stayed Pending: {_AT_LIMIT}",
                hint=_LIMITS_HINT,
            )
        if state.phase == "Scheduling":
            if not pod.look(deadline) and seconds < self._limits.scheduling:
                return None
            trouble = pod.latest or PodTrouble(words="its target pod does not start")
            if trouble.pull is not None:
                words, summary = trouble.words, trouble.summary
                return _failed(target, words, summary=summary, hint=PULL_HINT, node=trouble.node)
            return _failed(
                target,
                f"its migration stayed Scheduling for {_words(seconds)}: {trouble.words}",
                summary=f"a migration stayed Scheduling: {trouble.words}",
                hint="see kubectl get nodes, and kubectl describe pod -l kubevirt.io/migrationJobUID",
            )
        if limit.expired() and not limit.is_cut_short:
            said = f"did not end within {_words(limit.seconds)} (phase {state.phase})"
            return _failed(target, f"its migration {said}", summary=f"a migration {said}")
        return None

    def _outcome(
        self, target: ReadyGuest, state: MigrationState | None, uid: str, deadline: Deadline
    ) -> tuple[MigrationState | None, VmiState | None, Moved | None]:
        """The migration and its VMI once KubeVirt has written there what came of it, some time after the end."""
        limit = deadline.limit(self._limits.outcome)
        now: VmiState | None = None
        moved: Moved | None = None
        while True:
            if state is not None and state.has_ended and not _is_told(state, moved):
                state = self._vmis.get_migration(target.handle, uid, deadline) or state
            found = self._vmis.get_moved(target.handle, deadline)
            if found is not None:
                now = found[0]
                # Until it is scheduled the VMI shows the migration before it.
                moved = found[1] if found[1] is not None and found[1].uid == uid else None
            if _is_told(state, moved) or limit.expired():
                return state, now, moved
            deadline.pause(_STEP_SECONDS, f"the outcome of the migration of VMI {target.handle}")

    @staticmethod
    def _judge(
        target: ReadyGuest, migration: Migration, state: MigrationState | None, moved: Moved | None
    ) -> ProvisionError | None:
        """Why the guest is not where it was to go; ``completed`` alone only means that the migration has ended."""
        if state is None or state.phase == FAILED or (moved is not None and moved.failed):
            reason = _failure_reason(state, moved) or _NO_REASON
            return ProvisionError(
                f"the migration of VMI {target.handle} from {migration.source_node} failed: {reason}",
                summary=f"a migration failed: {reason}",
                hint="see kubectl describe vmi and its events",
                stage="run",
            )
        wanted, found = migration.requested_node, migration.target_node
        if found == migration.source_node or wanted not in (ANYWHERE, found):
            expected = "another node" if wanted == ANYWHERE else wanted
            return ProvisionError(
                f"VMI {target.handle} is on {found} after its migration: expected {expected}",
                summary="a VMI is on another node than asked for after its migration",
                stage="run",
            )
        return None


def _say_migrating(say: Say, target: ReadyGuest, destination: str) -> None:
    to = "another node" if destination == ANYWHERE else destination
    say(
        f"migrating to {to}",
        during=f"migrating {target.node}'s guest to {to}",
        phase=f"migrating {target.node}→{destination}",
    )


def _failed(target: ReadyGuest, what: str, *, summary: str, hint: str = "", node: str = "") -> ProvisionError:
    return ProvisionError(
        f"VMI {target.handle} was not migrated from {target.node}: {what}",
        summary=summary,
        hint=hint,
        node=node,
        stage="run",
    )


def _is_told(state: MigrationState | None, moved: Moved | None) -> bool:
    """Whether nothing more is to be expected of what came of a migration."""
    if state is None or not state.has_ended:
        return True
    if state.phase == SUCCEEDED:
        return state.has_outcome and moved is not None and moved.completed
    return bool(_failure_reason(state, moved))


def _failure_reason(state: MigrationState | None, moved: Moved | None) -> str:
    return (state.failure_reason if state is not None else "") or (moved.failure_reason if moved else "")


def _words(seconds: float) -> str:
    return format_duration(round(seconds) * 1_000_000_000)
