"""The nodes that tickets hold, so that no other process measures there meanwhile."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from pytest_kvlatency.engine.steps import pair_place
from pytest_kvlatency.plan import moves

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.activity import Activity
    from pytest_kvlatency.engine.ticket import Ticket


class Occupy(Protocol):
    """Keeps other processes of the run from nodes."""

    def __call__(
        self, nodes: Collection[str], deadline: Deadline, *, migrates: bool
    ) -> AbstractContextManager[None]:
        """No other process measures on these nodes inside; with ``migrates`` no more migrate than the cluster takes."""


class Occupancy:
    """Takes the nodes of a ticket's guests, and gives them back. Thread-safe.

    ``occupy`` is None where there is no other process.
    """

    def __init__(self, occupy: Occupy | None, activity: Activity) -> None:
        self._occupy = occupy
        self._activity = activity
        self._lock = threading.Lock()
        self._held: dict[Ticket, ExitStack] = {}

    def take(self, ticket: Ticket) -> None:
        """Have the nodes for this process, until they are given back. Raises ``KvLatencyError``."""
        if self._occupy is None:
            return
        waiting = "waiting for its nodes, which another process is using"
        source, target = ticket.pair()
        nodes = {source.node, target.node} | moves.occupied(ticket.check)
        who = pair_place(source.node, target.node)
        doing = self._activity.doing(ticket.check.id, "setup", waiting, who=who)
        with ExitStack() as held, doing as say:
            say(waiting, phase="busy nodes")
            migrates = ticket.check.pair.is_move
            held.enter_context(self._occupy(nodes, ticket.deadline, migrates=migrates))
            with self._lock:
                self._held[ticket] = held.pop_all()

    def give_back(self, ticket: Ticket) -> None:
        """Give back what a ticket has taken, if it has."""
        with self._lock:
            held = self._held.pop(ticket, None)
        if held is not None:
            held.close()
