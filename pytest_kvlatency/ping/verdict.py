"""What a sample means under its limits. Pure. A number equal to its limit is within it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import (
    CheckFailedError,
    CheckupTimeoutError,
    ConfigError,
    ConnectivityError,
    GapExceeded,
    GuestError,
    InterruptedRunError,
    LimitExceeded,
    PermissionDeniedError,
    ProvisionError,
    RejectedMeasurementError,
    TeardownError,
)
from pytest_kvlatency.model import Exceeded, Failure
from pytest_kvlatency.ping.gaps import gaps_over, last_reply_ns
from pytest_kvlatency.ping.migrationgaps import gaps_of_migration, running_ns, without_gaps
from pytest_kvlatency.ping.statistics import SAMPLES_NEEDED, statistics_of
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.errors import FailureKind, KvLatencyError
    from pytest_kvlatency.model import Gap, Gaps, LimitName, Limits, Migration, PingResult

#: Kinds whose exception takes no more than a reason and its hint; of limits see ``error_of``.
_EXCEPTIONS: Mapping[str, type[KvLatencyError]] = {
    "config": ConfigError,
    "permission": PermissionDeniedError,
    "provision": ProvisionError,
    "guest": GuestError,
    "connectivity": ConnectivityError,
    "assertion": RejectedMeasurementError,
    "timeout": CheckupTimeoutError,
    "interrupted": InterruptedRunError,
    "teardown": TeardownError,
}


_BRIDGE_HINT: Final = (
    "the target pod's interface carries the guest's MAC address before the guest is there, and the bridge sends its "
    "frames to it: set disableContainerInterface: true in the bridge NetworkAttachmentDefinition"
)
_SWITCHOVER_HINT: Final = (
    "compare other networks of the same nodes: if only this one is slow, its switches learn slowly; if all are, the "
    "guest is paused for long"
)
_SINGLE_REPLIES: Final = "most replies are within the limit: --kv-max-p99 with a longer sample says more"


def counters(result: PingResult) -> str:
    """The counters in ping's own words: ``50 packets transmitted, 0 packets received``."""
    return f"{result.transmitted} packets transmitted, {result.received} packets received"


def judge(
    result: PingResult,
    limits: Limits,
    *,
    gaps: Gaps | None = None,
    migration: Migration | None = None,
    interval_ns: int | None = None,
) -> tuple[Failure, ...]:
    """Every way in which ``result`` does not hold; empty when it does. Without any reply that alone is said.

    ``gaps`` is the sample's longest gap, if it is known, and ``interval_ns`` the interval that ping was asked for. With
    a ``migration`` the limits of latency and loss judge what lies outside of its gaps (``gaps_of_migration``); what
    was lost or late in these is judged by the limit on the gap alone. A migration that failed says nothing of the
    network, and nor does its sample: that alone is said then.

    Raises ``GuestError`` when only what ping did not send is left to judge: too few requests for a percentile, or none
    during a gap that is longer than its limit. No packet was lost then.
    """
    if migration is not None and not migration.succeeded:
        return (_failure("provision", migration.failure_reason, result, summary="a live migration failed"),)
    if result.received <= 0:
        return (_silence(result),)
    if migration is not None and _is_cut_off(result, migration, gaps):
        return (_silence_since(result, migration),)
    outside = result
    if migration is not None and gaps is not None:
        of_it = gaps_of_migration(migration, result, gaps.interval_ns)
        outside = without_gaps(result, of_it, gaps.interval_ns)
    failures = (
        *_over_latencies(outside, limits),
        *_over_loss(outside, limits),
        *_over_gap(result, limits, gaps, migration, interval_ns),
    )
    if not failures:
        _require_requests(result, limits, gaps, interval_ns)
    if outside.transmitted >= samples_needed(limits):
        return (*failures, *_unknown_p99(outside, limits))
    if not failures:
        raise GuestError(
            f"cannot compute p99: it needs {samples_needed(limits)} samples, but ping sent {outside.transmitted} "
            "requests before it ran out of time",
            hint="the guest is too slow or too busy to ping that often: "
            "use a longer --kv-interval or --kv-sample-duration",
            transcript=result.transcript,
            stage="run",
        )
    return failures


def samples_needed(limits: Limits) -> int:
    """How many samples it takes to judge by these limits: what a percentile among them needs, or else one."""
    return 1 if limits.max_p99_ns is None else SAMPLES_NEEDED[99]


def to_exception(failures: Sequence[Failure]) -> KvLatencyError | None:
    """The exception for ``failures``: of the first one's kind, with every reason; None when there is none."""
    if not failures:
        return None
    first = failures[0]
    reason = "; ".join(failure.reason for failure in failures)
    hint = "\n".join(dict.fromkeys(failure.hint for failure in failures if failure.hint))
    error = error_of(first.kind, reason, hint=hint)
    error.stage = first.stage
    error.transcript = first.transcript
    return error


def error_of(kind: str, reason: str, *, hint: str = "") -> KvLatencyError:
    """The exception of a failure's kind; of one that only newer versions know ``CheckFailedError``."""
    if kind == "latency":
        return LimitExceeded(reason, kind="latency", hint=hint)
    if kind == "loss":
        return LimitExceeded(reason, kind="loss", hint=hint)
    if kind == "gap":
        return GapExceeded(reason, hint=hint)
    return _EXCEPTIONS.get(kind, CheckFailedError)(reason, hint=hint)


def _silence(result: PingResult) -> Failure:
    return _failure(
        "connectivity",
        f"failed to run check: failed due to connectivity issue: {counters(result)}{_elsewhere(result)}",
        result,
        summary="no replies",
        hint="check the network on both nodes: its bridge, uplink and VLAN, and whatever filters frames or ICMP",
    )


def _is_cut_off(result: PingResult, migration: Migration, gaps: Gaps | None) -> bool:
    """Whether no reply has come since a migration ended, although requests were sent."""
    if gaps is None or migration.ended_ns is None or not result.has_lost:
        return False
    last = last_reply_ns(result, gaps.interval_ns)
    return last is not None and last <= migration.ended_ns - (migration.clock_error_ns or 0)


def _silence_since(result: PingResult, migration: Migration) -> Failure:
    node = migration.target_node or migration.requested_node
    failure = _failure(
        "connectivity",
        "failed to run check: failed due to connectivity issue: no reply since the migration to "
        f"{node} ({counters(result)})",
        result,
        summary="no reply since the migration",
        hint=f"check the network on {node}: its bridge, uplink and VLAN, and whether its switch learns the guest's MAC "
        "address anew",
    )
    return replace(failure, node=node)


def _over_gap(
    result: PingResult,
    limits: Limits,
    gaps: Gaps | None,
    migration: Migration | None,
    interval_ns: int | None,
) -> Iterator[Failure]:
    if limits.max_gap_ns is None:
        return
    over = None
    if gaps is not None:
        over, _ = gaps_over(result, interval_ns or gaps.interval_ns, limits.max_gap_ns)
    if over is not None:
        yield _failure(
            "gap",
            f'actual longest gap "{format_duration(over.length_ns)}" is greater than desired '
            f'"{format_duration(limits.max_gap_ns)}"{_when(over, migration, gaps)}',
            result,
            summary="the longest gap exceeds the limit",
            hint=_gap_hint(over, migration, gaps),
            exceeded=Exceeded(limit="max_gap_ns", measured=over.length_ns, accepted=limits.max_gap_ns),
        )
    elif gaps is None and result.has_lost:
        yield _failure(
            "gap",
            "cannot compute the longest gap: could not read which requests were lost "
            f"({counters(result)}{_elsewhere(result)})",
            result,
            summary="could not read which requests were lost",
            hint="measure again",
        )


def _require_requests(result: PingResult, limits: Limits, gaps: Gaps | None, interval_ns: int | None) -> None:
    """Raise ``GuestError`` when there is a gap over the limit in which the source may have sent nothing."""
    if limits.max_gap_ns is None or gaps is None:
        return
    _, gap = gaps_over(result, interval_ns or gaps.interval_ns, limits.max_gap_ns)
    if gap is not None and result.replied_at_ns is None:
        raise GuestError(
            f"cannot judge the longest gap, {format_duration(gap.length_ns)} at most: the guest's ping does not say "
            "how often it sent",
            summary="ping does not say how often it sent",
            hint="use a longer --kv-sample-duration, or a guest image with iputils ping",
            transcript=result.transcript,
            stage="run",
        )
    if gap is not None:
        raise GuestError(
            f"cannot judge the longest gap, {format_duration(gap.length_ns)}: the guest sent no requests during it",
            summary="the guest that pings sent nothing for a while",
            hint="the guest or its node has too little processor time",
            transcript=result.transcript,
            stage="run",
        )


def _is_of_preparation(gap: Gap, migration: Migration | None, gaps: Gaps | None) -> bool:
    """Whether a gap surely began before the switch-over: an outage begins up to an interval after the last reply."""
    if migration is None or gap != migration.preparation_gap:
        return False
    running = running_ns(migration)
    return running is None or gaps is None or gap.begins_ns + gaps.interval_ns <= running


def _gap_hint(gap: Gap, migration: Migration | None, gaps: Gaps | None) -> str:
    if _is_of_preparation(gap, migration, gaps):
        return _BRIDGE_HINT
    if migration is not None and gap in (migration.preparation_gap, migration.switchover_gap):
        return _SWITCHOVER_HINT
    if gap.lost:
        return "pings were lost in it, as when a link flaps"
    return "replies were late, and none was lost, as on a busy host"


def _when(gap: Gap, migration: Migration | None, gaps: Gaps | None) -> str:
    """Where in a migration a gap lies, in words; empty without one."""
    if migration is None:
        return ""
    if _is_of_preparation(gap, migration, gaps):
        return " (while the migration was prepared)"
    if gap == migration.preparation_gap:
        return " (at the switch-over, or just before it)"
    return " (at the switch-over)" if gap == migration.switchover_gap else " (outside of the migration)"


def _over_latencies(result: PingResult, limits: Limits) -> Iterator[Failure]:
    statistics = statistics_of(result.samples_ns)
    judged: tuple[tuple[str, LimitName, int | None, int | None], ...] = (
        ("max", "max_latency_ns", statistics.max_ns, limits.max_latency_ns),
        ("avg", "max_avg_ns", statistics.avg_ns, limits.max_avg_ns),
        ("p99", "max_p99_ns", statistics.p99_ns, limits.max_p99_ns),
    )
    for name, key, actual, limit in judged:
        if limit is not None and actual is not None and actual > limit:
            # Of the longest time only: most replies may be within it.
            is_single = name == "max" and statistics.p50_ns is not None and statistics.p50_ns <= limit
            yield _failure(
                "latency",
                f'actual {name} latency "{format_duration(actual)}" is greater than desired '
                f'"{format_duration(limit)}"',
                result,
                summary="latency exceeds the limit",
                hint=_SINGLE_REPLIES if is_single else "",
                exceeded=Exceeded(limit=key, measured=actual, accepted=limit),
            )


def _over_loss(result: PingResult, limits: Limits) -> Iterator[Failure]:
    lost = max(0, result.transmitted - result.received - result.overflowed)
    loss = 100.0 * lost / result.transmitted if result.overflowed else result.loss_percent
    if limits.max_loss_percent is not None and loss > limits.max_loss_percent:
        yield _failure(
            "loss",
            f'actual packet loss "{_percent(loss)}" is greater than desired '
            f'"{_percent(limits.max_loss_percent)}" ({counters(result)}{_elsewhere(result)})',
            result,
            summary="packets are lost",
            # Replies for which ping had no room are listed as lost, too.
            hint="" if result.overflowed else _pattern_of(result.lost_sequence or ()),
            exceeded=Exceeded(limit="max_loss_percent", measured=loss, accepted=limits.max_loss_percent),
        )


def _pattern_of(lost: Sequence[int]) -> str:
    """What it looks like that these requests were lost; empty where that is not known."""
    if not lost:
        return ""
    if len(lost) == 1:
        return "only one ping was lost: a longer sample shows whether that happens again"
    if lost[-1] - lost[0] == len(lost) - 1:
        return "all lost pings are in a row, as when a link flaps"
    return "the lost pings are scattered, as by congestion or a duplex mismatch"


def _unknown_p99(result: PingResult, limits: Limits) -> Iterator[Failure]:
    """A limit of the p99 does not hold where too few replies came, or were read, to say that they are within it."""
    count = len(result.samples_ns)
    if limits.max_p99_ns is None or count >= SAMPLES_NEEDED[99]:
        return
    bound = _p99_bound(result)
    if bound is None or bound > limits.max_p99_ns:
        yield _failure(
            "loss" if result.received < SAMPLES_NEEDED[99] else "latency",
            f"cannot compute p99: it needs {SAMPLES_NEEDED[99]} samples, got {count} ({counters(result)})",
            result,
            summary="too few replies to compute p99",
            hint="use a longer --kv-sample-duration",
        )


def _p99_bound(result: PingResult) -> int | None:
    """What the p99 of all replies is at most when some lines could not be read: as if those had been the slowest."""
    rank = -(-result.received * 99 // 100)
    if result.received < SAMPLES_NEEDED[99] or rank > len(result.samples_ns):
        return None
    return sorted(result.samples_ns)[rank - 1]


def _elsewhere(result: PingResult) -> str:
    others = ", ".join(result.answered_elsewhere)
    return f"; other requests were answered from {others}" if others else ""


def _failure(
    kind: FailureKind,
    reason: str,
    result: PingResult,
    *,
    summary: str,
    hint: str = "",
    exceeded: Exceeded | None = None,
) -> Failure:
    """``summary`` is what is wrong between two nodes; which these are is known where all pairs are."""
    return Failure(
        kind=kind,
        stage="run",
        reason=reason,
        hint=hint,
        transcript=result.transcript,
        summary=summary,
        exceeded=exceeded,
    )


def _percent(value: float) -> str:
    """A percentage that rounds no excess away, without an exponent: ``19%``, ``33.3333%``, ``0.00166667%``."""
    return f"{float(f'{value:.6g}'):.9f}".rstrip("0").rstrip(".") + "%"
