"""The document of one shard: what it must be, and what is read of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config.parsers import Shard
from pytest_kvlatency.config.parsers import shard as parse_shard
from pytest_kvlatency.report.schema.shape import completed, flaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
            parts.append(
                Part(name=name, shard=parse_shard(document["plan"]["shard"]), document=completed(document))
            )
    return parts, problems


def _flaw(document: object) -> str:
    """Why this is not a shard's document; empty for one that is."""
    found = flaw(document)
    if found or not isinstance(document, dict):
        return found
    if document.get("preflight") is not None:
        return "is the document of a preflight, which measures nothing. Merge the documents of the runs"
    return _flaw_of_plan(document) or _flaw_of_entries(document)


def _flaw_of_plan(document: Mapping[str, Any]) -> str:
    plan = document["plan"]
    if plan is None:
        return f"has no plan: its run ended before there was one ({document['failureReason'] or 'no reason is given'})"
    if plan["shard"] is None:
        return "is not the document of a shard: it already covers the whole plan"
    try:
        parse_shard(str(plan["shard"]))
    except ValueError as error:
        return f"says it is shard {plan['shard']!r}, which {error}"
    return ""


def _flaw_of_entries(document: Mapping[str, Any]) -> str:
    plan, entries = document["plan"], document["measurements"]
    found = len({entry["nodeid"] for entry in entries if entry["nodes"] is not None})
    if document["succeeded"] is True and found != plan["shardPairs"]:
        return f"is incomplete: it has {found} of its shard's {plan['shardPairs']} pairs"
    return ""
