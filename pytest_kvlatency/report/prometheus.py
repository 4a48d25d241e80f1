"""The document as metrics, in Prometheus's text format (``--kv-prometheus``). Pure.

Times are in seconds and shares are ratios, as Prometheus asks. What was not measured has no sample, never a 0. Labels
come from the plan alone, never from VMIs: the number of series is bounded by tests, networks and pairs of nodes. In a
lab every series is labelled ``lab="true"``, so that no alert takes it for a cluster.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import test_of
from pytest_kvlatency.report.exposition import Family, text_of
from pytest_kvlatency.report.gapnumbers import gaps_of
from pytest_kvlatency.report.places import asked
from pytest_kvlatency.report.schema import moment
from pytest_kvlatency.report.success import last_attempts, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]
    Labels = dict[str, str | None]
    Key = tuple[str, ...]

OUTCOMES: Final = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "notrun")
_QUANTILES: Final = (
    ("0.5", "p50LatencyNanoSec"),
    ("0.9", "p90LatencyNanoSec"),
    ("0.99", "p99LatencyNanoSec"),
)
#: Metric, key of the entry, and what its unit is divided by.
_NUMBERS: Final = (
    ("rtt_min_seconds", "minLatencyNanoSec", 1e9, "Shortest round-trip time of the last run."),
    ("rtt_avg_seconds", "avgLatencyNanoSec", 1e9, "Mean of the round-trip times of the last run."),
    ("rtt_max_seconds", "maxLatencyNanoSec", 1e9, "Longest round-trip time of the last run."),
    ("rtt_stddev_seconds", "stddevLatencyNanoSec", 1e9, "Standard deviation of the round-trip times of the last run."),
    ("loss_ratio", "lossPercent", 100, "Share of the pings of the last run that got no reply, from 0 to 1."),
    ("transmitted_packets", "transmitted", 1, "Pings that the last run sent, without the warm-up."),
    ("received_packets", "received", 1, "Pings of the last run that got a reply."),
    ("duplicate_packets", "duplicates", 1, "Replies of the last run that came more than once."),
    ("measurement_duration_seconds", "measurementDurationSec", 1, "How long the last run pinged."),
)  # fmt: skip
_LIMITS: Final = (
    ("limit_rtt_max_seconds", "maxLatencyNanoSec", 1e9, "Limit of the longest round-trip time."),
    ("limit_rtt_avg_seconds", "maxAvgLatencyNanoSec", 1e9, "Limit of the mean round-trip time."),
    ("limit_rtt_p99_seconds", "maxP99LatencyNanoSec", 1e9, "Limit of the 99th percentile of the round-trip times."),
    ("limit_loss_ratio", "maxLossPercent", 100, "Limit of the share of lost pings, from 0 to 1."),
    ("limit_gap_seconds", "maxGapNanoSec", 1e9, "Limit of the longest time between two replies."),
)  # fmt: skip


def render(document: Mapping[str, Any]) -> str:
    """Every metric of a run, in the text format, without timestamps."""
    lab = "true" if (document.get("cluster") or {}).get("lab") else None
    entries = last_attempts(document["measurements"])
    pairs = _labelled([one for one in entries if _is_exported(one)], lab)
    return text_of([*_of_pairs(pairs), *_of_run(document, entries, lab)])


def _is_exported(entry: Entry) -> bool:
    """Whether there is something to say of a check: not where its own test, or the end of the run, left it out."""
    if entry["transmitted"] is not None:
        return True
    standing = standing_of(entry)
    return (
        standing.has_network
        and not standing.is_left_out
        and standing.outcome != "notrun"
        and entry["failureKind"] != "interrupted"
    )


def _labelled(entries: Sequence[Entry], lab: str | None) -> list[tuple[Labels, Entry]]:
    """The entries with their labels, of which no two are equal."""
    tests = [test_of(one) for one in entries]
    counts = Counter(_key(_labels(one, test=test, lab=lab)) for one, test in zip(entries, tests, strict=True))
    found: dict[Key, tuple[Labels, Entry]] = {}
    for test, entry in zip(tests, entries, strict=True):
        labels = _labels(entry, test=test, lab=lab)
        if counts[_key(labels)] > 1:
            # The whole id, which is unique, where what is left of it is not.
            labels = _labels(entry, test=entry["nodeid"], lab=lab)
        number = 1
        while _key(labels) in found:
            number += 1
            labels = _labels(entry, test=f"{entry['nodeid']} ({number})", lab=lab)
        found[_key(labels)] = (labels, entry)
    return list(found.values())


def _key(labels: Labels) -> Key:
    return tuple(printable(text or "") for text in labels.values())


def _labels(entry: Entry, *, test: str, lab: str | None) -> Labels:
    source, target, _ = asked(entry)
    return {
        "nad": entry["nad"],
        "pair": entry["nodes"],
        "source_node": entry["sourceNode"] or source,
        "target_node": entry["targetNode"] or target,
        "test": test,
        "lab": lab,
    }


def _of_pairs(pairs: Sequence[tuple[Labels, Entry]]) -> Iterator[Family]:
    up = _family(
        "up",
        "Whether a ping of the last run got a reply: 0 if none did, or if the pair could not be measured.",
    )
    success = _family(
        "check_success", "Whether the check of the last run passed, by its limits and its test."
    )
    failure = _family("check_failure_info", "Why the check of the last run failed; absent if it passed.")
    for labels, entry in pairs:
        standing = standing_of(entry)
        up.add(labels, bool(entry["received"]))
        success.add(labels, None if standing.outcome == "notrun" else not standing.is_failed)
        failure.add(
            {**labels, "kind": entry["failureKind"]},
            1 if standing.is_failed and entry["failureKind"] else None,
        )
    yield from (up, success, failure, _rtt(pairs))
    yield from _numbers(_NUMBERS, pairs)
    yield from _numbers(_LIMITS, [(labels, entry["limits"] or {}) for labels, entry in pairs])
    yield from _gaps(pairs)
    emulation = _family(
        "software_emulation",
        "Whether a guest ran without hardware virtualization, which inflates round-trip times.",
    )
    for labels, entry in pairs:
        emulation.add(labels, entry["softwareEmulation"])
    yield emulation
    yield from _comparisons(pairs)


def _gaps(pairs: Iterable[tuple[Labels, Entry]]) -> Iterator[Family]:
    """The longest time without a reply, and of a migration what it was of it."""
    longest = _family("longest_gap_seconds", "Longest time between two replies of the last run.")
    of_phase = _family(
        "migration_gap_seconds",
        "Longest time between two replies that began in this part of the live migration of the last run.",
    )
    success = _family("migration_success", "Whether the live migration of the last run succeeded.")
    for labels, entry in pairs:
        gaps, migration = gaps_of(entry), entry.get("migration") or {}
        longest.add(labels, _divided(gaps["longestGap"], 1e9))
        for phase in ("preparation", "switchover"):
            of_phase.add({**labels, "phase": phase}, _divided(gaps[f"{phase}Gap"], 1e9))
        success.add(labels, migration.get("succeeded"))
    yield from (longest, of_phase, success)


def _rtt(pairs: Iterable[tuple[Labels, Entry]]) -> Family:
    """The round-trip times as a summary: of one run, so that its sum and count are no counters."""
    rtt = Family(
        name="kvlatency_rtt_seconds",
        type="summary",
        help="Round-trip times of the last run. Sum and count are those of this run alone.",
    )
    for labels, entry in pairs:
        for quantile, key in _QUANTILES:
            rtt.add({**labels, "quantile": quantile}, _divided(entry[key], 1e9))
        samples = entry["samplesNanoSec"]
        if samples:
            rtt.add(labels, sum(samples) / 1e9, suffix="_sum")
            rtt.add(labels, len(samples), suffix="_count")
    return rtt


def _comparisons(pairs: Iterable[tuple[Labels, Entry]]) -> Iterator[Family]:
    """What became of the round-trip times since the baseline."""
    before = _family("baseline_rtt_seconds", "Round-trip times of the baseline.")
    change = _family(
        "baseline_change_ratio", "Change of the round-trip times against the baseline: 0.1 is 10% slower."
    )
    regressed = _family("regressed", "Whether a round-trip time is worse than the baseline allows.")
    for labels, entry in pairs:
        comparison = entry.get("comparison") or {}
        for name in ("p50", "p90", "p99"):
            one, said = comparison.get(name) or {}, {**labels, "statistic": name}
            before.add(said, _divided(one.get("baselineNanoSec"), 1e9))
            change.add(said, _divided(one.get("deltaPercent"), 100))
        regressed.add(labels, comparison.get("regressed"))
    yield from (before, change, regressed)


def _numbers(
    table: Iterable[tuple[str, str, float, str]], pairs: Iterable[tuple[Labels, Entry]]
) -> Iterator[Family]:
    for name, key, divisor, text in table:
        family = _family(name, text)
        for labels, numbers in pairs:
            family.add(labels, _divided(numbers.get(key), divisor))
        yield family


def _of_run(document: Mapping[str, Any], entries: Sequence[Entry], lab: str | None) -> Iterator[Family]:
    cluster = document.get("cluster") or {}
    run: Labels = {"shard": (document.get("plan") or {}).get("shard"), "lab": lab}
    start, end = (moment(document[f"{name}Timestamp"]) for name in ("start", "completion"))
    checks = _family("last_run_checks", "How many checks of the last run ended so.")
    for outcome in OUTCOMES:
        checks.add({"outcome": outcome, **run}, sum(one["outcome"] == outcome for one in entries))
    yield checks
    yield _family("last_run_success", "Whether the last run succeeded.", run, bool(document["succeeded"]))
    yield _family(
        "last_run_timestamp_seconds", "When the last run ended, in seconds since 1970.", run, end.timestamp()
    )
    seconds = (end - start).total_seconds()
    yield _family("last_run_duration_seconds", "How long the last run took.", run, seconds)
    facts = {
        "server": cluster.get("server"),
        "context": cluster.get("context"),
        "namespace": document.get("namespace"),
        "kubernetes_version": cluster.get("kubernetesVersion"),
        "kubevirt_version": cluster.get("kubevirtVersion"),
        "lab_guests": (cluster.get("lab") or {}).get("guests"),
    }
    if cluster:
        yield _family("cluster_info", "The cluster of the last run.", {**facts, **run}, 1)
    version = {"version": document["tool"]["version"]}
    yield _family("build_info", "The version of pytest-kvlatency.", {**version, **run}, 1)


def _family(name: str, text: str, labels: Labels | None = None, value: float | None = None) -> Family:
    """A metric, with its only sample where a ``value`` is given."""
    family = Family(name=f"kvlatency_{name}", help=text)
    family.add(labels or {}, value)
    return family


def _divided(value: float | None, divisor: float) -> float | None:
    # To picoseconds: beyond, there is only what binary fractions make of decimal ones.
    return None if value is None else round(value / divisor, 12)
