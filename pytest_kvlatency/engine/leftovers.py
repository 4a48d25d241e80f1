"""What the run has created and must remove: deleted early, at the end or at once, and waited for."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import KvLatencyError, TeardownError
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.kube.deletion import deletion_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.kube.vmi import Vmis


#: Seconds for a look at the VMIs that could not be deleted.
_LAST_LOOK: Final = 1.0


class Leftovers:
    """The run's VMIs from creation to disappearance. Thread-safe.

    ``vmis`` has each on record before it exists. Once ``close`` was called none is created any more, and ``close``
    waits for the creations that were under way: no VMI appears behind its back.
    """

    def __init__(self, vmis: Vmis) -> None:
        self._vmis = vmis
        self._idle = threading.Condition()
        self._closed = False
        self._creating = 0
        #: By their names; with how their guests are logged into, in words.
        self._kept: dict[str, tuple[VmiHandle, str]] = {}
        self._asked: set[VmiHandle] = set()
        #: Names of those whose deletion is about to be asked for.
        self._doomed: set[str] = set()
        self._asked_at: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._refused: dict[str, KvLatencyError] = {}
        self._asking = 0
        self._given_up: set[VmiHandle] = set()
        self._named: set[str] = set()
        #: Those whose live migration was asked for.
        self._migrating: set[VmiHandle] = set()

    @contextmanager
    def creating(self, deadline: Deadline) -> Iterator[None]:
        """Create a VMI inside. Raises ``TeardownError`` once closed."""
        with self._idle:
            if self._closed:
                deadline.check("a VMI to be created")
                raise TeardownError("cannot create a VMI after clean-up has started")
            self._creating += 1
        try:
            yield
        finally:
            with self._idle:
                self._creating -= 1
                self._idle.notify_all()

    @contextmanager
    def migrating(self, handle: VmiHandle, deadline: Deadline) -> Iterator[None]:
        """Create the live migration of a VMI inside. Raises ``TeardownError`` once closed."""
        with self.creating(deadline):
            with self._idle:
                self._migrating.add(handle)
            yield

    def keep(self, handles: Iterable[VmiHandle], *, login: str) -> None:
        """Leave these VMIs in the cluster, unless they are already being deleted.

        ``login``: how their guests are logged into, in words.
        """
        with self._idle:
            staying = [one for one in handles if one not in self._asked and one.name not in self._doomed]
            for handle in staying:
                self._kept[handle.name] = (handle, login)
        for handle in staying:
            self._vmis.forget(handle)

    @property
    def kept(self) -> tuple[VmiHandle, ...]:
        """The VMIs that are left on purpose."""
        with self._idle:
            return tuple(handle for handle, _ in self._kept.values())

    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that are left on purpose, a line each."""
        with self._idle:
            return [
                f"kvlatency: kept VMI {one}: virtctl console -n {one.namespace} {one.name} "
                f"({login}; to delete it: kubectl delete vmi -n {one.namespace} {one.name})"
                for one, login in self._kept.values()
            ]

    def is_kept(self, handle: VmiHandle) -> bool:
        """Whether this VMI is left on purpose."""
        with self._idle:
            return handle.name in self._kept

    @property
    def outstanding(self) -> tuple[VmiHandle, ...]:
        """The VMIs that are, or may be, in the cluster and are to go."""
        return tuple(self._vmis.outstanding())

    @property
    def words(self) -> str:
        """The VMIs that are not known to be gone, in words."""
        names = ", ".join(str(handle) for handle in self.outstanding)
        return f"these VMIs may still exist: {names}" if names else "no VMI is left"

    @property
    def is_clean(self) -> bool:
        """Whether nothing is in the cluster, or about to be, that is to go."""
        with self._idle:
            return not self._creating and not self.outstanding

    def doom(self, handles: Iterable[VmiHandle]) -> None:
        """Know that ``delete`` will be called for these."""
        with self._idle:
            self._doomed.update(handle.name for handle in handles)

    @property
    def leaving(self) -> tuple[VmiHandle, ...]:
        """The VMIs whose deletion was asked for, or is about to be, and that were not seen to be gone yet."""
        outstanding = self.outstanding
        with self._idle:
            return tuple(one for one in outstanding if one in self._asked or one.name in self._doomed)

    def see_gone(self, handles: Iterable[VmiHandle], deadline: Deadline) -> None:
        """Look whether these, which are leaving, are gone, until all are or the time is over."""
        with suppress(TeardownError):
            self._vmis.wait_gone(list(handles), deadline, on_gone=self._gone)

    def delete(self, handles: Iterable[VmiHandle], deadline: Deadline) -> None:
        """Ask for these deletions, in parallel, without waiting until they are done.

        Never raises: what could not be asked for is said by ``wait_gone``.
        """
        with self._idle:
            # A VMI whose creation was not answered yet has no uid: it is asked for again once it has one.
            due = [one for one in handles if one not in self._asked and one.name not in self._kept]
            self._asked.update(due)
            for handle in due:
                self._asked_at.setdefault(handle.name, time.monotonic())
            self._asking += 1
        failed = self._vmis.delete_all(due, deadline)
        with self._idle:
            self._asking -= 1
            self._idle.notify_all()
            for handle in due:
                self._refused.pop(handle.name, None)
            for handle, error in failed.items():
                # Another call tries again.
                self._asked.discard(handle)
                self._doomed.discard(handle.name)
                self._refused[handle.name] = error

    def close(self, deadline: Deadline) -> None:
        """Create nothing more and ask for every deletion, also of what was just being created."""
        with self._idle:
            self._closed = True
        self.delete(self.outstanding, deadline)
        with self._idle:
            while self._creating and not deadline.expired():
                self._idle.wait(min(0.1, deadline.remaining()))
            # What had no uid was looked for while it was being created, and may have come since; so may a migration.
            self._asked = {one for one in self._asked if one.uid and one not in self._migrating}
            staying = [one for one in self._migrating if one.name in self._kept]
        self.delete(self.outstanding, deadline)
        for handle in staying:
            with suppress(KvLatencyError):
                self._vmis.remove_migration(handle, deadline)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all that is to go is gone. Raises ``TeardownError`` that names what is not.

        What an earlier call waited for in vain was said then: it is neither waited for nor named again.
        """
        with self._idle:
            while self._asking and not deadline.expired() and not deadline.stop.is_set():
                # What is being refused at this moment need not be waited for.
                self._idle.wait(min(0.1, deadline.remaining()))
            asked = [one for one in self.outstanding if one in self._asked]
            waiting = [one for one in asked if one not in self._given_up]
            doubted = [one for one in self.outstanding if one.name in set(self._refused) - self._named]
        with suppress(KvLatencyError):
            # They may be gone all the same: an answer was lost, or something else has deleted them.
            self.see_gone(doubted, deadline.limit(_LAST_LOOK))
        reasons, hints = [], []
        try:
            self._vmis.wait_gone(waiting, deadline, on_gone=self._gone)
        except TeardownError as error:
            reasons.append(error.reason)
            hints.append(error.hint)
        with self._idle:
            self._given_up.update(waiting)
            refused = {
                one: self._refused[one.name]
                for one in self.outstanding
                if one.name in self._refused and one.name not in self._named
            }
            self._named.update(one.name for one in refused)
        unanswered = [one for one, why in refused.items() if isinstance(why, ApiUnavailableError)]
        if unanswered:
            # One cause that all share, and what is to be done about each.
            why = refused[unanswered[0]]
            names = ", ".join(map(str, unanswered))
            reasons.append(f"these VMIs may still exist: {names}; {why.reason}")
            hints += [deletion_hint(unanswered), why.hint]
        by_reason: dict[str, list[VmiHandle]] = {}
        for one, why in refused.items():
            if one not in unanswered:
                by_reason.setdefault(why.reason, []).append(one)
                hints.insert(0, deletion_hint([one]))
                hints.append(why.hint)
        for reason, handles in by_reason.items():
            what = "VMI" if len(handles) == 1 else "VMIs"
            reasons.append(f"could not delete {what} {', '.join(map(str, handles))}: {reason}")
        if reasons:
            raise TeardownError(
                "; ".join(reasons),
                hint="\n".join(dict.fromkeys(filter(None, hints))),
                summary="VMIs could not be deleted",
            )

    def delete_seconds(self, name: str) -> float | None:
        """Seconds from asking for a VMI's deletion until it was seen to be gone; None while that is not known."""
        with self._idle:
            return self._seconds.get(name)

    def _gone(self, handle: VmiHandle) -> None:
        with self._idle:
            asked_at = self._asked_at.get(handle.name)
            if asked_at is not None:
                self._seconds[handle.name] = time.monotonic() - asked_at
            self._refused.pop(handle.name, None)
