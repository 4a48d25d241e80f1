"""One look-out for all VMIs on their way: however many wait, the API server is asked at a bounded rate."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Backoff
from pytest_kvlatency.errors import CheckupTimeoutError, KvLatencyError, ProvisionError, again
from pytest_kvlatency.kube.polls import Allowance, Turns, next_step
from pytest_kvlatency.kube.vmiprogress import VmiProgress, explain_late
from pytest_kvlatency.shortage import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline, Stop
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.podlook import PodNews
    from pytest_kvlatency.kube.state import VmiHandle, VmiState
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.kube.watch import VmiWatch

#: A proxy may hold a watch's events back, so that what it tells of is looked at too, but rarely.
WATCHED_STEP_SECONDS: Final = 10.0
#: No VMI runs sooner than its pod has been scheduled, set up and started.
FIRST_LOOK_SECONDS: Final = 1.0
SLICE_SECONDS: Final = 0.2
MORE_TIME: Final = "see what keeps its pod from starting, or allow more time: --kv-timeout"
_OR_MORE_TIME: Final = "If it only needs longer, allow more time: --kv-timeout"
#: However many wait: so many looks in vain at once, and so many more a second.
BURST_LOOKS: Final = 20
LOOKS_PER_SECOND: Final = 10.0
#: Most pods are up by then, and theirs are not looked at; the pauses between looks grow.
POD_STEPS: Final = Backoff(first=5.0, longest=30.0, factor=1.25)


@dataclass(kw_only=True, eq=False)
class _AwaitedVmi:
    progress: VmiProgress
    deadline: Deadline
    on_change: Callable[[VmiState], None]
    seen_at: float = 0.0
    #: Whether the watch has told of it, so that it will again.
    is_watched: bool = False
    #: When its pod is to be looked at, and the pauses after that.
    pod_look_at: float = 0.0
    pod_steps: Iterator[float] = field(default_factory=lambda: iter(POD_STEPS))
    future: Future[VmiState] = field(default_factory=Future)

    @property
    def uid(self) -> str:
        return self.progress.handle.uid

    @property
    def is_fresh(self) -> bool:
        """Whether it need not be looked at again as long as the watch goes on."""
        return self.is_watched and time.monotonic() - self.seen_at < WATCHED_STEP_SECONDS

    def seconds_left(self) -> float:
        """Until something must be decided without any news."""
        due, left = self.progress.due, self.deadline.remaining()
        return left if due is None else min(left, due)

    def postpone_pod_look(self) -> None:
        """Have its pod looked at after a pause, each time a longer one but where something is about to be decided."""
        pause = POD_STEPS.first if self.progress.is_pod_suspect else next(self.pod_steps)
        self.pod_look_at = time.monotonic() + pause

    def end(self, error: Exception) -> None:
        if not self.future.done():
            state = self.progress.state
            if isinstance(error, KvLatencyError) and state is not None:
                error.guest_node = state.node or ""
            self.future.set_exception(again(error))


class LookOut:
    """Tells when VMIs run, or why they never will. Has a thread of its own while anyone waits.

    ``watch(tell)`` opens a watch that calls ``tell(uid, state)``; where it is refused or told nothing, VMIs are looked
    at one by one, in ``Turns``: at all of them once one has come to run. ``look_at_pods`` tells of pods that do not
    start within seconds what the VMIs do not show. ``wait`` is how it waits.
    """

    def __init__(
        self,
        client: KubeClient,
        vmis: Vmis,
        *,
        watch: Callable[[Callable[[str, VmiState | None], None]], VmiWatch] | None = None,
        look_at_pods: Callable[[Sequence[VmiHandle], Stop], Mapping[str, PodNews]] | None = None,
        wait: Callable[[threading.Condition, float], bool] = threading.Condition.wait,
    ) -> None:
        self._client = client
        self._vmis = vmis
        self._open_watch = watch
        self._look_at_pods = look_at_pods
        self._pods_seen_at = -math.inf
        self._wait = wait
        self._changed = threading.Condition()
        self._waiting: list[_AwaitedVmi] = []
        self._news: dict[str, VmiState | None] = {}
        #: Seconds from one round of looks to the next.
        self._step_seconds = FIRST_LOOK_SECONDS
        self._joined_at = 0.0
        self._round_at = math.inf
        self._allowance = Allowance(BURST_LOOKS, LOOKS_PER_SECOND)
        self._thread: threading.Thread | None = None

    def wait_running(
        self, handle: VmiHandle, deadline: Deadline, on_change: Callable[[VmiState], None]
    ) -> VmiState:
        """Wait until the VMI runs. ``on_change`` is told each new phase, and each new node.

        Raises ``ProvisionError`` as soon as a cause is certain, and ``CheckupTimeoutError`` that says where it stood.
        """
        one = _AwaitedVmi(progress=VmiProgress(handle), deadline=deadline, on_change=on_change)
        one.postpone_pod_look()
        with self._changed:
            self._waiting.append(one)
            self._joined_at = time.monotonic()
            self._step_seconds = FIRST_LOOK_SECONDS
            self._round_at = min(self._round_at, self._joined_at + self._step_seconds)
            if self._thread is None:
                self._news.clear()
                thread = threading.Thread(target=self._run, name="kvlatency-look-out", daemon=True)
                try:
                    with told():
                        thread.start()
                except KvLatencyError:
                    self._waiting.remove(one)
                    raise
                self._thread = thread
            self._changed.notify_all()
        return one.future.result()

    @property
    def waited_for(self) -> int:
        """How many VMIs are being waited for."""
        return len(self._waiting)

    def _run(self) -> None:
        watch: VmiWatch | None = None
        try:
            watch = None if self._open_watch is None else self._open_watch(self._hear)
            while True:
                waiting, is_round = self._next()
                if not waiting:
                    return
                self._learn(waiting)
                if is_round:
                    is_watching = watch is not None and watch.active
                    self._look_round([one for one in waiting if not (is_watching and one.is_fresh)])
                self._look_round_pods([one for one in waiting if not one.future.done()])
                self._end_waits([one for one in waiting if not one.future.done()])
                with self._changed:
                    self._waiting = [one for one in self._waiting if not one.future.done()]
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach those who wait
            with self._changed:
                left, self._waiting, self._thread = self._waiting, [], None
            for one in left:
                one.end(error)
        finally:
            if watch is not None:
                watch.close()
                if watch.refused:
                    self._open_watch = None

    def _next(self) -> tuple[list[_AwaitedVmi], bool]:
        """Wait until there is something to do: those who wait, and whether they are due to be looked at.

        None wait when this thread has come to its end.
        """
        with self._changed:
            if not self._waiting:
                self._thread, self._round_at = None, math.inf
                return [], False
            self._pause()
            is_round = time.monotonic() >= self._round_at
            if is_round:
                self._step_seconds = next_step(self._step_seconds, time.monotonic() - self._joined_at)
                self._round_at = time.monotonic() + self._step_seconds
            return list(self._waiting), is_round

    def _hear(self, uid: str, state: VmiState | None) -> None:
        """Take what the watch tells; in its thread."""
        with self._changed:
            self._news[uid] = state
            self._changed.notify_all()

    def _pause(self) -> None:
        """Wait until a look is due, something is told, must be decided, or the run is stopped; the lock is held."""
        while not any(one.uid in self._news or one.deadline.stop.is_set() for one in self._waiting):
            left = self._round_at - time.monotonic()
            left = min([left, *(one.seconds_left() for one in self._waiting), self._until_pod_look()])
            if left <= 0:
                return
            self._wait(self._changed, min(SLICE_SECONDS, left))

    def _learn(self, waiting: Sequence[_AwaitedVmi]) -> None:
        """Take what the watch has told."""
        with self._changed:
            told = [(one, self._news.pop(one.uid)) for one in waiting if one.uid in self._news]
        for one, state in told:
            one.is_watched = True
            self._take(one, state)

    def _look_round(self, waiting: Sequence[_AwaitedVmi]) -> None:
        turns = Turns(sorted((one for one in waiting if not one.future.done()), key=lambda one: one.seen_at))
        for one in turns:
            if not self._allowance.take():
                return
            if self._look(one):
                # It happens once to each, so it need not be rationed.
                self._allowance.give_back()
                turns.hurry()

    def _until_pod_look(self) -> float:
        """Seconds until pods are to be looked at; the looks of VMIs that came one after the other are made as one."""
        if self._look_at_pods is None:
            return math.inf
        due = [one.pod_look_at for one in self._waiting if one.progress.awaits_pod]
        return max(min(due, default=math.inf), self._pods_seen_at + POD_STEPS.first) - time.monotonic()

    def _look_round_pods(self, waiting: Sequence[_AwaitedVmi]) -> None:
        late = [one for one in waiting if one.progress.awaits_pod]
        if self._look_at_pods is None or not late or self._until_pod_look() > 0:
            return
        try:
            news = self._look_at_pods([one.progress.handle for one in late], late[0].deadline.stop)
        except KvLatencyError:
            # The VMI itself cannot be looked at then either, which says it.
            news = {}
        self._pods_seen_at = time.monotonic()
        for one in late:
            try:
                if one.uid in news:
                    one.progress.learn(news[one.uid])
            except ProvisionError as error:
                # It may have come to run all the same.
                if not self._look(one):
                    one.end(error)
            one.postpone_pod_look()

    def _look(self, one: _AwaitedVmi) -> bool:
        """Look at one VMI; whether it has come to run."""
        try:
            one.deadline.check(f"VMI {one.progress.handle} to run")
            state = self._vmis.get_state(one.progress.handle, one.deadline)
        except CheckupTimeoutError as error:
            if not one.deadline.expired():
                one.end(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            one.end(error)
        else:
            return self._take(one, state)
        return False

    @staticmethod
    def _take(one: _AwaitedVmi, state: VmiState | None) -> bool:
        """Take a VMI's new state; whether it has come to run."""
        one.seen_at = time.monotonic()
        try:
            if one.progress.see(state) and state is not None:
                one.on_change(state)
        except Exception as error:  # noqa: BLE001 - as above
            one.end(error)
            return False
        if state is None or not state.running or one.future.done():
            return False
        one.future.set_result(state)
        return True

    def _end_waits(self, waiting: Sequence[_AwaitedVmi]) -> None:
        """End the waits whose time is over, with where each VMI stands, and those whose trouble has lasted."""
        late = []
        for one in waiting:
            try:
                one.deadline.check(f"VMI {one.progress.handle} to run")
                one.progress.judge()
            except CheckupTimeoutError as error:
                late.append((one, error.reason))
            except KvLatencyError as error:
                if one.is_watched:
                    # It may be over, and the watch held back: the look ends the wait, or finds it so.
                    self._look(one)
                else:
                    one.end(error)
        if late:
            texts = explain_late(self._client, [one.progress for one, _ in late], late[0][0].deadline.stop)
            for (one, reason), text in zip(late, texts, strict=True):
                one.end(
                    CheckupTimeoutError(
                        f"{reason}: {text}",
                        summary=f"the time was over: {one.progress.summary}",
                        hint=f"{one.progress.hint}\n{_OR_MORE_TIME}" if one.progress.hint else MORE_TIME,
                        is_local=one.progress.is_local,
                    )
                )
