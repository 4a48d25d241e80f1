"""The result document: everything a run found out, as plain data. Every report reads it and nothing else.

Its names are the public JSON (``"schema": "kvlatency/v1"``). What is absent is None, never 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import excerpt, shortened
from pytest_kvlatency.model import Failure
from pytest_kvlatency.ping.statistics import statistics_of
from pytest_kvlatency.report.success import Standing, shortfalls
from pytest_kvlatency.units import to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.model import Check, Finding, GuestFacts, Limits, Measurement, Outcome

SCHEMA: Final = "kvlatency/v1"
#: How it gives moments, which are in UTC.
TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
_NAMED_CHECKS: Final = 3
_NOTHING_SELECTED: Final = Failure(kind="config", stage="config", reason="no check was selected")
#: The names of what a sample gives as numbers, in the order in which reports show them.
SAMPLE_NUMBERS: Final = (
    "transmitted",
    "received",
    "duplicates",
    "lossPercent",
    "minLatencyNanoSec",
    "avgLatencyNanoSec",
    "maxLatencyNanoSec",
    "p50LatencyNanoSec",
    "p90LatencyNanoSec",
    "p99LatencyNanoSec",
    "stddevLatencyNanoSec",
    "measurementDurationSec",
)


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """One attempt at one test item. ``failures`` are the item's own (assertion, set-up), beside the measurement's.

    ``extra`` are what ``kv_ping`` measured. ``transcript_file`` is the artifact's path, where one was written.
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

    Times are aware; ``cluster`` comes from ``cluster_facts``, None when the cluster was never asked; ``plan`` from
    ``plan_facts``, None when the run ended before there was one. ``cut_short_by`` says why checks were not run.
    ``preflight`` is the checklist that took the place of the checks; None in a run that measures.
    ``swept`` are the VMIs of killed runs that were removed, None when that was not asked for; ``is_sweep_only``: no
    network was named beside it.
    ``notes`` are about what was asked for and not used.
    """

    version: str
    start: datetime
    completion: datetime
    cluster: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    items: tuple[ItemResult, ...] = ()
    failures: tuple[Failure, ...] = field(default=())
    cut_short_by: str = ""
    preflight: tuple[Finding, ...] | None = None
    swept: tuple[str, ...] | None = None
    is_sweep_only: bool = False
    notes: tuple[str, ...] = ()

    @property
    def own_failures(self) -> tuple[Failure, ...]:
        """What went wrong outside of items, each once.

        That there are no items is one, but for an empty shard, and where nothing but a sweep was asked for. In a
        preflight it is what the checklist found.
        """
        if self.preflight is not None:
            found = [_failure_of(one) for one in self.preflight if one.outcome == "failed"]
            return tuple(dict.fromkeys((*found, *self.failures)))
        may_be_empty = self.is_sweep_only or _is_empty_shard(self.plan)
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


def _is_empty_shard(plan: Mapping[str, Any] | None) -> bool:
    """Whether all pairs of the plan are other shards'."""
    return plan is not None and bool(plan["shardPairs"] == 0 < plan["pairs"])


def last_attempts(items: Iterable[ItemResult]) -> tuple[ItemResult, ...]:
    """Only the last attempt at each item, in order."""
    latest = {item.nodeid: item for item in items}
    return tuple(latest.values())


def cluster_facts(
    *,
    server: str | None,
    kubernetes_version: str | None,
    kubevirt_version: str | None,
    lab: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The document's ``cluster``; ``lab`` is None for a cluster, else says with which guests: ``{"guests": "sim"}``."""
    return {
        "server": server,
        "kubernetesVersion": kubernetes_version,
        "kubevirtVersion": kubevirt_version,
        "lab": None if lab is None else dict(lab),
    }


def plan_facts(
    *, digest: str, shard: str | None, pairs: int, shard_pairs: int, nads: Sequence[str]
) -> dict[str, Any]:
    """The document's ``plan``: of ``pairs`` in all the run took ``shard_pairs``, which are all without a ``shard``."""
    return {"digest": digest, "shard": shard, "pairs": pairs, "shardPairs": shard_pairs, "nads": list(nads)}


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds: ``2024-05-01T12:00:00Z``."""
    return moment.astimezone(timezone.utc).strftime(TIMESTAMP)


def build(run: RunResult) -> dict[str, Any]:
    """The document of a run."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-kvlatency", "version": run.version},
        "startTimestamp": timestamp(run.start),
        "completionTimestamp": timestamp(run.completion),
        "succeeded": run.succeeded,
        "failureReason": failure_reason(run),
        "notes": list(run.notes),
        "cluster": None if run.cluster is None else dict(run.cluster),
        "plan": None if run.plan is None else dict(run.plan),
        "preflight": None if run.preflight is None else [asdict(one) for one in run.preflight],
        "swept": None if run.swept is None else list(run.swept),
        "measurements": [measurement_entry(item) for item in run.items],
    }


def measurement_entry(item: ItemResult) -> dict[str, Any]:
    """One item's part of the document."""
    check = item.check if item.check is not None else (item.measurement.check if item.measurement else None)
    entry = {
        "nodeid": item.nodeid,
        "outcome": item.outcome,
        "attempt": item.attempt,
        **_numbers(check, item.measurement, item.every_failure),
    }
    entry["extra"] = [_numbers(one.check, one, one.failures, limited=False) for one in item.extra]
    entry["transcriptFile"] = item.transcript_file
    return entry


def failure_reason(run: RunResult) -> str | None:
    """Every reason, the first one first, joined by ``; ``; None when there is none.

    A reason that several items share stands once. With several items each reason names its checks.
    """
    items = last_attempts(run.items)
    early, late = ("config", "setup"), ("teardown",)
    own = run.own_failures
    before = [_reason(one) for one in own if one.stage in early]
    told = [failure.reason for item in items for failure in item.every_failure]
    during = [_reason(one) for one in own if one.stage not in (*early, *late) and not _says_more(told, one)]
    after = [_reason(one) for one in own if one.stage in late]
    shared: dict[str, list[str]] = {}
    for item in items:
        if not item.standing.is_failed:
            continue
        reasons = [_reason(one) for one in item.every_failure]
        for reason in reasons or [f"run: the test ended as {item.outcome}"]:
            shared.setdefault(reason, []).append(item.nodeid if item.check is None else item.check.id)
    middle = [
        reason if len(items) == 1 else f"{reason} [{_named(checks)}]" for reason, checks in shared.items()
    ]
    return "; ".join(dict.fromkeys([*before, *middle, *during, *run.shortfalls, *after])) or None


def _reason(failure: Failure) -> str:
    """A reason with its stage, of which a reader can use all: what a guest or a server said may be very long."""
    return shortened(failure.failure_reason)


def _says_more(told: Iterable[str], failure: Failure) -> bool:
    """Whether an item's reason says of the interruption of the run what it cut off, too."""
    return failure.kind == "interrupted" and any(one.startswith(f"{failure.reason} while ") for one in told)


def _named(checks: Sequence[str]) -> str:
    names = list(dict.fromkeys(checks))
    if len(names) <= _NAMED_CHECKS:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED_CHECKS])} and {len(names) - _NAMED_CHECKS} more"


def _numbers(
    check: Check | None,
    measurement: Measurement | None,
    failures: Sequence[Failure],
    *,
    limited: bool = True,
) -> dict[str, Any]:
    """What was measured, and where; None wherever it was not."""
    result = measurement.result if measurement is not None else None
    source = measurement.source if measurement is not None else None
    target = measurement.target if measurement is not None else None
    statistics = statistics_of(result.samples_ns if result is not None else ())
    return {
        "nad": None if check is None else str(check.nad),
        "nodes": None if check is None else str(check.pair),
        "binding": None if measurement is None else measurement.binding,
        "sourceNode": None if source is None else source.node,
        "targetNode": None if target is None else target.node,
        "sourceVmi": None if source is None else source.vmi_name,
        "targetVmi": None if target is None else target.vmi_name,
        "sourceAddress": None if source is None else source.address,
        "targetAddress": None if target is None else target.address,
        "succeeded": measurement is not None and measurement.succeeded,
        "failureKind": failures[0].kind if failures else None,
        "failureReason": "; ".join(map(_reason, failures)) or None,
        "transmitted": None if result is None else result.transmitted,
        "received": None if result is None else result.received,
        "duplicates": None if result is None else result.duplicates,
        "late": None if result is None else result.late,
        "errors": None if result is None else result.errors,
        "lossPercent": None if result is None else _rounded(result.loss_percent),
        "minLatencyNanoSec": statistics.min_ns,
        "avgLatencyNanoSec": statistics.avg_ns,
        "maxLatencyNanoSec": statistics.max_ns,
        "p50LatencyNanoSec": statistics.p50_ns,
        "p90LatencyNanoSec": statistics.p90_ns,
        "p99LatencyNanoSec": statistics.p99_ns,
        "stddevLatencyNanoSec": statistics.stddev_ns,
        "measurementDurationSec": None if result is None else _rounded(result.duration_seconds),
        "warmupSeconds": None if measurement is None else _rounded(measurement.warmup_seconds),
        "limits": None if check is None or not limited else _limits(check.limits),
        "ping": None if check is None else _parameters(check),
        "samplesNanoSec": None if result is None else list(result.samples_ns),
        "timings": None
        if measurement is None
        else {name: _rounded(value) for name, value in asdict(measurement.timings).items()},
        "softwareEmulation": _emulated(source, target),
        "notes": _notes(measurement),
        "transcript": _transcript(measurement, failures),
    }


def _rounded(value: float | None) -> float | None:
    """To six places, which is all that JUnit's properties show: reports of one run give the same number."""
    return None if value is None else round(value, 6)


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "maxLatencyNanoSec": limits.max_latency_ns,
        "maxAvgLatencyNanoSec": limits.max_avg_ns,
        "maxP99LatencyNanoSec": limits.max_p99_ns,
        "maxLossPercent": limits.max_loss_percent,
    }


def _parameters(check: Check) -> dict[str, Any]:
    return {
        "sampleDurationSec": to_seconds(check.ping.sample_duration_ns),
        "intervalSec": to_seconds(check.ping.interval_ns),
        "packetSizeBytes": check.ping.packet_size,
        "dontFragment": check.ping.dont_fragment,
        "warmup": check.ping.warmup,
    }


def _emulated(source: GuestFacts | None, target: GuestFacts | None) -> bool | None:
    if source is None or target is None:
        return None
    known = {source.software_emulation, target.software_emulation}
    if True in known:
        return True
    return None if None in known else False


def _notes(measurement: Measurement | None) -> list[str]:
    """What a reader of the numbers should know, each once."""
    if measurement is None:
        return []
    notes = list(measurement.notes)
    for side, guest in (("source", measurement.source), ("target", measurement.target)):
        if guest is not None:
            notes += [f"{side}: {note}" for note in guest.notes]
    if _emulated(measurement.source, measurement.target):
        notes.append("the guests ran under software emulation, which inflates round-trip times")
    if measurement.result is not None:
        notes += measurement.result.warnings
    return list(dict.fromkeys(map(shortened, notes)))


def _transcript(measurement: Measurement | None, failures: Sequence[Failure]) -> str | None:
    """Ping's own output, else what the first failure has of the console; of a long one an excerpt."""
    text = measurement.result.transcript if measurement is not None and measurement.result is not None else ""
    text = text or next((one.transcript for one in failures if one.transcript), "")
    return excerpt(text) or None
