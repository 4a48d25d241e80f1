"""What the document says of gaps and of a live migration. Pure. What is absent is None, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.escape import excerpt
from pytest_kvlatency.model import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pytest_kvlatency.model import Gap, Measurement, Migration, MigrationPhase, RttSummary

    #: Puts a moment into the document's form.
    Moment = Callable[[datetime], str]


def gap_facts(measurement: Measurement | None, moment: Moment) -> dict[str, Any]:
    """The longest gap of a sample, when its replies came, and the migration during it."""
    gaps = measurement.gaps if measurement else None
    result = measurement.result if measurement else None
    migration = measurement.migration if measurement else None
    arrivals = result.replied_at_ns if result else None
    return {
        "longestGap": _gap(gaps.longest) if gaps else None,
        "gapResolutionNanoSec": gaps.interval_ns if gaps else None,
        "repliesNanoSec": None if arrivals is None else list(arrivals),
        "migration": None if migration is None else _migration(migration, moment),
    }


def _gap(gap: Gap | None) -> dict[str, int] | None:
    if gap is None:
        return None
    return {"nanoSec": gap.length_ns, "beginsNanoSec": gap.begins_ns, "lost": gap.lost}


def _migration(migration: Migration, moment: Moment) -> dict[str, Any]:
    asked = migration.requested_node
    return {
        "name": migration.name,
        "sourceNode": migration.source_node,
        "requestedNode": None if asked == ANYWHERE else asked,
        "targetNode": migration.target_node,
        "succeeded": migration.succeeded,
        "failureReason": excerpt(migration.failure_reason) or None,
        "mode": migration.mode,
        "createdTimestamp": None if migration.created_at is None else moment(migration.created_at),
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
