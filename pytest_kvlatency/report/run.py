"""What a run found out, and whether it succeeded: the attempts at its items, and what is the run's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.success import Standing, shortfalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pytest_kvlatency.model import Check, Finding, Measurement, Outcome
    from pytest_kvlatency.report.comparison.comparator import Comparator

_NOTHING_SELECTED: Final = Failure(kind="config", stage="config", reason="no check was selected")


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """One attempt at one test item. ``failures`` are the item's own (assertion, set-up), beside the measurement's.

    ``extra`` are what ``kv_ping`` and ``kv_stream`` measured. ``transcript_file`` is the artifact's path, where one
    was written.
    """

    nodeid: str
    outcome: Outcome
    check: Check | None = None
    measurement: Measurement | None = None
    attempt: int = 1
    failures: tuple[Failure, ...] = ()
    extra: tuple[Measurement, ...] = ()
    transcript_file: str | None = None

    @property
    def every_failure(self) -> tuple[Failure, ...]:
        """The network's failures, then the item's own; each once."""
        network = self.measurement.failures if self.measurement is not None else ()
        return tuple(dict.fromkeys((*network, *self.failures)))

    @property
    def standing(self) -> Standing:
        """What counts for the run's success."""
        measured = self.measurement
        return Standing(
            outcome=self.outcome,
            is_measured=measured is not None and measured.result is not None,
            is_good=measured is not None and measured.succeeded,
            has_network=self.check is not None or measured is not None,
        )


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A whole run. ``failures`` are the run's own: configuration, interruption, clean-up, a report not written.

    Times are aware. ``namespace`` is that of the VMIs, None when it is not known; ``settings`` are from
    ``settings_facts``; ``images`` are those of the guest profiles.
    ``cluster`` comes from ``cluster_facts``, None when the cluster was never asked; ``plan`` from
    ``plan_facts``, None when the run ended before there was one. ``cut_short_by`` says why checks were not run.
    ``preflight`` is the checklist that took the place of the checks; None in a run that measures.
    ``swept`` are the VMIs of killed runs that were removed, None when that was not asked for; ``is_sweep_only``: no
    network was named beside it.
    ``notes`` are about what was asked for and not used. ``comparator`` compares it with an earlier run.
    """

    version: str
    start: datetime
    completion: datetime
    namespace: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    items: tuple[ItemResult, ...] = ()
    failures: tuple[Failure, ...] = field(default=())
    cut_short_by: str = ""
    preflight: tuple[Finding, ...] | None = None
    swept: tuple[str, ...] | None = None
    is_sweep_only: bool = False
    notes: tuple[str, ...] = ()
    comparator: Comparator | None = None

    @property
    def own_failures(self) -> tuple[Failure, ...]:
        """What went wrong outside of items, each once.

        That there are no items is one, but for an empty shard, and where nothing but a sweep was asked for. In a
        preflight it is what the checklist found.
        """
        if self.preflight is not None:
            found = [_failure_of(one) for one in self.preflight if one.outcome == "failed"]
            return tuple(dict.fromkeys((*found, *self.failures)))
        may_be_empty = self.is_sweep_only or is_empty_shard(self.plan)
        if not self.items and not self.failures and not may_be_empty:
            return (_NOTHING_SELECTED,)
        return tuple(dict.fromkeys(self.failures))

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What of the selected checks was not measured, in words."""
        return tuple(shortfalls(self._standings, cut_short_by=self.cut_short_by))

    @property
    def succeeded(self) -> bool:
        """Every selected check was measured, none failed, and nothing of the run's own went wrong (see ``success``)."""
        return not (
            self.own_failures or self.shortfalls or any(standing.is_failed for standing in self._standings)
        )

    @property
    def _standings(self) -> list[Standing]:
        return [item.standing for item in last_attempts(self.items)]


def _failure_of(finding: Finding) -> Failure:
    return Failure(kind="config", stage="setup", reason=f"preflight: {finding.text}", hint=finding.hint)


def is_empty_shard(plan: Mapping[str, Any] | None) -> bool:
    """Whether all pairs of the document's ``plan`` are other shards'."""
    return plan is not None and bool(plan["shardPairs"] == 0 < plan["pairs"])


def last_attempts(items: Iterable[ItemResult]) -> tuple[ItemResult, ...]:
    """Only the last attempt at each item, in order."""
    latest = {item.nodeid: item for item in items}
    return tuple(latest.values())
