"""How guests leave the run: deleted as soon as nobody needs them, or handed over to people."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import CLEANUP_SECONDS, Deadline
from pytest_kvlatency.engine.guests import those_up
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.kube.state import VmiHandle

MAX_LEAVING = 500
LAST_SECONDS = 1.0
SLICE_SECONDS = 0.1
# So long for the terminals of guests that stay, beside all else. One who stops a run may kill it after 5 s.
LEAVING_SECONDS = 20.0
HURRIED_LEAVING_SECONDS = 3.0


class Departures:
    """Sees guests off in the background, those that stay in threads of its own. Thread-safe.

    ``threads`` delete the others. Once ``close`` was called each deletion is the end's to ask for.
    """

    def __init__(self, leftovers: Leftovers, threads: Threads) -> None:
        self._leftovers = leftovers
        self._threads = threads
        self._leaving_threads = Threads(MAX_LEAVING, "kvlatency-leave")
        self._leaving: list[Future[None]] = []
        self._leaving_since: float | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        #: Guests whose console nothing has closed for good, kept or not; None once nothing may be open any more.
        self._open: dict[VmiHandle, ReadyGuest] | None = {}

    def expect(self, guests: Iterable[ReadyGuest]) -> None:
        """Know of guests that have come up, whose consoles are open: at the end they are closed, later at once."""
        with self._lock:
            is_late = self._open is None
            if self._open is not None:
                self._open.update((guest.handle, guest) for guest in guests)
        for guest in guests if is_late else ():
            guest.shell.close()

    def discard(self, futures: Iterable[Future[ReadyGuest]]) -> None:
        """Delete guests that nobody needs, in the background; one that is being brought up as soon as that is over."""
        begun = [one for one in futures if not one.cancel()]
        ready = [one for one in begun if one.done()]
        self._remove(those_up(ready))
        for one in begun:
            if one not in ready:
                one.add_done_callback(lambda done: self._remove(those_up([done])))

    def _remove(self, guests: Sequence[ReadyGuest]) -> None:
        # Those that stay are handed over at once: the end waits for none that it does not know of.
        going = [guest for guest in guests if not self._leave_if_kept(guest)]
        handles = [guest.handle for guest in going]

        def remove() -> None:
            self._close_consoles(going)
            self._leftovers.delete(handles, Deadline(CLEANUP_SECONDS))

        if self._is_closed:
            self._close_consoles(going)
        elif going:
            self._leftovers.doom(handles)
            self._threads.submit(remove)

    def _leave_if_kept(self, guest: ReadyGuest) -> bool:
        """Hand a guest over to people, in the background, if it is kept; whether it is."""
        if not self._leftovers.is_kept(guest.handle):
            return False
        # After the end a terminal stays as it is.
        with suppress(RuntimeError):
            self._leaving.append(self._leaving_threads.submit(guest.shell.leave, Deadline(LEAVING_SECONDS)))
        return True

    def _close_consoles(self, guests: Iterable[ReadyGuest]) -> None:
        for guest in guests:
            guest.shell.close()
            with self._lock:
                if self._open is not None:
                    self._open.pop(guest.handle, None)

    def close(self) -> None:
        """Delete nothing more."""
        self._is_closed = True

    def leave_kept(self, guests: Iterable[ReadyGuest]) -> None:
        """Hand those of these guests that stay over to people; ``shut_down`` waits for it, from now on."""
        self._leaving_since = time.monotonic()
        for guest in guests:
            self._leave_if_kept(guest)

    def patience_seconds(self, *, hurries: bool) -> float:
        """How long the end still waits for guests that leave."""
        if not self._leftovers.kept:
            return 0.0
        whole = HURRIED_LEAVING_SECONDS if hurries else LEAVING_SECONDS
        passed = 0.0 if self._leaving_since is None else time.monotonic() - self._leaving_since
        return max(0.0, whole - passed)

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Hand over nothing more; what was begun has so long to end. A signal may make it hurry meanwhile."""
        began = time.monotonic()
        # One that no thread has taken up yet would be dropped with the threads.
        while wait(self._leaving, timeout=SLICE_SECONDS).not_done:
            is_late = time.monotonic() - began >= LAST_SECONDS
            if is_late and not self.patience_seconds(hurries=hurries()):
                break
        self._leaving_threads.shut_down(0.0)

    def close_consoles(self) -> None:
        """Close every console, also of guests whose removal has not had its turn."""
        with self._lock:
            still_open, self._open = self._open or {}, None
        for guest in still_open.values():
            guest.shell.close()
