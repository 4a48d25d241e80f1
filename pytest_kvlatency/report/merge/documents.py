"""The documents of a plan's shards to the document of the whole plan. Pure.

Merged is only what belongs together and is complete: a merged document must not look better than the plan went.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.parsers import Shard
from pytest_kvlatency.config.parsers import shard as parse_shard
from pytest_kvlatency.report.document import SCHEMA, build, plan_facts
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import ItemResult, RunResult
from pytest_kvlatency.report.success import is_lack_of_any, last_attempts, shortfalls, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_EPOCH: Final = datetime.fromtimestamp(0, timezone.utc)
#: Documents of older versions have none of these.
_NEWER: Final = frozenset({"preflight", "notes", "swept"})
_NAMES: Final = frozenset(build(RunResult(version="", start=_EPOCH, completion=_EPOCH))) - _NEWER
_ENTRY_NAMES: Final = frozenset(measurement_entry(ItemResult(nodeid="", outcome="notrun")))
_PLAN_NAMES: Final = frozenset(plan_facts(digest="", shard=None, pairs=0, shard_pairs=0, nads=()))
_NAMED: Final = 5


class MergeError(Exception):
    """The documents cannot be merged. ``problems`` has everything that is wrong with them, a line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One shard's document. ``name`` is the file's."""

    name: str
    shard: Shard
    document: Mapping[str, Any]

    @property
    def plan(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document["plan"]
        return found

    @property
    def notes(self) -> list[str]:
        found: list[str] = self.document.get("notes") or []
        return found

    @property
    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["measurements"]
        return found


def merge(
    documents: Sequence[tuple[str, object]], *, version: str, unread: Sequence[str] = ()
) -> dict[str, Any]:
    """Make one document of those of all shards of a plan, each given with its file's name.

    Its measurements are in the order of their items' ids. ``version`` is this program's, ``unread``
    what is wrong with files that could not even be read. Raises ``MergeError``.
    """
    parts, flaws = _parts(documents)
    problems = [*unread, *flaws]
    if parts:
        problems += list(_misfits(parts, is_whole=not problems))
    if problems or not parts:
        raise MergeError(
            problems or ["there is nothing to merge: valid are the JSON documents of all shards"]
        )
    parts.sort(key=lambda part: part.shard.index)
    plan = parts[0].plan
    reasons, is_good = _verdict(parts)
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-kvlatency", "version": version},
        "startTimestamp": min(part.document["startTimestamp"] for part in parts),
        "completionTimestamp": max(part.document["completionTimestamp"] for part in parts),
        "succeeded": is_good,
        "failureReason": "; ".join(dict.fromkeys(reasons)) or None,
        "notes": list(dict.fromkeys(note for part in parts for note in part.notes)),
        "cluster": _agreed(
            [part.document["cluster"] for part in parts if part.document["cluster"] is not None]
        ),
        "plan": {**plan, "shard": None, "shardPairs": plan["pairs"]},
        "preflight": None,
        "swept": _swept(parts),
        "measurements": sorted((entry for part in parts for entry in part.entries), key=_order),
    }


def _swept(parts: Sequence[_Part]) -> list[str] | None:
    """What any shard removed of killed runs' VMIs; None where none was to."""
    found = [names for part in parts if (names := part.document.get("swept")) is not None]
    return sorted({name for names in found for name in names}) if found else None


def _verdict(parts: Sequence[_Part]) -> tuple[list[str], bool]:
    """Why the whole plan did not succeed, and whether it did: by the rule of a run, over all checks.

    A shard in which nothing was measured has not succeeded; in the plan it is enough that others measured.
    """
    reasons, is_good = [], True
    for part in parts:
        reason = part.document["failureReason"]
        if is_lack_of_any([standing_of(entry) for entry in last_attempts(part.entries)], reason):
            continue
        is_good = is_good and part.document["succeeded"] is True
        reasons += [reason] if reason else []
    standings = [standing_of(entry) for part in parts for entry in last_attempts(part.entries)]
    # A shard's reason says why; how many they are of all is known only here.
    missing = [text for text in shortfalls(standings) if not any(one.startswith(text) for one in reasons)]
    is_good = is_good and not missing and not any(standing.is_failed for standing in standings)
    return [*reasons, *missing], is_good


def _parts(documents: Sequence[tuple[str, object]]) -> tuple[list[_Part], list[str]]:
    """The documents that are ones of shards, and what is wrong with the others."""
    parts, problems = [], []
    for name, document in documents:
        problem = _flaw(document)
        if problem:
            problems.append(f"{name} {problem}")
        elif isinstance(document, dict):
            parts.append(_Part(name=name, shard=parse_shard(document["plan"]["shard"]), document=document))
    return parts, problems


def _flaw(document: object) -> str:
    """Why this is not a shard's document; empty for one that is."""
    if not isinstance(document, dict) or "schema" not in document:
        return "is no document of pytest-kvlatency; valid is what --kv-json wrote"
    if document["schema"] != SCHEMA:
        return f"has the schema {document['schema']!r}; valid is {SCHEMA!r}"
    missing = sorted(_NAMES.difference(document))
    if missing:
        return f"is incomplete: it has no {', '.join(missing)}"
    if document.get("preflight") is not None:
        return "is of a preflight, which measures nothing. Merge the documents of the runs"
    plan, entries = document["plan"], document["measurements"]
    if plan is None:
        return f"has no plan: its run ended before there was one ({document['failureReason'] or 'no reason is given'})"
    if not isinstance(plan, dict) or not _PLAN_NAMES.issubset(plan):
        return f"is incomplete: its plan must have {', '.join(sorted(_PLAN_NAMES))}"
    if plan["shard"] is None:
        return "is not of a shard: it has the whole plan already, so there is nothing to merge it with"
    try:
        parse_shard(str(plan["shard"]))
    except ValueError as error:
        return f"says it is shard {plan['shard']!r}, which {error}"
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and _ENTRY_NAMES.issubset(entry) for entry in entries
    ):
        return f"is incomplete: each of its measurements must have {', '.join(sorted(_ENTRY_NAMES))}"
    found = len({entry["nodeid"] for entry in entries if entry["nodes"] is not None})
    if document["succeeded"] is True and found != plan["shardPairs"]:
        return f"is incomplete: it has {found} of its shard's {plan['shardPairs']} pairs"
    return ""


def _misfits(parts: Sequence[_Part], *, is_whole: bool) -> Iterator[str]:
    """Why the documents are not those of one plan, each shard once; shards are missed only if all files were read."""
    digests = Counter(part.plan["digest"] for part in parts)
    usual, _ = digests.most_common(1)[0]
    for part in parts:
        if part.plan["digest"] != usual:
            first = next(one for one in parts if one.plan["digest"] == usual)
            yield (
                f"{part.name} is of another plan ({str(part.plan['digest'])[:12]}) than {first.name} "
                f"({str(usual)[:12]}): networks, nodes, ping parameters, guests and limits must be the same"
            )
    same = [part for part in parts if part.plan["digest"] == usual]
    counts = Counter(part.shard.count for part in same)
    count, _ = counts.most_common(1)[0]
    for part in same:
        if part.shard.count != count:
            yield f"{part.name} is shard {part.shard}, and others are of {count} shards"
    by_index: dict[int, list[str]] = {}
    for part in same:
        if part.shard.count == count:
            by_index.setdefault(part.shard.index, []).append(part.name)
    for index, names in sorted(by_index.items()):
        if len(names) > 1:
            yield f"shard {index} of {count} comes {len(names)} times: {', '.join(names)}"
    missing = [index for index in range(count) if index not in by_index]
    if is_whole and missing:
        named = ", ".join(map(str, missing[:_NAMED]))
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        are = "is" if len(missing) == 1 else "are"
        yield f"shard{'s' if len(missing) > 1 else ''} {named}{more} of {count} {are} missing (counted from 0)"
    if not missing and len(same) == count and len({part.shard.index for part in same}) == count:
        yield from _twice(same)


def _twice(parts: Sequence[_Part]) -> Iterator[str]:
    """What complete shards must not have: pairs in common, or fewer pairs than the plan."""
    owners: dict[str, str] = {}
    for part in parts:
        common = {entry["nodeid"] for entry in part.entries if entry["nodeid"] in owners}
        owners.update({entry["nodeid"]: part.name for entry in part.entries})
        if common:
            one = min(common)
            yield f"{part.name} has {len(common)} items that another document has too, such as {one}"
    pairs, total = parts[0].plan["pairs"], sum(part.plan["shardPairs"] for part in parts)
    if pairs != total:
        yield f"the shards have {total} pairs, and the plan has {pairs}"


def _agreed(clusters: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What all shards say of the cluster; None for what they say differently (a lab's address, say)."""
    if not clusters:
        return None
    first, *others = clusters
    return {
        name: value if all(other.get(name) == value for other in others) else None
        for name, value in first.items()
    }


def _order(entry: Mapping[str, Any]) -> tuple[list[tuple[int, int, str]], int]:
    """By the item's id, in which numbers count as such, then by attempt."""
    words = re.split(r"([0-9]+)", entry["nodeid"])
    natural = [(0, int(word), word) if word.isdecimal() else (1, 0, word) for word in words]
    return natural, entry["attempt"]
