"""The documents of a plan's shards to the document of the whole plan. Pure.

Merged is only what belongs together and is complete: a merged document must not look better than the plan went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.command.fit import misfits
from pytest_kvlatency.report.command.part import parts_of
from pytest_kvlatency.report.comparison import runcomparison as comparison
from pytest_kvlatency.report.failurefacts import shortfall_of
from pytest_kvlatency.report.schema import SCHEMA
from pytest_kvlatency.report.schema.shape import completed, flaw
from pytest_kvlatency.report.success import is_lack_of_any, last_attempts, shortfalls, standing_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.command.part import Part

_Value = TypeVar("_Value")


class MergeError(Exception):
    """The documents cannot be merged. ``problems`` has everything that is wrong with them, a line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def whole(
    documents: Sequence[tuple[str, object]], *, version: str, unread: Sequence[str] = ()
) -> dict[str, Any]:
    """The document to report on: the only one where that is of a whole run, else those of all shards as one.

    Arguments and errors are those of ``merge``.
    """
    if len(documents) == 1 and not unread:
        ((name, document),) = documents
        found = flaw(document)
        if found:
            raise MergeError([f"{name} {found}"])
        if isinstance(document, dict) and (document["plan"] is None or document["plan"]["shard"] is None):
            return completed(document)
    return merge(documents, version=version, unread=unread)


def merge(
    documents: Sequence[tuple[str, object]], *, version: str, unread: Sequence[str] = ()
) -> dict[str, Any]:
    """Make one document of those of all shards of a plan, each given with its file's name.

    Its measurements are in the order of their items' ids. ``version`` is this program's, ``unread``
    what is wrong with files that could not even be read. Raises ``MergeError``.
    """
    parts, flaws = parts_of(documents)
    problems = [*unread, *flaws]
    if parts:
        problems += list(misfits(parts, is_whole=not problems))
    if problems or not parts:
        raise MergeError(problems or ["no document: expected what --kv-json wrote"])
    parts.sort(key=lambda part: part.shard.index)
    plan = parts[0].plan
    reasons, is_good = _verdict(parts)
    entries = sorted((entry for part in parts for entry in part.entries), key=_order)
    baseline = comparison.merged_facts([part.document.get("baseline") for part in parts])
    causes = find_causes(entries, _own_causes(parts))
    if not causes and not is_good:
        causes = find_causes(entries, [shortfall_of(reason) for reason in reasons])
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-kvlatency", "version": version},
        "startTimestamp": min(part.document["startTimestamp"] for part in parts),
        "completionTimestamp": max(part.document["completionTimestamp"] for part in parts),
        "succeeded": is_good,
        "failureReason": "; ".join(dict.fromkeys(reasons)) or None,
        "notes": [*_notes(parts), *comparison.notes(baseline, entries)],
        "namespace": _common([part.document.get("namespace") for part in parts]),
        "settings": _common_settings([part.document.get("settings") or {} for part in parts]),
        "cluster": _agreed(
            [part.document["cluster"] for part in parts if part.document["cluster"] is not None]
        ),
        "plan": {**plan, "shard": None, "shardPairs": plan["pairs"]},
        "preflight": None,
        "swept": _swept(parts),
        "causes": causes,
        "measurements": entries,
        "baseline": baseline,
    }


def _notes(parts: Sequence[Part]) -> list[str]:
    """What the shards note, but for their comparisons with a baseline: the plan's says more."""
    found = dict.fromkeys(note for part in parts for note in part.document["notes"])
    for part in parts:
        for note in comparison.notes(part.document.get("baseline"), part.entries, is_shard=True):
            found.pop(note, None)
    return list(found)


def _swept(parts: Sequence[Part]) -> list[str] | None:
    """What any shard removed of killed runs' VMIs; None where none was to."""
    found = [names for part in parts if (names := part.document.get("swept")) is not None]
    return sorted({name for names in found for name in names}) if found else None


def _verdict(parts: Sequence[Part]) -> tuple[list[str], bool]:
    """Why the whole plan did not succeed, and whether it did: by the rule of a run, over all checks.

    A shard in which nothing was measured has not succeeded; in the plan it is enough that others measured.
    """
    reasons, is_good = [], True
    for part in parts:
        reason = part.document["failureReason"]
        if _has_measured_nothing(part):
            continue
        is_good = is_good and part.document["succeeded"] is True
        reasons += [reason] if reason else []
    standings = [standing_of(entry) for part in parts for entry in last_attempts(part.entries)]
    # A shard's reason says why; how many they are of all is known only here.
    missing = [text for text in shortfalls(standings) if not any(one.startswith(text) for one in reasons)]
    is_good = is_good and not missing and not any(standing.is_failed for standing in standings)
    return [*reasons, *missing], is_good


def _own_causes(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """What went wrong in shards outside of their measurements."""
    return [
        one
        for part in parts
        if not _has_measured_nothing(part)
        for one in part.document.get("causes") or []
        if not one["measurements"]
    ]


def _has_measured_nothing(part: Part) -> bool:
    """Whether that is all that is wrong with a shard."""
    standings = [standing_of(entry) for entry in last_attempts(part.entries)]
    return is_lack_of_any(standings, part.document["failureReason"])


def _agreed(clusters: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What all shards say of the cluster; None for what they say differently (a lab's address, say)."""
    if not clusters:
        return None
    first, *others = clusters
    return {
        name: value if all(other.get(name) == value for other in others) else None
        for name, value in first.items()
    }


def _common(values: Sequence[_Value]) -> _Value | None:
    """What all shards say; None where they differ."""
    first, *others = values
    return first if all(other == first for other in others) else None


def _common_settings(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all shards have; which shard each was, and its files, are not the plan's."""
    first, *others = settings
    return {name: one for name, one in first.items() if all(other.get(name) == one for other in others)}


def _order(entry: Mapping[str, Any]) -> tuple[list[tuple[int, int, str]], int]:
    """By the item's id, in which numbers count as such, then by attempt."""
    return natural_key(entry["nodeid"]), entry["attempt"]
