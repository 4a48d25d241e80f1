"""The document's causes; of documents that do not name them, equal reasons grouped. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.report.page.entry import reason
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Mapping


def causes_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The causes, those of most measurements first."""
    known = document.get("causes")
    if known is not None:
        return list(known)
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in last_attempts(document["measurements"]):
        words = reason(entry)
        if words is None or entry["outcome"] not in ("failed", "error"):
            continue
        kind = entry["failureKind"] or "assertion"
        empty: dict[str, Any] = {"kind": kind, "sentence": words, "measurements": [], "networks": []}
        group = groups.setdefault(
            (kind, words), {**dict.fromkeys(("node", "pair", "network", "advice")), **empty}
        )
        group["measurements"].append(entry["nodeid"])
        if entry["nad"] is not None and entry["nad"] not in group["networks"]:
            group["networks"].append(entry["nad"])
    return sorted(groups.values(), key=lambda one: -len(one["measurements"]))
