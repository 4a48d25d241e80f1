"""The document as changes to a checkup's ConfigMap. Pure: a value of None removes its key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report.document import timestamp
from pytest_kvlatency.report.gapnumbers import gap_milliseconds, gaps_of
from pytest_kvlatency.report.numbers import SAMPLE_NUMBERS
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

START_KEY: Final = "status.startTimestamp"
COMPLETION_KEY: Final = "status.completionTimestamp"
RESULT_PREFIX: Final = "status.result."
MEASUREMENTS_KEY: Final = "status.result.measurements"
NOTES_KEY: Final = "status.result.notes"
REASON_KEY: Final = "status.failureReason"
END_KEYS: Final = (COMPLETION_KEY, "status.succeeded", REASON_KEY)
#: Keys of the worst pair, and where the document has them; integers.
_NUMBERS: Final = {
    **{
        f"{RESULT_PREFIX}{name}LatencyNanoSec": f"{name}LatencyNanoSec"
        for name in ("min", "avg", "max", "p50", "p90", "p99")
    },
    f"{RESULT_PREFIX}packetsTransmitted": "transmitted",
    f"{RESULT_PREFIX}packetsReceived": "received",
}
_LISTED: Final = (
    "nad",
    "nodes",
    "binding",
    "sourceNode",
    "targetNode",
    "succeeded",
    "outcome",
    "failureKind",
    "failureReason",
    *SAMPLE_NUMBERS,
)
#: An object of Kubernetes holds about 1 MiB; the list takes at most half of it, and all reasons far less.
LIST_BYTES: Final = 512 * 1024
REASON_CHARACTERS: Final = 16 * 1024
#: Of a reason where there is hardly any room, and the whole of it where there is still less.
_LEAST_CHARACTERS: Final = 1024
NO_ROOM: Final = "teardown: no room for the result"
_SEVERITY: Final = {"connectivity": 5, "loss": 4, "gap": 3, "latency": 2}


def start_changes(now: datetime, existing_keys: Iterable[str]) -> dict[str, str | None]:
    """What the start writes: its time; and every result of an earlier run is removed."""
    changes: dict[str, str | None] = {
        key: None for key in existing_keys if key.startswith(RESULT_PREFIX) or key in END_KEYS
    }
    changes[START_KEY] = timestamp(now)
    return changes


def final_changes(document: Mapping[str, Any]) -> dict[str, str | None]:
    """What the end writes. A number that was not measured is removed, never 0."""
    entries = last_attempts(document["measurements"])
    changes: dict[str, str | None] = {
        START_KEY: document["startTimestamp"],
        COMPLETION_KEY: document["completionTimestamp"],
        "status.succeeded": "true" if document["succeeded"] else "false",
        REASON_KEY: _shortened(document["failureReason"] or ""),
    }
    worst = worst_of(entries) or {}
    for key, name in _NUMBERS.items():
        value = worst.get(name)
        changes[key] = None if value is None else str(value)
    duration, loss = worst.get("measurementDurationSec"), worst.get("lossPercent")
    changes["status.result.measurementDurationSec"] = None if duration is None else str(round(duration))
    changes["status.result.packetLossPercent"] = None if loss is None else _decimal(loss)
    for key, fact in _gap_facts(worst).items():
        changes[f"{RESULT_PREFIX}{key}"] = None if fact is None else str(fact)
    changes["status.result.sourceNode"] = _where_it_ran(worst, "source")
    changes["status.result.targetNode"] = _where_it_ran(worst, "target")
    changes[MEASUREMENTS_KEY] = _list(entries) if len(entries) > 1 else None
    changes[NOTES_KEY] = json.dumps(document["notes"]) if document["notes"] else None
    return changes


def smaller_changes(changes: Mapping[str, str | None], trouble: str) -> list[dict[str, str | None]]:
    """What to write in the place of an end that does not fit: without the list, the outcome alone, hardly a reason.

    Where not even that fits, it is all four keys, shorter and shorter, down to a dozen bytes. The start took more, so
    where there was room for that the last one fits. The checkup has failed then, and ``trouble`` says why; a client
    that waits for the status still gets one.
    """
    reason = "; ".join(filter(None, [changes.get(REASON_KEY), trouble]))
    if len(reason) > _LEAST_CHARACTERS:
        reason = trouble
    failed = {**changes, "status.succeeded": "false", REASON_KEY: reason}
    outcome = {key: None if key.startswith(RESULT_PREFIX) else value for key, value in failed.items()}
    without_list = [] if changes.get(MEASUREMENTS_KEY) is None else [{**failed, MEASUREMENTS_KEY: None}]
    return [
        *without_list,
        outcome,
        {**outcome, REASON_KEY: NO_ROOM},
        {**outcome, REASON_KEY: ""},
        {**outcome, REASON_KEY: "", START_KEY: ""},
        {**outcome, REASON_KEY: "no room", START_KEY: "", COMPLETION_KEY: ""},
    ]


def worst_of(entries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The pair whose numbers the plain keys hold; None without any.

    Measured before not measured; then by cause: connectivity, loss, gap, latency, any other, none; then the highest
    maximum; then the first.
    """
    return max(entries, key=_badness, default=None)


def _badness(entry: Mapping[str, Any]) -> tuple[bool, int, int]:
    kind = entry["failureKind"]
    severity = 0 if kind is None else _SEVERITY.get(kind, 1)
    return entry["transmitted"] is not None, severity, entry["maxLatencyNanoSec"] or 0


def _list(entries: Iterable[Mapping[str, Any]]) -> str:
    """All pairs, the worst first: when the list must be cut, it loses the best, and its last element counts them."""
    ordered = sorted(entries, key=_badness, reverse=True)
    parts: list[str] = []
    # Two brackets, and a last element such as {"cut":123456}.
    size = 2 + 24
    for index, entry in enumerate(ordered):
        short = {name: entry[name] for name in _LISTED}
        short |= {f"{end}Node": _where_it_ran(entry, end) for end in ("source", "target")}
        short |= {key: fact for key, fact in _gap_facts(entry).items() if fact is not None}
        short["failureReason"] = short["failureReason"] and _shortened(short["failureReason"])
        part = json.dumps(short, separators=(",", ":"))
        size += len(part) + 1
        if size >= LIST_BYTES:
            parts.append(json.dumps({"cut": len(ordered) - index}, separators=(",", ":")))
            break
        parts.append(part)
    return f"[{','.join(parts)}]"


def _gap_facts(entry: Mapping[str, Any]) -> dict[str, int | str | None]:
    """The gaps of a pair; of a migration also what was lost in them, and where the VM was in the end."""
    migration = entry.get("migration") or {}
    lengths = {
        gap: None if length is None else gap_milliseconds(length) for gap, length in gaps_of(entry).items()
    }
    return {
        **{f"{gap}MilliSec": length for gap, length in lengths.items()},
        "packetsLostInGaps": migration.get("lostInGaps"),
        "migrationTargetNode": migration.get("targetNode"),
    }


def _where_it_ran(entry: Mapping[str, Any], end: str) -> str | None:
    """The node of a guest that came up: the ConfigMap's readers take it for where the VMI really ran."""
    return entry[f"{end}Node"] if entry.get(f"{end}Vmi") is not None else None


def _shortened(text: str) -> str:
    if len(text) <= REASON_CHARACTERS:
        return text
    return f"{text[:REASON_CHARACTERS]} [{len(text) - REASON_CHARACTERS} characters cut]"


def _decimal(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
