"""How a run that lives keeps its guests: their watchdogs are renewed."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine import lifetime
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.guests import ReadyGuest

_ROUNDS_IN_SLACK: Final = 10
_AT_ONCE: Final = 8
_CLOSING_SECONDS: Final = 0.5


class Keeper:
    """Renews the watchdogs of guests that nobody uses, in threads of its own, from ``start`` to ``close``.

    ``guests`` gives those on whose consoles something may be typed now.
    """

    def __init__(self, guests: Callable[[], Iterable[ReadyGuest]], consoles: Consoles) -> None:
        self._guests = guests
        self._consoles = consoles
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_started = False
        self._threads = Threads(_AT_ONCE, "kvlatency-keep")
        self._busy: set[str] = set()

    def start(self) -> None:
        """Begin, unless this is done."""
        with self._lock:
            if self._is_started or self._closed.is_set():
                return
            self._is_started = True
        # Where the machine gives no thread, guests that nobody uses for an hour power themselves off.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._run, name="kvlatency-keeper", daemon=True).start()

    def close(self) -> None:
        """Renew nothing more; what is under way has a moment to end, so that consoles can be left to others."""
        self._closed.set()
        self._threads.shut_down(_CLOSING_SECONDS)

    def _run(self) -> None:
        while not self._closed.wait(lifetime.SLACK_SECONDS / _ROUNDS_IN_SLACK):
            for guest in self._guests():
                if not guest.watchdog.lasts() and not guest.shell.is_in_use:
                    self._submit(guest)

    def _submit(self, guest: ReadyGuest) -> None:
        name = str(guest.handle)
        with self._lock:
            if name in self._busy or self._closed.is_set():
                return
            self._busy.add(name)
        # Once closed it takes nothing more.
        with contextlib.suppress(RuntimeError):
            self._threads.submit(self._renew, guest, name)

    def _renew(self, guest: ReadyGuest, name: str) -> None:
        # Where no console is free, or the guest does not answer, the next round tries again.
        with (
            contextlib.suppress(KvLatencyError),
            self._consoles.using(guest.shell, Deadline(lifetime.RENEWAL_SECONDS)),
        ):
            if not self._closed.is_set() and any(one is guest for one in self._guests()):
                guest.watchdog.cover()
        with self._lock:
            self._busy.discard(name)
