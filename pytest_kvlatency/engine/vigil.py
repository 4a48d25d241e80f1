"""Guests under a long measurement, looked at now and then: one that is gone ends it, and not only its last ping.

Nobody reads the target's console meanwhile, and a watch may be forbidden, or may have ended.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kvlatency.console.liveness import check_alive
from pytest_kvlatency.deadline import Backoff, Deadline, Stop
from pytest_kvlatency.errors import KvLatencyError, ProvisionError, again
from pytest_kvlatency.kube.apierrors import KubeApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_kvlatency.kube.state import VmiHandle, VmiState

#: Until the first look at a guest: a measurement of the usual length costs none. Then ever more rarely.
STEPS = Backoff(first=10.0, longest=30.0, factor=1.5)
#: However many guests are measured: at most so many looks a second.
LOOKS_PER_SECOND = 5.0
_LOOK_SECONDS = 5.0


@dataclass(eq=False, kw_only=True)
class _Watch:
    """A guest under one measurement. ``stop`` ends that; ``cause`` says why."""

    handle: VmiHandle
    stop: Stop
    steps: Iterator[float] = field(default_factory=lambda: iter(STEPS))
    due: float = 0.0
    cause: ProvisionError | None = None

    def __post_init__(self) -> None:
        self.postpone()

    def postpone(self) -> None:
        """Have it looked at after the next step."""
        self.due = time.monotonic() + next(self.steps)


class WatchedDeadline(Deadline):
    """The deadline of a body whose guests are looked at. ``watches`` are theirs."""

    def __init__(self, watches: Sequence[_Watch], *, stop: Stop, parent: Deadline) -> None:
        super().__init__(math.inf, stop=stop, parent=parent)
        self._watches = watches

    @property
    def cause(self) -> ProvisionError | None:
        """Why a guest has ended, which ends the body; None while they live."""
        found = next((one.cause for one in self._watches if one.cause is not None), None)
        return None if found is None else again(found)


class Vigil:
    """Looks at the guests of all measurements under way, in a thread of its own while there are any."""

    def __init__(self, get_state: Callable[[VmiHandle, Deadline], VmiState | None]) -> None:
        self._get_state = get_state
        self._changed = threading.Condition()
        self._watches: list[_Watch] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, handles: Sequence[VmiHandle], deadline: Deadline) -> Iterator[WatchedDeadline]:
        """Look at these VMIs while the body runs, which has to end with the deadline that it is given.

        Raises ``ProvisionError`` when one has ended and the body was ended by that.
        """
        stop = Stop(parent=deadline.stop)
        watches = [_Watch(handle=handle, stop=stop) for handle in handles]
        watched = WatchedDeadline(watches, stop=stop, parent=deadline)
        self._begin(watches)
        try:
            yield watched
        except KvLatencyError as error:
            if watched.cause is None:
                raise
            raise watched.cause from error
        finally:
            with self._changed:
                self._watches = [one for one in self._watches if one not in watches]
                self._changed.notify_all()

    def _begin(self, watches: Sequence[_Watch]) -> None:
        with self._changed:
            self._watches += watches
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="kvlatency-vigil", daemon=True)
                # Where the machine gives no thread, the end of a measurement tells.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while (one := self._next()) is not None:
            began = time.monotonic()
            cause = self._look(one)
            with self._changed:
                one.postpone()
                for other in self._watches if cause is not None else ():
                    if other.handle == one.handle:
                        other.cause = cause
                        other.stop.set(f"VMI {one.handle} has ended")
            time.sleep(max(0.0, 1 / LOOKS_PER_SECOND - (time.monotonic() - began)))

    def _next(self) -> _Watch | None:
        """Wait until one is due to be looked at; None, and the end of the thread, when nothing is measured."""
        with self._changed:
            while self._watches:
                first = min(self._watches, key=lambda one: one.due)
                left = first.due - time.monotonic()
                if left <= 0:
                    return first
                self._changed.wait(left)
            self._thread = None
            return None

    def _look(self, one: _Watch) -> ProvisionError | None:
        """Why the VMI has ended; None where it lives, or where that is not known."""
        try:
            state = self._get_state(one.handle, Deadline(_LOOK_SECONDS, stop=one.stop))
            check_alive(state, str(one.handle), uid=one.handle.uid)
        except ProvisionError as error:
            # What the API server does is no fault of the guest's.
            return None if isinstance(error, KubeApiError) else error
        except Exception:  # noqa: BLE001 - whatever it is, it says nothing of the guest
            return None
        return None
