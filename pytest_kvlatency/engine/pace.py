"""How far the planned rounds are, and how long the rest of them takes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.plan import moves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.engine.ticket import Ticket

#: From one pair to the next it takes less.
IDLE_SECONDS: Final = 1.0


class Pace:
    """Follows the tickets that are measured ahead. Thread-safe.

    A node measures one pair at a time, so the rest takes as long as the node with most left to do, and never less than
    all that is left takes ``parallel`` at a time. A pair takes its sample, and beside it what pairs have taken on
    average so far. That is known once as many have been measured as the first round has; before, nothing is said.
    Nor is it while nothing goes on: then a guest is waited for, and how long that takes is in no average.
    """

    def __init__(self, parallel: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._parallel = parallel
        self._clock = clock
        self._lock = threading.Lock()
        self._rounds: dict[Ticket, int] = {}
        self._count = 0
        self._has_begun = False
        self._left: set[Ticket] = set()
        self._began_at: dict[Ticket, float] = {}
        self._enough = 0
        self._measured = 0
        self._beside_seconds = 0.0
        #: Since when nothing is under way.
        self._idle_since = 0.0

    def plan(self, rounds: Sequence[Sequence[Ticket]]) -> None:
        """Take the tickets of the rounds, in their order."""
        with self._lock:
            held = [one for one in rounds if one]
            self._rounds.update(
                (ticket, number) for number, one in enumerate(held, start=1) for ticket in one
            )
            self._left.update(self._rounds)
            self._count = len(held)
            self._enough = len(held[0]) if held else 0

    def began(self, ticket: Ticket) -> None:
        """Know that a ticket has started."""
        with self._lock:
            if ticket in self._left:
                self._began_at[ticket] = self._clock()
                self._has_begun = True

    def ended(self, ticket: Ticket, *, has_numbers: bool = False) -> bool:
        """Know that a ticket is over; whether it is one of the rounds'. Without numbers its time says nothing."""
        with self._lock:
            if ticket not in self._left:
                return False
            self._left.discard(ticket)
            began_at = self._began_at.pop(ticket, None)
            if has_numbers and began_at is not None:
                self._measured += 1
                self._beside_seconds += max(
                    0.0, self._clock() - began_at - moves.sample_seconds(ticket.check)
                )
            if not self._began_at:
                self._idle_since = self._clock()
            return True

    @property
    def round(self) -> tuple[int, int] | None:
        """The first round that is not over, and how many there are; None without rounds to speak of."""
        with self._lock:
            if not self._has_begun or self._count < 2:
                return None
            return min((self._rounds[one] for one in self._left), default=self._count), self._count

    @property
    def seconds_left(self) -> float | None:
        """How long it takes from now until all are measured; 0 when none is left, None while that cannot be said."""
        with self._lock:
            if not self._left:
                return 0.0
            if not self._enough or self._measured < self._enough:
                return None
            now = self._clock()
            if not self._began_at and now - self._idle_since > IDLE_SECONDS:
                return None
            beside = self._beside_seconds / self._measured
            by_node: defaultdict[str, float] = defaultdict(float)
            whole = 0.0
            for ticket in self._left:
                seconds = moves.sample_seconds(ticket.check) + beside
                if ticket in self._began_at:
                    seconds = max(0.0, seconds - (now - self._began_at[ticket]))
                whole += seconds
                # Which nodes an auto pair gets is not known: such pairs count as if they had one in common.
                for node in moves.occupied(ticket.check) or ("",):
                    by_node[node] += seconds
            return max(*by_node.values(), whole / self._parallel if self._parallel else 0.0)
