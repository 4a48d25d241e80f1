"""The run's guests: those that are up, and those that are being brought up."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.guests import is_lost, those_up, up_or_none
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.shortage import at_once
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from concurrent.futures import Future

    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey

#: As many consoles as may be open at once.
MAX_BOOTING = 100


class Fleet:
    """Guests by their keys, each brought up once for all who ask for it. Thread-safe.

    One that migrates is brought up for each who asks: afterwards it is not where the next one needs it.

    ``bring_up`` makes one, in a thread of the fleet's; ``on_end`` is called with it when it is up, and
    with none when it is lost.
    """

    def __init__(
        self,
        bring_up: Callable[[VmiKey, Check], ReadyGuest],
        *,
        on_end: Callable[[Sequence[ReadyGuest]], None],
    ) -> None:
        self._bring_up = bring_up
        self._on_end = on_end
        self._threads = Threads(at_once(MAX_BOOTING), "kvlatency-guest")
        self._lock = threading.RLock()
        self._guests: dict[VmiKey, Future[ReadyGuest]] = {}
        #: Those in whose place the next one who asked got another.
        self._former: defaultdict[VmiKey, list[Future[ReadyGuest]]] = defaultdict(list)
        self._nodes: set[str] = set()

    def keep_one(self) -> None:
        """Have one thread in any case. Raises ``ConfigError`` where the machine gives none."""
        self._threads.keep_one()

    def both(self, check: Check) -> tuple[Future[ReadyGuest], ...]:
        """Both guests of a check; one that is neither up nor on its way is brought up, and one that is to migrate."""
        return tuple(self._one(key, check) for key in vmi_keys(check))

    def _one(self, key: VmiKey, check: Check) -> Future[ReadyGuest]:
        with self._lock:
            future = self._guests.get(key)
            if future is not None and not key.journey:
                return future
            if future is not None:
                self._former[key].append(future)
            future = self._guests[key] = self._threads.submit(self._bring_up, key, check)
        future.add_done_callback(self._end)
        return future

    def _end(self, future: Future[ReadyGuest]) -> None:
        up = those_up([future])
        with self._lock:
            self._nodes.update(guest.node for guest in up)
        self._on_end(up)

    @property
    def nodes(self) -> frozenset[str]:
        """Where guests have come up."""
        with self._lock:
            return frozenset(self._nodes)

    def up(self) -> list[ReadyGuest]:
        """The guests that are up."""
        with self._lock:
            return those_up(chain(self._guests.values(), *self._former.values()))

    def of(self, check: Check) -> list[ReadyGuest | None]:
        """The guests of a check, as far as they are up."""
        with self._lock:
            return [up_or_none(self._guests.get(key)) for key in vmi_keys(check)]

    def forget_lost(self, check: Check) -> None:
        """Have those guests of a check that did not come up brought up anew for the next who asks."""
        with self._lock:
            for key in vmi_keys(check):
                future = self._guests.get(key)
                if future is not None and future.done() and is_lost(future):
                    del self._guests[key]

    def take(self, keys: Iterable[VmiKey]) -> list[Future[ReadyGuest]]:
        """Take guests out of the fleet, up or not: the next who asks gets others."""
        with self._lock:
            taken: list[Future[ReadyGuest]] = []
            for key in keys:
                taken += self._former.pop(key, [])
                if key in self._guests:
                    taken.append(self._guests.pop(key))
            return taken

    def take_former(
        self, keys: Iterable[VmiKey], held: Collection[Future[ReadyGuest]]
    ) -> list[Future[ReadyGuest]]:
        """Take those guests in whose place there are others, but for the ``held``."""
        with self._lock:
            taken = [one for key in keys for one in self._former.get(key, ()) if one not in held]
            for key in keys:
                if key in self._former:
                    self._former[key] = [one for one in self._former[key] if one in held]
            return taken

    def take_all(self) -> list[Future[ReadyGuest]]:
        """Take all guests out of the fleet."""
        with self._lock:
            return self.take([*self._guests, *(key for key in self._former if key not in self._guests)])

    def shut_down(self, wait_seconds: float) -> None:
        """Bring up nothing more; what is under way has so long to end."""
        self._threads.shut_down(wait_seconds)
