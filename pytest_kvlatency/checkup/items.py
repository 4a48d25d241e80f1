"""The account of a run's kvlatency items: which are expected, every attempt at one, and how each ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.checkup.attempt import ItemAttempt
from pytest_kvlatency.checkup.tally import Tally
from pytest_kvlatency.model import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.engine.engine import Engine
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.model import Check, Outcome
    from pytest_kvlatency.report.run import ItemResult


class Items:
    """The kvlatency items of the run. None of them is forgotten, whatever ends the run."""

    def __init__(self) -> None:
        self._attempts: list[ItemAttempt] = []
        self._tries: Counter[str] = Counter()
        self._elsewhere: tuple[ItemResult, ...] = ()
        self._pending: dict[str, Check | None] = {}
        self._left_out: Mapping[str, Outcome] = {}
        #: How far they are, for the progress line.
        self.tally = Tally()
        self.total = 0

    def expect(self, checks: Mapping[str, Check | None], left_out: Mapping[str, Outcome]) -> None:
        """Take the items that are going to run, by node id; ``left_out``: how those end that their marks leave out."""
        self._pending = dict(checks)
        self._left_out = left_out
        self.total = len(self._pending)
        self.tally.expect(self._pending)

    # --- while they run

    def attempt(self, nodeid: str, check: Check | None) -> ItemAttempt:
        """Begin an attempt at an item."""
        self._tries[nodeid] += 1
        attempt = ItemAttempt(nodeid=nodeid, check=check, number=self._tries[nodeid])
        self._attempts.append(attempt)
        return attempt

    def is_over(self, nodeid: str) -> None:
        """Know that an item has been run."""
        self._pending.pop(nodeid, None)

    @property
    def are_all_over(self) -> bool:
        """Whether no item is left to run."""
        return not self._pending

    # --- the end

    def adopt(self, results: Sequence[ItemResult]) -> None:
        """Take what other processes have run."""
        self._elsewhere = tuple(results)
        for one in results:
            self._pending.pop(one.nodeid, None)

    def cut_off(self, interrupted_by: str) -> None:
        """Account for an item that was cut off in the middle."""
        for attempt in self._attempts:
            if attempt.outcome == "notrun" and not attempt.failures:
                attempt.outcome = "error"
                stage: Stage = "run" if attempt.is_set_up else "setup"
                what = "the test ran" if attempt.is_set_up else "the test's fixtures were set up"
                reason = f"{interrupted_by} while {what}"
                attempt.failures.append(
                    Failure(kind="interrupted", stage=stage, reason=reason, summary=interrupted_by)
                )

    def close(self) -> None:
        """Account for items that were not run."""
        started = {attempt.nodeid for attempt in self._attempts}
        for nodeid, check in self._pending.items():
            if nodeid not in started:
                attempt = ItemAttempt(nodeid=nodeid, check=check)
                # Of what its marks leave out nothing is missing, however early the run ended.
                attempt.outcome = self._left_out.get(nodeid, "notrun")
                self._attempts.append(attempt)
        self._pending.clear()

    def drop(self) -> None:
        """Run none of the items, and miss none: something else takes their place."""
        self._pending.clear()

    def add_timings(self, engine: Engine) -> None:
        """Enter how long deletions took, now that they are over."""
        for attempt in self._attempts:
            measured = attempt.measurement
            if measured is not None:
                timings = replace(measured.timings, delete=engine.delete_seconds(measured))
                attempt.measurement = replace(measured, timings=timings)

    def own_results(self) -> tuple[ItemResult, ...]:
        """Every attempt of this process, in the order of time."""
        return tuple(attempt.result() for attempt in self._attempts)

    def results(self) -> tuple[ItemResult, ...]:
        """Every attempt, in the order of time."""
        return (*self._elsewhere, *self.own_results())
