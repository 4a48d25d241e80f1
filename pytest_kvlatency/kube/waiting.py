"""Waiting for VMIs: few requests, early causes. A watch where it is permitted, else polls with growing steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, ProvisionError
from pytest_kvlatency.kube import evidence
from pytest_kvlatency.kube.diagnosis import Trouble, stuck, trouble, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle, VmiState

    GetState = Callable[[VmiHandle, Deadline], VmiState | None]
    OnChange = Callable[[VmiHandle, VmiState], None]

_FIRST_STEP: Final = 0.1
_LONGEST_STEP: Final = 2.0
# Seconds for a look at the events when the run's own time is over.
_LAST_LOOK: Final = 3.0


class Polls:
    """The order in which VMIs are looked at: half of them at each step, the one least recently seen first.

    VMIs of one wait start at the same time and are much alike, so asking all of them at each step would tell
    little more for twice the requests. ``hurry`` puts the others next, without a pause.
    """

    def __init__(self, handles: Sequence[VmiHandle], deadline: Deadline, waiting_for: str) -> None:
        self.left = list(handles)
        self._deadline = deadline
        self._waiting_for = waiting_for
        self._step = _FIRST_STEP
        self._hurry = 0

    def done(self, handle: VmiHandle) -> None:
        """Look at this one no more, and at the others at once: they are likely as far."""
        self.left.remove(handle)
        self._hurry = len(self.left)

    def next(self, *, due: tuple[float, VmiHandle] | None = None) -> VmiHandle:
        """Wait for the next step, and return whom to look at: whoever is ``due`` (in so many seconds) in time."""
        if self._hurry > 0:
            self._hurry -= 1
            self._deadline.check(self._waiting_for)
        else:
            if due is not None and due[0] <= self._step:
                self._deadline.pause(due[0], self._waiting_for)
                return due[1]
            self._deadline.pause(self._step, self._waiting_for)
            self._step = min(_LONGEST_STEP, self._step * 2)
            self._hurry = (len(self.left) + 1) // 2 - 1
        handle = self.left.pop(0)
        self.left.append(handle)
        return handle


def polls(
    get_state: GetState, handles: Sequence[VmiHandle], deadline: Deadline, waiting_for: str
) -> Iterator[tuple[VmiHandle, VmiState | None]]:
    """Look at VMIs until each is gone, in the order of ``Polls``."""
    order = Polls(handles, deadline, waiting_for)
    while order.left:
        handle = order.next()
        state = get_state(handle, deadline)
        if state is None:
            order.done(handle)
        yield handle, state


class Progress:
    """One VMI on its way: its latest state, since when it is in its phase, and since when in which trouble."""

    def __init__(self, handle: VmiHandle) -> None:
        self.handle = handle
        self.state: VmiState | None = None
        self.phase_since = time.monotonic()
        self._trouble: Trouble | None = None
        self._trouble_since = 0.0

    def see(self, state: VmiState | None) -> bool:
        """Take a new state; return whether phase or node changed. Raises ``ProvisionError`` on a certain cause."""
        now = time.monotonic()
        before = self.state
        found = trouble(self.handle, state)
        if found is None or self._trouble is None or found.key != self._trouble.key:
            self._trouble_since = now
        self._trouble = found
        self.state = state
        changed = state is not None and (
            before is None or before.phase != state.phase or before.node != state.node
        )
        if changed:
            self.phase_since = now
        self.judge()
        return changed

    def judge(self) -> None:
        """Raise ``ProvisionError`` when the trouble has lasted long enough to be the cause."""
        found = self._trouble
        if found is None or found.lasts is None:
            return
        lasted = time.monotonic() - self._trouble_since
        if lasted >= found.lasts:
            told = f" (for {lasted:.0f} s)" if found.lasts else ""
            raise ProvisionError(f"{found.reason}{told}", hint=found.hint)

    @property
    def due(self) -> float | None:
        """Seconds until the present trouble becomes the cause; None when there is none."""
        found = self._trouble
        if found is None or found.lasts is None:
            return None
        return max(0.0, found.lasts - (time.monotonic() - self._trouble_since))


def wait_running(
    client: KubeClient,
    get_state: GetState,
    handles: Sequence[VmiHandle],
    deadline: Deadline,
    on_change: OnChange | None,
) -> dict[VmiHandle, VmiState]:
    """As ``Vmis.wait_running``."""
    progress = {handle: Progress(handle) for handle in handles}
    names = " and ".join(str(handle) for handle in handles[:2])
    if len(handles) > 2:
        names += f" and {len(handles) - 2} more"
    order = Polls(handles, deadline, f"VMI {names} to run")
    running: dict[VmiHandle, VmiState] = {}
    try:
        while order.left:
            dues = [(due, handle) for handle, one in progress.items() if (due := one.due) is not None]
            handle = order.next(due=min(dues, key=lambda entry: entry[0], default=None))
            state = get_state(handle, deadline)
            changed = progress[handle].see(state)
            if state is None:
                continue
            if changed and on_change is not None:
                on_change(handle, state)
            if state.running:
                running[handle] = state
                order.done(handle)
    except CheckupTimeoutError as error:
        late = [one for handle, one in progress.items() if handle not in running]
        raise CheckupTimeoutError(f"{error.reason}: {explain_late(client, late, deadline)}") from error
    return {handle: running[handle] for handle in handles}


def explain_late(client: KubeClient, late: Sequence[Progress], deadline: Deadline) -> str:
    """Say where VMIs stand whose time is over, with their pods' warnings where these may be read."""
    look = Deadline(_LAST_LOOK, stop=deadline.stop)
    texts = []
    for one in late[:4]:
        found = evidence.events(client, one.handle, look)
        warnings = None if found is None else warnings_of(found, one.handle)
        texts.append(stuck(one.handle, one.state, time.monotonic() - one.phase_since, warnings))
    if len(late) > 4:
        texts.append(f"and {len(late) - 4} more")
    return "; ".join(texts)
