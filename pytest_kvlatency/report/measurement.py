"""The document's entry of one attempt at an item: what was measured, where, and how. Pure.

What is absent is None, never 0.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timezone
from typing import TYPE_CHECKING, Any, Literal

from pytest_kvlatency.escape import excerpt, shortened
from pytest_kvlatency.model import ANYWHERE
from pytest_kvlatency.report.failurefacts import fault_of
from pytest_kvlatency.report.numbers import LIMITS, numbers_of, rounded
from pytest_kvlatency.report.reasons import reason_of
from pytest_kvlatency.units import to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_kvlatency.model import (
        Check,
        Failure,
        Gap,
        GuestFacts,
        GuestSpec,
        Limits,
        Measurement,
        Migration,
        MigrationPhase,
        PingParameters,
        RttSummary,
        Timings,
    )
    from pytest_kvlatency.report.comparison.comparator import Comparator
    from pytest_kvlatency.report.run import ItemResult


def measurement_entry(
    item: ItemResult, *, images: Mapping[str, str] | None = None, comparator: Comparator | None = None
) -> dict[str, Any]:
    """One item's part of the document. ``images`` are those of guest profiles, for checks that name none.

    ``comparator`` compares it with an earlier run.
    """
    measured, images = item.measurement, images or {}
    entry = {
        "nodeid": item.nodeid,
        "outcome": item.outcome,
        "attempt": item.attempt,
        **_measured(
            item.check or (measured.check if measured else None), measured, item.every_failure, images
        ),
        "comparison": None,
        # Limits are the item's: those of what its test measured beyond do not count.
        "extra": [{**_measured(one.check, one, one.failures, images), "limits": None} for one in item.extra],
        "transcriptFile": item.transcript_file,
    }
    return entry if comparator is None else {**entry, "comparison": comparator.comparison(entry)}


def _measured(
    check: Check | None,
    measurement: Measurement | None,
    failures: Sequence[Failure],
    images: Mapping[str, str],
) -> dict[str, Any]:
    """One measurement, which may have got nowhere: what was asked for, where it ran, and what came of it."""
    source = measurement.source if measurement else None
    target = measurement.target if measurement else None
    result = measurement.result if measurement else None
    return {
        "nad": str(check.nad) if check else None,
        "nodes": str(check.pair) if check else None,
        "guest": _guest(check.guest, images) if check else None,
        "binding": measurement.binding if measurement else None,
        "sourceNode": source.node if source else _intended_node(check, failures, 0),
        "targetNode": target.node if target else _intended_node(check, failures, 1),
        "failedNode": next((one.guest_node for one in failures if one.guest_node), None),
        "sourceVmi": source.vmi_name if source else None,
        "targetVmi": target.vmi_name if target else None,
        "sourceAddress": source.address if source else None,
        "targetAddress": target.address if target else None,
        "succeeded": measurement is not None and measurement.succeeded,
        "failureKind": failures[0].kind if failures else None,
        "failureReason": "; ".join(map(reason_of, failures)) or None,
        "failures": [fault_of(one, measurement) for one in failures],
        "advice": excerpt(failures[0].hint) or None if failures else None,
        "startTimestamp": _moment(result.started_at) if result and result.started_at else None,
        "round": measurement.round if measurement else None,
        **numbers_of(measurement),
        "limits": _limits(check.limits) if check else None,
        "ping": _parameters(check.ping) if check else None,
        "samplesNanoSec": list(result.samples_ns) if result else None,
        "lostSequence": None if result is None or result.lost_sequence is None else [*result.lost_sequence],
        **_gap_facts(measurement),
        "timings": _timings(measurement.timings) if measurement else None,
        "softwareEmulation": _emulated(source, target),
        "notes": _notes(measurement),
        "transcript": _transcript(measurement, failures),
    }


def _intended_node(check: Check | None, failures: Sequence[Failure], end: Literal[0, 1]) -> str | None:
    """Where a guest that is not up was to run, as far as that is known; None where nothing went wrong with it."""
    if check is None or not failures:
        return None
    asked = (check.pair.source, check.pair.target)[end]
    return asked or next((one.pair_nodes[end] for one in failures if one.pair_nodes[end]), None)


def _guest(guest: GuestSpec, images: Mapping[str, str]) -> dict[str, Any]:
    return {"profile": guest.profile, "image": guest.image or images.get(guest.profile)}


def _moment(moment: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _limits(limits: Limits) -> dict[str, Any]:
    return {key: getattr(limits, name) for name, key in LIMITS.items()}


def _parameters(ping: PingParameters) -> dict[str, Any]:
    return {
        "sampleDurationSec": to_seconds(ping.sample_duration_ns),
        "intervalSec": to_seconds(ping.interval_ns),
        "packetSizeBytes": ping.packet_size,
        "dontFragment": ping.dont_fragment,
        "warmup": ping.warmup,
    }


def _timings(timings: Timings) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in asdict(timings).items()}


def _emulated(source: GuestFacts | None, target: GuestFacts | None) -> bool | None:
    """Whether a guest ran under software emulation; None where neither is known to, and not both are known."""
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
    result = measurement.result if measurement else None
    transcripts = [result.transcript if result else "", *(one.transcript for one in failures)]
    return excerpt(next(filter(None, transcripts), "")) or None


def _gap_facts(measurement: Measurement | None) -> dict[str, Any]:
    """The longest gap of a sample, when its replies came, and the migration during it."""
    gaps = measurement.gaps if measurement else None
    result = measurement.result if measurement else None
    migration = measurement.migration if measurement else None
    arrivals = result.replied_at_ns if result else None
    return {
        "longestGap": _gap(gaps.longest) if gaps else None,
        "gapResolutionNanoSec": gaps.interval_ns if gaps else None,
        "repliesNanoSec": None if arrivals is None else list(arrivals),
        "migration": None if migration is None else _migration(migration),
    }


def _gap(gap: Gap | None) -> dict[str, int] | None:
    if gap is None:
        return None
    return {"nanoSec": gap.length_ns, "beginsNanoSec": gap.begins_ns, "lost": gap.lost}


def _migration(migration: Migration) -> dict[str, Any]:
    asked = migration.requested_node
    return {
        "name": migration.name,
        "sourceNode": migration.source_node,
        "requestedNode": None if asked == ANYWHERE else asked,
        "targetNode": migration.target_node,
        "succeeded": migration.succeeded,
        "failureReason": excerpt(migration.failure_reason) or None,
        "mode": migration.mode,
        "createdTimestamp": None if migration.created_at is None else _moment(migration.created_at),
        "createdNanoSec": migration.created_ns,
        "endedNanoSec": migration.ended_ns,
        "clockErrorNanoSec": migration.clock_error_ns,
        "phases": [_phase(one) for one in migration.phases],
        "preparationGap": _gap(migration.preparation_gap),
        "switchoverGap": _gap(migration.switchover_gap),
        "rttBefore": _times(migration.rtt_before),
        "rttAfter": _times(migration.rtt_after),
        "lostInGaps": migration.lost_in_gaps,
    }


def _phase(phase: MigrationPhase) -> dict[str, Any]:
    return {
        "phase": phase.name,
        "notBeforeNanoSec": phase.not_before_ns,
        "seenNanoSec": phase.seen_ns,
        "timestamp": phase.timestamp,
    }


def _times(summary: RttSummary | None) -> dict[str, int] | None:
    if summary is None:
        return None
    return {
        "count": summary.count,
        "minNanoSec": summary.min_ns,
        "avgNanoSec": summary.avg_ns,
        "maxNanoSec": summary.max_ns,
    }
