"""The document's entries and causes, as the page speaks of them. Pure. Older documents lack some keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import is_own_check, test_name, what_failed
from pytest_kvlatency.report.matrix.cell import STAGE, anchor
from pytest_kvlatency.report.places import moved, nodes_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def pair_id(entry: Mapping[str, Any]) -> str:
    """What the entry's view is called in links: ``pair-`` and letters and digits, whatever the id holds."""
    return anchor(entry["nodeid"], entry["attempt"]).replace("kv-", "pair-", 1)


def pair_of(entry: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Source and target as shown; None for a node of the scheduler's choice that is not known."""
    nodes = nodes_of(entry)
    return nodes if nodes is not None else (entry["sourceNode"], entry["targetNode"])


def pair_text(entry: Mapping[str, Any]) -> str:
    """The pair in words: ``worker1 → worker3``, ``worker1 → worker2>worker3``, or what was asked for."""
    source, target = pair_of(entry)
    if source is None or target is None:
        return printable(entry["nodes"] or "no pair")
    return printable(f"{source} → {target}{moved(entry)}")


def own_test(entry: Mapping[str, Any]) -> str | None:
    """The test that measured the pair; None for the own check, which has no other name."""
    return None if is_own_check(entry) else printable(test_name(entry))


def what(entry: Mapping[str, Any]) -> str | None:
    """What failed in few words, with the limit beside what broke it; None where only the reason says that."""
    is_short = entry["failureKind"] in ("connectivity", "loss", "latency", "gap")
    return printable(what_failed(entry)) if is_short else None


def reason(entry: Mapping[str, Any]) -> str | None:
    """Why it failed, without the stage."""
    return printable(STAGE.sub("", entry["failureReason"])) if entry["failureReason"] else None


def plural(count: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
