"""The VMIs of workers that ended without deleting them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import CLEANUP_SECONDS, Deadline
from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.errors import KvLatencyError, TeardownError
from pytest_kvlatency.kube.vmi import Vmis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kvlatency.checkup.xdist.workers import Workers
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle

#: So long have workers that were stopped to ask for their VMIs' deletion and to hand over their results.
STOPPING_SECONDS: Final = 8.0


class Orphans:
    """Known by name and uid only: nothing is listed, so the Role of every other run suffices. Thread-safe."""

    def __init__(self, client: KubeClient) -> None:
        self._vmis = Vmis(client)
        #: Those that are to go.
        self.leftovers = Leftovers(self._vmis)

    def adopt(self, handles: Iterable[VmiHandle]) -> None:
        """Take care of these from now on."""
        for handle in handles:
            self._vmis.adopt(handle)

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once."""
        self.leftovers.close(deadline)

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Nothing is open."""


class Heir:
    """Takes care of what workers leave, with a ``client`` that is asked for only when one has left something."""

    def __init__(self, workers: Workers, client: Callable[[], KubeClient]) -> None:
        self._workers = workers
        self._client = client
        self._lock = threading.Lock()
        #: What workers have left so far; None when nothing.
        self.orphans: Orphans | None = None

    def bury(self, worker: str) -> None:
        """Delete what a worker has left, as soon as nothing more can come from it."""
        self._workers.wait_until_gone(STOPPING_SECONDS, worker)
        try:
            orphans = self._inherit(worker)
        except KvLatencyError:
            # The end of the run tries again, and says it then.
            return
        if orphans is not None:
            # Others may follow.
            orphans.leftovers.delete(orphans.leftovers.outstanding, Deadline(CLEANUP_SECONDS))

    def inherit_all(self) -> list[TeardownError]:
        """Take care of what all workers have left; return why that of some cannot be deleted."""
        problems = []
        for worker in self._workers.names:
            try:
                self._inherit(worker)
            except KvLatencyError as error:
                problems.append(self._not_removed(worker, error))
        return problems

    def _inherit(self, worker: str) -> Orphans | None:
        """Take care of what a worker has left, if anything. Raises ``KvLatencyError``."""
        if not self._workers.vmis_of(worker):
            return None
        # It may have to connect first, which takes time; what cannot be had leaves the VMIs the worker's.
        client = self._client()
        with self._lock:
            orphans = self.orphans = self.orphans or Orphans(client)
        self._workers.bequeath(worker, orphans.adopt)
        return orphans

    def _not_removed(self, worker: str, error: KvLatencyError) -> TeardownError:
        names = ", ".join(map(str, self._workers.vmis_of(worker)))
        return TeardownError(
            f"cannot delete what worker {worker} left: {error.reason}. These VMIs may still exist: {names}",
            hint=error.hint,
            summary="VMIs of a worker that died could not be deleted",
        )
