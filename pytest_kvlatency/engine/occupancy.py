"""The nodes that tickets hold, so that no other process measures there meanwhile."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.steps import pair_place
from pytest_kvlatency.plan import moves

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.activity import Activity
    from pytest_kvlatency.engine.ticket import Ticket


class Occupancy:
    """Takes the nodes of a ticket's guests, and gives them back. Thread-safe.

    Inside ``occupy(nodes, deadline)`` no other process measures on these nodes; None: there is no other.
    """

    def __init__(
        self,
        occupy: Callable[[Collection[str], Deadline], AbstractContextManager[None]] | None,
        activity: Activity,
    ) -> None:
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
            held.enter_context(self._occupy(nodes, ticket.deadline))
            with self._lock:
                self._held[ticket] = held.pop_all()

    def give_back(self, ticket: Ticket) -> None:
        """Give back what a ticket has taken, if it has."""
        with self._lock:
            held = self._held.pop(ticket, None)
        if held is not None:
            held.close()
