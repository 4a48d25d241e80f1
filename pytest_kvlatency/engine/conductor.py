"""What is measured next: rounds in which no node is busy twice, without waiting for a round to be over. Pure.

Each node takes its pairs in the order of the rounds. A pair starts as soon as both of its nodes have come to it, so a
slow pair holds up its own nodes and nobody else; and a pair whose guests are not up yet lets later ones pass.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

Ticket = TypeVar("Ticket")


class Conductor(Generic[Ticket]):
    """Decides which tickets may start. Not thread-safe: its owner holds a lock.

    ``needs`` gives what a ticket occupies, or None while that is not known or not ready. ``parallel`` bounds how many
    run at once; None is no bound. ``is_late`` says whether a running ticket takes so long that nobody should keep a
    node free for the one after it.
    """

    def __init__(
        self,
        *,
        needs: Callable[[Ticket], frozenset[object] | None],
        parallel: int | None = None,
        is_late: Callable[[Ticket], bool] = lambda _: False,
    ) -> None:
        self._is_late = is_late
        self._needs = needs
        self._parallel = parallel
        self._urgent: deque[Ticket] = deque()
        self._waiting: deque[deque[Ticket]] = deque()
        self._running: dict[Ticket, frozenset[object]] = {}
        self._busy: set[object] = set()
        self._held_up: frozenset[object] = frozenset()

    def plan(self, rounds: Iterable[Iterable[Ticket]]) -> None:
        """Take tickets to be run ahead, in the order of their rounds."""
        self._waiting.extend(found for one in rounds if (found := deque(one)))

    def ask(self, ticket: Ticket) -> None:
        """Take a ticket that somebody waits for: it goes before all that is planned."""
        self._urgent.append(ticket)

    def drop(self, ticket: Ticket) -> bool:
        """Drop a ticket that has not started; False when it has, or is not known."""
        for queue in (self._urgent, *self._waiting):
            if ticket in queue:
                queue.remove(ticket)
                return True
        return False

    def forget(self) -> list[Ticket]:
        """Drop and return what has not started."""
        dropped = [*self._urgent, *(ticket for one in self._waiting for ticket in one)]
        self._urgent.clear()
        self._waiting.clear()
        return dropped

    @property
    def running(self) -> int:
        """How many tickets run now."""
        return len(self._running)

    def occupied(self, by: Callable[[Ticket], bool]) -> frozenset[object]:
        """What the running tickets of a kind occupy."""
        return frozenset().union(*(needed for one, needed in self._running.items() if by(one)))

    def done(self, ticket: Ticket) -> None:
        """Free what a ticket occupied."""
        self._busy -= self._running.pop(ticket, frozenset())

    def startable(self, nodes: AbstractSet[object]) -> list[Ticket]:
        """Start and return every ticket that can start now.

        A ticket that is ready but finds a node busy keeps all its nodes from later ones: else a later pair would slip
        in, and the rounds would fall apart. Unless it waits for a late one: that holds up its own nodes only.

        ``nodes`` are those where guests are up: once none of them is free nothing later is looked at, so that a large
        matrix does not go through all its tickets each time one has ended. Empty: every ticket is looked at.
        """
        started: list[Ticket] = []
        claimed: set[object] = set()
        self._held_up = frozenset().union(
            *(held for one, held in self._running.items() if self._is_late(one))
        )
        self._urgent = deque(self._sift(self._urgent, claimed, started))
        for place, one in enumerate(self._waiting):
            if self._is_full() or (nodes and nodes <= claimed | self._busy):
                break
            self._waiting[place] = deque(self._sift(one, claimed, started))
        while self._waiting and not self._waiting[0]:
            self._waiting.popleft()
        return started

    def _sift(
        self, tickets: Iterable[Ticket], claimed: set[object], started: list[Ticket]
    ) -> Iterable[Ticket]:
        kept = []
        for ticket in tickets:
            needed = None if self._is_full() else self._needs(ticket)
            if needed is None:
                kept.append(ticket)
            elif needed & (self._busy | claimed):
                if not needed & self._held_up:
                    claimed |= needed
                kept.append(ticket)
            else:
                self._busy |= needed
                self._running[ticket] = needed
                started.append(ticket)
        return kept

    def _is_full(self) -> bool:
        return self._parallel is not None and len(self._running) >= self._parallel
