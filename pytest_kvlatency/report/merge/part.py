"""The document of one shard: what it must be, and what is read of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.parsers import Shard
from pytest_kvlatency.config.parsers import shard as parse_shard
from pytest_kvlatency.report.document import SCHEMA, build, plan_facts
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import ItemResult, RunResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EPOCH: Final = datetime.fromtimestamp(0, timezone.utc)
#: Documents of older versions have none of these.
_NEWER: Final = frozenset({"preflight", "notes", "swept", "namespace", "settings", "causes", "baseline"})
_NEWER_OF_ENTRIES: Final = frozenset(
    {"guest", "failedNode", "advice", "failures", "startTimestamp", "round", "lostSequence", "comparison"}
)
_NAMES: Final = frozenset(build(RunResult(version="", start=_EPOCH, completion=_EPOCH))) - _NEWER
_ENTRY_NAMES: Final = (
    frozenset(measurement_entry(ItemResult(nodeid="", outcome="notrun"))) - _NEWER_OF_ENTRIES
)
_PLAN_NAMES: Final = frozenset(plan_facts(digest="", shard=None, pairs=0, shard_pairs=0, nads=()))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One shard's document. ``name`` is the file's."""

    name: str
    shard: Shard
    document: Mapping[str, Any]

    @property
    def plan(self) -> Mapping[str, Any]:
        """The document's ``plan``."""
        found: Mapping[str, Any] = self.document["plan"]
        return found

    @property
    def digest(self) -> str:
        """What only documents of the same plan have in common."""
        return str(self.plan["digest"])

    @property
    def notes(self) -> list[str]:
        """The document's ``notes``, which older versions did not write."""
        found: list[str] = self.document.get("notes") or []
        return found

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The document's ``measurements``."""
        found: list[dict[str, Any]] = self.document["measurements"]
        return found


def parts_of(documents: Sequence[tuple[str, object]]) -> tuple[list[Part], list[str]]:
    """The documents that are ones of shards, each given with its file's name, and what is wrong with the others."""
    parts, problems = [], []
    for name, document in documents:
        problem = _flaw(document)
        if problem:
            problems.append(f"{name} {problem}")
        elif isinstance(document, dict):
            parts.append(Part(name=name, shard=parse_shard(document["plan"]["shard"]), document=document))
    return parts, problems


def _flaw(document: object) -> str:
    """Why this is not a shard's document; empty for one that is."""
    if not isinstance(document, dict) or "schema" not in document:
        return "is not a document of pytest-kvlatency: expected what --kv-json wrote"
    if document["schema"] != SCHEMA:
        return f"has the schema {document['schema']!r}: expected {SCHEMA!r}"
    missing = sorted(_NAMES.difference(document))
    if missing:
        return f"is incomplete: it has no {', '.join(missing)}"
    if document.get("preflight") is not None:
        return "is the document of a preflight, which measures nothing. Merge the documents of the runs"
    return _flaw_of_plan(document) or _flaw_of_entries(document)


def _flaw_of_plan(document: Mapping[str, Any]) -> str:
    plan = document["plan"]
    if plan is None:
        return f"has no plan: its run ended before there was one ({document['failureReason'] or 'no reason is given'})"
    if not isinstance(plan, dict) or not _PLAN_NAMES.issubset(plan):
        return f"is incomplete: its plan must have {', '.join(sorted(_PLAN_NAMES))}"
    if plan["shard"] is None:
        return "is not the document of a shard: it already covers the whole plan"
    try:
        parse_shard(str(plan["shard"]))
    except ValueError as error:
        return f"says it is shard {plan['shard']!r}, which {error}"
    return ""


def _flaw_of_entries(document: Mapping[str, Any]) -> str:
    plan, entries = document["plan"], document["measurements"]
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and _ENTRY_NAMES.issubset(entry) for entry in entries
    ):
        return f"is incomplete: each of its measurements must have {', '.join(sorted(_ENTRY_NAMES))}"
    found = len({entry["nodeid"] for entry in entries if entry["nodes"] is not None})
    if document["succeeded"] is True and found != plan["shardPairs"]:
        return f"is incomplete: it has {found} of its shard's {plan['shardPairs']} pairs"
    return ""
