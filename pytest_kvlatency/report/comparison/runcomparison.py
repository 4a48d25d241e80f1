"""What a whole run, or the whole of a plan's shards, says of its comparison with the baseline. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.model import some
from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.comparison.comparator import NAMES, NEW
from pytest_kvlatency.report.entries import pair
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]


def merged_facts(parts: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The ``baseline`` of a plan from those of its shards; None where these were not compared with the same one."""
    first, *others = parts
    same = ("startTimestamp", "maxRegressionPercent")
    if first is None or not all(
        one is not None and all(one[key] == first[key] for key in same) for one in others
    ):
        return None
    known = [one for one in parts if one is not None]
    new = dict.fromkeys(pair for one in known for pair in one["newPairs"])
    vanished = [pair for pair in first["vanishedPairs"] if all(pair in one["vanishedPairs"] for one in known)]
    return {**first, "newPairs": sorted(new, key=natural_key), "vanishedPairs": vanished}


def notes(facts: Mapping[str, Any] | None, entries: Iterable[Entry], *, is_shard: bool = False) -> list[str]:
    """What a reader should know of the comparison, from the document's ``baseline`` and measurements.

    Of a shard nothing is said to have vanished: others have it.
    """
    if facts is None:
        return []
    entries = list(entries)
    compared = [one for one in last_attempts(entries) if (one.get("comparison") or {}).get("p50")]
    slower = sum(_has_become(one, slower=True) for one in compared)
    faster = sum(_has_become(one, slower=False) for one in compared)
    baseline = f"{facts['file']} ({facts['startTimestamp']})"
    what = f"{len(compared)} {'pair' if len(compared) == 1 else 'pairs'}"
    told = f"compared with {baseline}: of {what} {slower} slower, {faster} faster{_worst(compared)}"
    found = [told if compared else f"nothing of this run could be compared with {baseline}"]
    others = [one["comparison"]["reason"] for one in last_attempts(entries) if _is_incomparable(one)]
    found += dict.fromkeys(others)
    for key, words in (
        ("newPairs", "not in the baseline"),
        ("vanishedPairs", "in the baseline, and not in this run"),
    ):
        if facts[key] and not (is_shard and key == "vanishedPairs"):
            found.append(f"{words}: {some(facts[key], 3)}")
    return found


def _has_become(entry: Entry, *, slower: bool) -> bool:
    """Whether a percentile has changed so, by more than noise; what is slower in one of them is not faster."""
    found = [one for name in NAMES if (one := entry["comparison"][name]) and one["significant"]]
    is_slower = any((one["deltaPercent"] or 0) > 0 for one in found)
    return is_slower if slower else bool(found) and not is_slower


def _worst(compared: Sequence[Entry]) -> str:
    slower = [
        (one["deltaPercent"] or 0, f"{entry['nad']} {pair(entry)}: {name} {one['deltaPercent']:+.3g}%")
        for entry in compared
        for name in NAMES
        if (one := entry["comparison"][name]) and one["significant"] and (one["deltaPercent"] or 0) > 0
    ]
    return f"; most {max(slower, key=lambda one: one[0])[1]}" if slower else ""


def _is_incomparable(entry: Entry) -> bool:
    comparison = entry.get("comparison") or {}
    return "reason" in comparison and comparison["p50"] is None and comparison["reason"] != NEW
