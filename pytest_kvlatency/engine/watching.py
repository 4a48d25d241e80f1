"""One look-out for all VMIs on their way: however many wait, the API server is asked at a bounded rate."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import CheckupTimeoutError, KvLatencyError
from pytest_kvlatency.kube.waiting import Progress, explain_late

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle, VmiState
    from pytest_kvlatency.kube.vmi import Vmis

FIRST_STEP_SECONDS: Final = 0.1
LONGEST_STEP_SECONDS: Final = 2.0
SLICE_SECONDS: Final = 0.2
# With every look at one VMI: 40 in each step of 2 s make 20 requests a second, however large the matrix.
MAX_LOOKS: Final = 40


@dataclass(kw_only=True)
class _Waiting:
    progress: Progress
    deadline: Deadline
    on_phase: Callable[[str], None]
    seen_at: float = 0.0
    future: Future[VmiState] = field(default_factory=Future)


class LookOut:
    """Tells when VMIs run, or why they never will. Has a thread of its own while anyone waits.

    VMIs created together are much alike, so each step looks at half of those that wait, the least recently seen
    first, and at all the others once one of them has come to run.
    """

    def __init__(self, client: KubeClient, vmis: Vmis) -> None:
        self._client = client
        self._vmis = vmis
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._step = FIRST_STEP_SECONDS
        self._thread: threading.Thread | None = None

    def wait_running(
        self, handle: VmiHandle, deadline: Deadline, on_phase: Callable[[str], None]
    ) -> VmiState:
        """Wait until the VMI runs. ``on_phase`` is told each new phase.

        Raises ``ProvisionError`` as soon as a cause is certain, and ``CheckupTimeoutError`` that says where it stood.
        """
        one = _Waiting(progress=Progress(handle), deadline=deadline, on_phase=on_phase)
        with self._changed:
            self._waiting.append(one)
            self._step = FIRST_STEP_SECONDS
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kvlatency-look-out", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return one.future.result()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    return
                self._pause()
                self._step = min(LONGEST_STEP_SECONDS, self._step * 2)
                order = sorted(self._waiting, key=lambda one: one.seen_at)
            half = order[: min(MAX_LOOKS, (len(order) + 1) // 2)]
            if any([self._look(one) for one in half]):
                for one in order[len(half) : MAX_LOOKS]:
                    self._look(one)
            for one in order:
                self._judge(one)
            with self._changed:
                self._waiting = [one for one in self._waiting if not one.future.done()]

    def _pause(self) -> None:
        """Wait one step, or until somebody joins or stops the run; the lock is held."""
        until = time.monotonic() + self._step
        while (left := until - time.monotonic()) > 0:
            joined = self._changed.wait(min(SLICE_SECONDS, left))
            if joined or any(one.deadline.stop.is_set() for one in self._waiting):
                return

    def _look(self, one: _Waiting) -> bool:
        """Look at one VMI; whether it has come to run."""
        one.seen_at = time.monotonic()
        handle = one.progress.handle
        try:
            one.deadline.check(f"VMI {handle} to run")
            state = self._vmis.get_state(handle, one.deadline)
            if one.progress.see(state) and state is not None:
                one.on_phase(state.phase)
        except CheckupTimeoutError as error:
            where = explain_late(self._client, [one.progress], one.deadline)
            one.future.set_exception(CheckupTimeoutError(f"{error.reason}: {where}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            one.future.set_exception(error)
        else:
            if state is not None and state.running:
                one.future.set_result(state)
                return True
        return False

    def _judge(self, one: _Waiting) -> None:
        """End the wait of a VMI whose trouble has lasted, or whose time is over, between two looks."""
        if one.future.done():
            return
        try:
            one.deadline.check(f"VMI {one.progress.handle} to run")
            one.progress.judge()
        except CheckupTimeoutError:
            self._look(one)
        except KvLatencyError as error:
            one.future.set_exception(error)
