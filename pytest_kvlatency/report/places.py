"""The nodes of a document's entry, as they were asked for and as they were; and where its target migrated. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.model import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping


def asked(entry: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Source, target and destination as asked for; None for what was left to the scheduler, or not asked."""
    source, colon, rest = (entry["nodes"] or "").partition(":")
    if not colon:
        return None, None, None
    target, move, destination = rest.partition(">")
    return source, target, destination if move else None


def nodes_of(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Source and target: where the guests really ran, else as asked for; None when neither is known."""
    asked_source, asked_target, _ = asked(entry)
    source, target = entry["sourceNode"] or asked_source, entry["targetNode"] or asked_target
    return None if source is None or target is None else (source, target)


def is_move(entry: Mapping[str, Any]) -> bool:
    """Whether the target migrated, or was to migrate, during the sample."""
    return has_begun(entry) or asked(entry)[2] is not None


def has_begun(entry: Mapping[str, Any]) -> bool:
    """Whether a migration was begun during the sample. Until then the pair is one like any other."""
    return entry.get("migration") is not None


def destination_of(entry: Mapping[str, Any]) -> str | None:
    """Where the target migrated, else where it was to (``?``: wherever the cluster likes); None without a migration.

    A guest whose migration failed is still where it was.
    """
    migration = entry.get("migration") or {}
    wanted: str | None = (
        migration.get("requestedNode") or asked(entry)[2] or (ANYWHERE if migration else None)
    )
    reached: str | None = migration.get("targetNode")
    stayed = reached == entry.get("targetNode") and not migration.get("succeeded")
    return wanted if reached is None or stayed else reached


def moved(entry: Mapping[str, Any]) -> str:
    """The destination behind a target's name: ``>worker3``; empty without a migration."""
    destination = destination_of(entry)
    return "" if destination is None else f">{destination}"
