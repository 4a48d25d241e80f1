"""No node is measured by two processes at once: one locked file per node, in a directory that all of them share.

The kernel lets go of the lock of a process that ends, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.plan.moves import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path


PAUSES = Backoff(first=0.005, longest=0.1)


class NodeLocks:
    """Locks in ``directory``; with ``parallel`` at most so many holders at once, whatever their nodes.

    Of those that migrate a guest there are never more than ``migrations``.
    """

    def __init__(
        self, directory: Path, *, parallel: int | None = None, migrations: int = MOST_AT_ONCE
    ) -> None:
        self._directory = directory
        self._slots = [f"slot-{number}" for number in range(parallel or 0)]
        self._turns = [f"migration-{number}" for number in range(migrations)]

    @contextmanager
    def hold(self, nodes: Collection[str], deadline: Deadline, *, migrates: bool = False) -> Iterator[None]:
        """Have these nodes for oneself inside. Raises ``CheckupTimeoutError``, ``InterruptedRunError``.

        All processes take nodes in the same order, then a turn to migrate, and a slot last, so that no two
        wait for each other.
        """
        with ExitStack() as held:
            for node in sorted(set(nodes)):
                file = f"node-{hashlib.sha256(node.encode()).hexdigest()[:16]}"
                self._take(
                    [file], deadline, held, f"node {node}, where another worker of pytest-xdist measures"
                )
            if migrates:
                self._take(self._turns, deadline, held, "another worker's migration to end")
            if self._slots:
                self._take(self._slots, deadline, held, "another worker's measurement to end (--kv-parallel)")
            yield

    def _take(self, files: Sequence[str], deadline: Deadline, held: ExitStack, what: str) -> None:
        """Lock any one of the files."""
        pauses = iter(PAUSES)
        while True:
            for file in files:
                descriptor = os.open(self._directory / file, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                held.callback(os.close, descriptor)
                return
            deadline.pause(next(pauses), what)
