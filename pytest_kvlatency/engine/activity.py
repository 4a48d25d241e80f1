"""What the engine is doing now: for the progress line, and for the reason of what a signal cuts off."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.steps import Step, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.errors import Stage

SHOWN_ACTIVITIES = 2


class Activity:
    """The steps that are under way, by the names of guests and checks. Thread-safe.

    What ``stop`` cuts off stays as it was: that is the reason of what comes of it.
    """

    def __init__(self, stop: Stop, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}

    @contextmanager
    def doing(self, what: str, stage: Stage, during: str, *, who: str = "") -> Iterator[Say]:
        """Show ``what`` as under way inside; the function given says how far it is.

        ``who`` is whom the progress line names for it.
        """
        step = Step(stage=stage, during=during, who=who)

        def say(how_far: str, *, during: str = "", phase: str = "") -> None:
            nonlocal step
            phase = phase or how_far
            since = step.since if phase == step.phase else self._clock()
            step = replace(step, how_far=how_far, during=during or step.during, phase=phase, since=since)
            self._show(what, step)

        self._show(what, step)
        try:
            yield say
        finally:
            self._show(what, None)

    def _show(self, what: str, step: Step | None) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            if step is None:
                self._steps.pop(what, None)
            else:
                self._steps[what] = step

    def step_of(self, names: Iterable[str]) -> Step:
        """The step of the first of these that is under way; of none, that it waits for its turn."""
        with self._lock:
            found = (self._steps[name] for name in names if name in self._steps)
            return next(found, Step(stage="setup", during="waiting for its turn"))

    @property
    def waits(self) -> list[Wait]:
        """What is waited for now: guests that are on their way; when all are up, what the measurements are at."""
        now = self._clock()
        with self._lock:
            steps = [step for step in self._steps.values() if step.who and step.phase]
        guests = [step for step in steps if step.stage == "setup"]
        return [
            Wait(who=step.who, phase=step.phase, seconds=max(0.0, now - step.since))
            for step in guests or steps
        ]

    @property
    def words(self) -> str:
        """What is being waited for now, in words."""
        with self._lock:
            doing = [f"{what}: {step.how_far}" for what, step in self._steps.items() if step.how_far]
        if len(doing) > SHOWN_ACTIVITIES:
            doing[SHOWN_ACTIVITIES:] = [f"and {len(doing) - SHOWN_ACTIVITIES} more"]
        return "; ".join(doing)
