"""The result document: everything a run found out, as plain data. Every report reads it and nothing else.

Its names are the public JSON (``"schema": "kvlatency/v1"``). What is absent is None, never 0.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timezone
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config.options import OPTIONS
from pytest_kvlatency.config.values import show
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.failurefacts import fault_of, shortfall_of
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.reasons import failure_reason
from pytest_kvlatency.report.run import last_attempts
from pytest_kvlatency.report.schema import SCHEMA, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_kvlatency.config.options import Option
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.report.run import RunResult


def cluster_facts(facts: ClusterFacts | None, *, context: str | None = None) -> dict[str, Any] | None:
    """The document's ``cluster``; ``context`` is the kubeconfig's."""
    if facts is None:
        return None
    return {
        "server": facts.server,
        "context": context,
        "kubernetesVersion": facts.kubernetes_version,
        "kubevirtVersion": facts.kubevirt_version,
        "lab": facts.lab,
    }


def plan_facts(
    *, digest: str, shard: str | None, pairs: int, shard_pairs: int, nads: Sequence[str]
) -> dict[str, Any]:
    """The document's ``plan``: of ``pairs`` in all the run took ``shard_pairs``, which are all without a ``shard``."""
    return {"digest": digest, "shard": shard, "pairs": pairs, "shardPairs": shard_pairs, "nads": list(nads)}


def settings_facts(settings: Settings) -> dict[str, dict[str, Any]]:
    """The document's ``settings``: every option that has a value, also by default, in the order of the table.

    Each value is as one would type it, with where it came from. What is off, or has no value, is listed only where a
    source says so: ``none`` takes an inherited value away.
    """
    facts: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        source, value = settings.sources[option.name], getattr(settings, option.attribute)
        if source.kind == "default" and not _has_value(option, value):
            continue
        words: str | list[str] = show(option, value) if not option.repeatable else "none"
        if option.repeatable and value:
            words = [show(option, one) for one in value]
        facts[option.name] = {"option": option.flag, "value": words, "source": source.place}
    return facts


def _has_value(option: Option, value: object) -> bool:
    if option.is_switch:
        return bool(value)
    # How many pairs at once is always decided, by ``auto`` if by nothing else.
    return option.name == "parallel" or (value is not None and value != ())


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds: ``2024-05-01T12:00:00Z``."""
    return moment.astimezone(timezone.utc).strftime(TIMESTAMP)


def build(run: RunResult) -> dict[str, Any]:
    """The document of a run."""
    comparator = run.comparator
    measurements = [measurement_entry(item, images=run.images, comparator=comparator) for item in run.items]
    baseline = None if comparator is None else comparator.facts(measurements)
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-kvlatency", "version": run.version},
        "startTimestamp": timestamp(run.start),
        "completionTimestamp": timestamp(run.completion),
        "succeeded": run.succeeded,
        "failureReason": failure_reason(run),
        "notes": [*run.notes, *_comparison_notes(run, baseline, measurements)],
        "namespace": run.namespace,
        "settings": {name: dict(one) for name, one in run.settings.items()},
        "cluster": None if run.cluster is None else dict(run.cluster),
        "plan": None if run.plan is None else dict(run.plan),
        "preflight": None if run.preflight is None else [asdict(one) for one in run.preflight],
        "swept": None if run.swept is None else list(run.swept),
        "causes": find_causes(measurements, _own_faults(run)),
        "measurements": measurements,
        "baseline": baseline,
    }


def _comparison_notes(
    run: RunResult, baseline: Mapping[str, Any] | None, measurements: Sequence[Mapping[str, Any]]
) -> list[str]:
    if baseline is None:
        return []
    from pytest_kvlatency.report.comparison.runcomparison import notes  # noqa: PLC0415 - few runs compare

    return notes(baseline, measurements, is_shard=run.plan is not None and run.plan["shard"] is not None)


def _own_faults(run: RunResult) -> list[dict[str, Any]]:
    """What went wrong outside of measurements; that some were not made only where nothing else says why."""
    own = [fault_of(one) for one in run.own_failures]
    if own or any(item.standing.is_failed for item in last_attempts(run.items)):
        return own
    return [shortfall_of(text, is_cut_short=bool(run.cut_short_by)) for text in run.shortfalls]
