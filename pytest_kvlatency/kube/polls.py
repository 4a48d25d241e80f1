"""Few requests for many VMIs that are waited for: which are looked at, and when."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pytest_kvlatency.deadline import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.state import VmiHandle, VmiState

    GetState = Callable[[VmiHandle, Deadline], VmiState | None]

T = TypeVar("T")

# Most VMIs run, or are gone, within seconds, and time that passes unseen is lost: no step is longer than a second then.
_BRISK_SECONDS: Final = 5.0
_BRISK_STEPS: Final = Backoff(first=0.2, longest=1.0)
_STEPS: Final = replace(_BRISK_STEPS, longest=2.0)
# However many VMIs are waited for.
_MOST_AT_ONCE: Final = 20


def next_step(seconds: float, waited_seconds: float) -> float:
    """The step between rounds of looks that follows one of so many ``seconds``: longer, but brisk at first."""
    steps = _BRISK_STEPS if waited_seconds < _BRISK_SECONDS else _STEPS
    return steps.after(seconds)


class Turns(Generic[T]):
    """Whose turn it is in a round of looks: half of those in ``order``, who are the least recently seen first.

    VMIs of one wait start at the same time and are much alike, so asking all of them in each round would tell little
    more for twice the requests. ``hurry`` once one has come as far as is waited for: the others are likely as far.
    ``most`` bounds how many follow one another.
    """

    def __init__(self, order: Iterable[T], *, most: int = sys.maxsize) -> None:
        self._order = deque(order)
        self._most = most
        self._due = 0
        self.begin()

    def begin(self) -> None:
        """Begin a round with those whose turn it is next."""
        self._due = min(self._most, (len(self._order) + 1) // 2)

    def __iter__(self) -> Iterator[T]:
        """Those to look at, each of whom leaves the order."""
        while self._due > 0 and self._order:
            self._due -= 1
            yield self._order.popleft()

    def __bool__(self) -> bool:
        """Whether anyone is left."""
        return bool(self._order)

    def put_back(self, one: T) -> None:
        """Have another turn of one who was looked at in vain, after all others."""
        self._order.append(one)

    def hurry(self) -> None:
        """Look at all who are left in this round."""
        self._due = min(self._most, len(self._order))


class Allowance:
    """So many looks at once, and so many more with each second that passes."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._since = time.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed now; it counts as made then."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def give_back(self) -> None:
        """Count the last one as not made."""
        self._left += 1.0


def polls(
    get_state: GetState, handles: Iterable[VmiHandle], deadline: Deadline, waiting_for: str
) -> Iterator[tuple[VmiHandle, VmiState | None]]:
    """Look at VMIs until each is gone. Raises as ``Deadline.check``."""
    turns, step, waited = Turns(handles, most=_MOST_AT_ONCE), _BRISK_STEPS.first, 0.0
    while turns:
        deadline.pause(step, waiting_for)
        waited += step
        step = next_step(step, waited)
        turns.begin()
        for handle in turns:
            deadline.check(waiting_for)
            state = get_state(handle, deadline)
            if state is None:
                turns.hurry()
            else:
                turns.put_back(handle)
            yield handle, state
