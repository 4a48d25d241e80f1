"""What the engine is doing now: for the progress line, and for the reason of what a signal cuts off."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.errors import Stage

SHOWN_ACTIVITIES = 2


class Activity:
    """The steps that are under way, by the names of guests and checks. Thread-safe.

    What ``stop`` cuts off stays as it was: that is the reason of what comes of it.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}

    @contextmanager
    def doing(self, what: str, stage: Stage, during: str) -> Iterator[Say]:
        """Show ``what`` as under way inside; the function given says how far it is."""
        step = Step(stage=stage, during=during)

        def say(how_far: str, *, during: str = "") -> None:
            nonlocal step
            step = replace(step, how_far=how_far, during=during or step.during)
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
    def words(self) -> str:
        """What is being waited for now, in words."""
        with self._lock:
            doing = [f"{what}: {step.how_far}" for what, step in self._steps.items() if step.how_far]
        shown = doing[:SHOWN_ACTIVITIES]
        return "; ".join(
            [*shown, f"and {len(doing) - len(shown)} more"] if len(doing) > len(shown) else shown
        )
