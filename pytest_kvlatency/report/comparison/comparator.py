"""Compares each measurement of a run with the baseline: for the verdict, and for the document. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Failure
from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.comparison import differences
from pytest_kvlatency.report.comparison.baseline import Baseline, key_of
from pytest_kvlatency.report.comparison.change import CONFIDENCE, PERCENTS, QuantileChange, changes, fewest
from pytest_kvlatency.report.entries import test_of
from pytest_kvlatency.report.numbers import rounded
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]

#: The names of the percentiles, as the document has them.
NAMES: Final = tuple(f"p{percent}" for percent in PERCENTS)
#: The reason of a comparison that has nothing to compare with.
NEW: Final = "new: the baseline has no such measurement"


@dataclass(frozen=True, kw_only=True)
class Comparator:
    """A baseline, and how much slower than it a pair may be; None: that is only reported."""

    baseline: Baseline
    max_regression_percent: float | None

    def refusal(self, entries: Iterable[Entry]) -> str | None:
        """Why a run with these entries, of which nothing is measured yet, cannot be compared; None where it can."""
        for entry in entries:
            source, _, target = (entry["nodes"] or "").partition(":")
            found = self.baseline.named(entry["nad"] or "", source if target else "", target, test_of(entry))
            for one in found:
                said = list(differences.before_the_run(one, entry))
                if said:
                    return self._refused(said, f"{one['nad']} {one['sourceNode']}:{one['targetNode']}")
        return None

    def require_ground(self, lab: Mapping[str, Any] | None) -> None:
        """Raise ``ConfigError`` where the baseline was measured in a cluster and this run is in a lab, or the like."""
        said = list(differences.of_the_ground(self.baseline.lab, lab))
        if said:
            raise ConfigError(self._refused(said))

    def failures(self, entry: Entry) -> tuple[Failure, ...]:
        """What is against an entry that was measured: it is too slow, or it cannot be compared as was asked."""
        limit = self.max_regression_percent
        if limit is None:
            return ()
        before = self._before(entry)
        if before is None:
            return ()
        said = list(differences.afterwards(before, entry))
        if said:
            reason = self._refused(said)
            return (Failure(kind="config", stage="run", reason=reason, summary=reason),)
        return tuple(_regression(one, limit) for one in _changes(before, entry) if one.exceeds(limit))

    def comparison(self, entry: Entry) -> dict[str, Any] | None:
        """The document's ``comparison`` of an entry; None where nothing was measured."""
        if not entry["samplesNanoSec"] or key_of(entry) is None:
            return None
        before = self._before(entry)
        if before is None:
            return _comparison((), None, reason=NEW)
        said = list(differences.afterwards(before, entry))
        if said:
            return _comparison((), None, reason=f"not comparable: {'; '.join(said)}")
        return _comparison(_changes(before, entry), self.max_regression_percent)

    def facts(self, entries: Iterable[Entry]) -> dict[str, Any]:
        """The document's ``baseline``: what was compared with, and which pairs stand in one of the two only."""
        last = last_attempts(entries)
        now = {key for one in last if (key := key_of(one)) is not None}
        measured = {key for one in last if one["samplesNanoSec"] and (key := key_of(one)) is not None}
        return {
            "file": self.baseline.file,
            "startTimestamp": self.baseline.start,
            "maxRegressionPercent": self.max_regression_percent,
            "newPairs": _named(measured - self.baseline.entries.keys()),
            "vanishedPairs": _named(self.baseline.entries.keys() - now),
        }

    def _before(self, entry: Entry) -> Entry | None:
        key = key_of(entry)
        return None if key is None else self.baseline.entries.get(key)

    def _refused(self, said: Sequence[str], place: str = "") -> str:
        where = f", {place}" if place else ""
        return (
            f"--kv-baseline {self.baseline.file} cannot be compared with this run{where}: {'; '.join(said)}"
        )


def _changes(before: Entry, now: Entry) -> list[QuantileChange]:
    return changes(before["samplesNanoSec"], now["samplesNanoSec"])


def _regression(change: QuantileChange, limit: float) -> Failure:
    return Failure(
        kind="latency",
        stage="run",
        reason=f'actual {change.name} latency "{format_duration(change.now_ns)}" is {change.percent:.3g}% greater '
        f'than "{format_duration(change.before_ns)}" of the baseline, over the limit of {limit:g}% '
        f"({CONFIDENCE}% confidence)",
        summary="slower than the baseline allows",
    )


def _comparison(
    found: Sequence[QuantileChange], limit: float | None, *, reason: str | None = None
) -> dict[str, Any]:
    known = {one.name: one for one in found}
    told = [one.is_significant for one in found if one.is_significant is not None]
    exceeding = [one for one in found if one.exceeds(limit)]
    said = [_regression(one, limit).reason for one in exceeding] if limit is not None else []
    if found and not told:
        said.append(f"too few samples to tell a change from noise: p50 needs {fewest(50)} in both runs")
    return {
        **{
            name: None
            if (one := known.get(name)) is None
            else {
                "baselineNanoSec": one.before_ns,
                "deltaPercent": rounded(one.percent),
                "significant": one.is_significant,
                "regressed": one.exceeds(limit),
            }
            for name in NAMES
        },
        "significant": any(told) if told else None,
        "regressed": bool(exceeding),
        "maxRegressionPercent": limit,
        "reason": reason or "; ".join(said) or None,
    }


def _named(keys: Iterable[Any]) -> list[str]:
    ordered = sorted(keys, key=lambda key: natural_key(f"{key.text} {key.test}"))
    times = Counter(key.text for key in ordered)
    return [key.text if times[key.text] == 1 else f"{key.text} ({key.test})" for key in ordered]
