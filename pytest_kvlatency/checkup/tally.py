"""How far the run's items are: what was measured of each, by whomever, and whether it fails."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.steps import pair_place
from pytest_kvlatency.report.progressline import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.model import Check, Measurement, MeasurementKey
    from pytest_kvlatency.report.run import ItemResult

FAILED = frozenset({"failed", "error"})


class Tally:
    """Counts items as soon as they are measured, long before pytest reports them. Thread-safe.

    What the engine has measured ahead counts for each item that it is for, by that item's own limits, until the item
    itself says how it ended.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._expected: frozenset[str] = frozenset()
        self._ahead: frozenset[str] = frozenset()
        self._forgiven: frozenset[str] = frozenset()
        self._by_key: defaultdict[MeasurementKey, list[tuple[str, Check]]] = defaultdict(list)
        #: Whether each item fails that is measured or over.
        self._fails: dict[str, bool] = {}
        self._failed = 0
        self._over: set[str] = set()
        self._ended: set[tuple[str, int]] = set()
        self._open: dict[tuple[str, int], float] = {}
        #: How long the items took that were measured in their turn.
        self._turns: list[float] = []
        self._worst: tuple[int, str] | None = None

    def expect(self, nodeids: Iterable[str]) -> None:
        """Take the items that are going to run."""
        with self._lock:
            self._expected = frozenset(nodeids)

    def plan_ahead(self, checks: Mapping[str, Check], *, forgiven: Collection[str]) -> None:
        """Know what is measured ahead, by node id; ``forgiven`` are items that may fail, as far as their marks tell."""
        with self._lock:
            self._ahead = frozenset(checks)
            self._forgiven = frozenset(forgiven)
            for nodeid, check in checks.items():
                self._by_key[check.measurement_key].append((nodeid, check))

    def has_measured(self, attempt: Attempt) -> None:
        """Take what was measured ahead. Called in the engine's threads."""
        from pytest_kvlatency.engine.attempts import for_check

        measured = attempt.measurement
        with self._lock:
            self._look_at(measured)
            waiting = self._by_key.get(measured.check.measurement_key, ())
            items = [one for one in waiting if one[0] not in self._fails]
        for nodeid, check in items:
            fails = bool(for_check(attempt, check).measurement.failures)
            with self._lock:
                # It may have said meanwhile how it ended.
                if nodeid not in self._fails:
                    self._enter(nodeid, fails=fails and nodeid not in self._forgiven)

    def take(self, result: ItemResult, *, is_over: bool) -> None:
        """Know how far an attempt at an item is."""
        nodeid, measured = result.nodeid, result.measurement
        attempt = nodeid, result.attempt
        with self._lock:
            if attempt in self._ended:
                # A worker of pytest-xdist says everything once more when it ends.
                return
            began_at = self._open.setdefault(attempt, self._clock())
            for one in filter(None, (measured, *result.extra)):
                self._look_at(one)
            fails = result.outcome in FAILED
            if is_over:
                del self._open[attempt]
                self._ended.add(attempt)
                if measured is not None and measured.result is not None and nodeid not in self._ahead:
                    self._turns.append(self._clock() - began_at)
                self._over.add(nodeid)
                self._enter(nodeid, fails=fails)
            elif measured is not None:
                is_forgiven = result.outcome in {"xfailed", "xpassed"} or nodeid in self._forgiven
                self._enter(nodeid, fails=not is_forgiven and (fails or bool(result.every_failure)))

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt at an item is not over."""
        return bool(self._open)

    def progress(
        self,
        waiting: Sequence[Wait] = (),
        *,
        rounds: tuple[int, int] | None = None,
        ahead_seconds: float | None = 0.0,
    ) -> Progress:
        """Where the run stands; ``ahead_seconds`` is how long the rounds still take, None while that is not known."""
        with self._lock:
            turns = self._turns_seconds()
            left = None if turns is None or ahead_seconds is None else turns + ahead_seconds
            return Progress(
                measured=len(self._fails),
                total=max(len(self._expected), len(self._fails)),
                failed=self._failed,
                worst=self._worst,
                round=rounds,
                seconds_left=left or None,
                waiting=waiting,
            )

    def _turns_seconds(self) -> float | None:
        """How long the items take that are measured in their turn; None while none of them has shown it."""
        left = len(self._expected - self._ahead - self._over) if len(self._over) < len(self._expected) else 0
        if not left:
            return 0.0
        if not self._turns:
            return None
        mean = sum(self._turns) / len(self._turns)
        now = self._clock()
        under_way = [
            began for (nodeid, _), began in self._open.items() if nodeid not in self._ahead | self._over
        ]
        done = sum(min(mean, now - began) for began in under_way)
        return (left * mean - done) / max(1, len(under_way))

    def _enter(self, nodeid: str, *, fails: bool) -> None:
        self._failed += fails - self._fails.get(nodeid, False)
        self._fails[nodeid] = fails

    def _look_at(self, measured: Measurement) -> None:
        result, source, target = measured.result, measured.source, measured.target
        # What waits for a guest that is moved is slow for that alone: it would hide what is slow by itself.
        if result is None or not result.samples_ns or measured.check.pair.is_move:
            return
        worst = max(result.samples_ns)
        if self._worst is None or worst > self._worst[0]:
            pair = measured.check.pair
            place = (
                (pair.source, pair.target) if source is None or target is None else (source.node, target.node)
            )
            self._worst = (worst, pair_place(*place))
