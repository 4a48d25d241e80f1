"""The document's measurements as the page's script reads them: once, compact, and with harmless texts. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import harmless, printable
from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.entries import broken_limits, fixture_of, own_parameters
from pytest_kvlatency.report.page.entry import own_test, pair_id, pair_of, pair_text, reason, what
from pytest_kvlatency.report.page.hyperlinks import link
from pytest_kvlatency.report.page.phases import bands
from pytest_kvlatency.report.places import is_move

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.report.page.heat import Heat

_NUMBERS: Final = {
    "sent": "transmitted",
    "received": "received",
    "duplicates": "duplicates",
    "late": "late",
    "errors": "errors",
    "loss": "lossPercent",
    "min": "minLatencyNanoSec",
    "avg": "avgLatencyNanoSec",
    "p50": "p50LatencyNanoSec",
    "p90": "p90LatencyNanoSec",
    "p99": "p99LatencyNanoSec",
    "max": "maxLatencyNanoSec",
    "deviation": "stddevLatencyNanoSec",
    "seconds": "measurementDurationSec",
    "warmup": "warmupSeconds",
}


def payload(
    document: Mapping[str, Any], heats: Sequence[Heat], *, folder: Path | None
) -> tuple[dict[str, Any], list[str]]:
    """All that the script draws, and the transcripts, each once.

    ``unit`` times a sample gives nanoseconds; what a key would say twice has an index, and so have transcripts.
    """
    tables = _Tables(document)
    data = {
        "unit": tables.unit,
        "causes": _causes(document),
        "entries": [_entry(one, tables, folder) for one in document["measurements"]],
        "networks": tables.networks.values,
        "pings": tables.pings.values,
        "limits": tables.limits.values,
        "guests": tables.guests.values,
        "heats": [_heat(heat) for heat in heats],
    }
    return data, [harmless(text) for text in tables.transcripts.values]


def as_json(data: object) -> str:
    """JSON in ASCII, in which nothing can end or begin an element of HTML."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Distinct:
    """Values that occur often, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self.values: list[Any] = []

    def index(self, value: Any) -> int | None:
        """The value's place; None for none."""
        if value is None:
            return None
        place = self._places.setdefault(json.dumps(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


class _Tables:
    """What the entries share."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.networks, self.pings, self.limits, self.guests, self.transcripts = (
            _Distinct() for _ in range(5)
        )
        entries = document["measurements"]
        causes = causes_of(document)
        #: What is wrong with an item in the words of its cause, which are shorter than its reason.
        self.sentences = {
            nodeid: printable(one["sentence"]) for one in causes for nodeid in one["measurements"]
        }
        samples = (
            value
            for one in entries
            for part in (one, *one["extra"])
            for value in part["samplesNanoSec"] or ()
        )
        self.unit = math.gcd(*samples) or 1


def _entry(entry: Mapping[str, Any], tables: _Tables, folder: Path | None) -> dict[str, Any]:
    source, target = pair_of(entry)
    shown = {
        "id": pair_id(entry),
        "test": own_test(entry),
        "nodeid": printable(entry["nodeid"]),
        "outcome": entry["outcome"],
        "attempt": entry["attempt"],
        "pair": pair_text(entry),
        "source": None if source is None else printable(source),
        "target": None if target is None else printable(target),
        "what": what(entry) or (tables.sentences.get(entry["nodeid"]) if entry["failureReason"] else None),
        "advice": [printable(line) for line in (entry.get("advice") or "").splitlines()] or None,
        "limits": tables.limits.index(entry["limits"]),
        "file": link(entry["transcriptFile"], folder),
        **_measured(entry, tables),
        "extra": [_extra(one, entry, tables) for one in entry["extra"]] or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _extra(measured: Mapping[str, Any], entry: Mapping[str, Any], tables: _Tables) -> dict[str, Any]:
    """What a test measured beyond, with what its ping was asked for otherwise."""
    return {
        "fixture": fixture_of(measured),
        "differs": own_parameters(measured, entry),
        **_measured(measured, tables),
    }


def _measured(entry: Mapping[str, Any], tables: _Tables) -> dict[str, Any]:
    samples = entry["samplesNanoSec"]
    shown = {
        "network": tables.networks.index(None if entry["nad"] is None else printable(entry["nad"])),
        "kind": entry["failureKind"],
        "reason": reason(entry),
        **{name: entry.get(key) for name, key in _NUMBERS.items()},
        "samples": [value // tables.unit for value in samples] if samples else None,
        "lost": entry.get("lostSequence"),
        "gap": _gap(entry.get("longestGap")),
        "resolution": entry.get("gapResolutionNanoSec"),
        **_move(entry),
        "start": entry.get("startTimestamp"),
        "round": entry.get("round"),
        "guest": tables.guests.index(entry.get("guest")),
        "vmis": _both(entry, "sourceVmi", "targetVmi"),
        "addresses": _both(entry, "sourceAddress", "targetAddress"),
        "binding": entry["binding"],
        "ping": tables.pings.index(entry["ping"]),
        "timings": _timings(entry["timings"]),
        "emulated": entry["softwareEmulation"] or None,
        "notes": [printable(note) for note in entry["notes"]] or None,
        "comparison": entry.get("comparison"),
        "transcript": tables.transcripts.index(entry["transcript"] or None),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _gap(gap: Mapping[str, Any] | None) -> list[int] | None:
    """Length and begin in nanoseconds, and how many pings of it were lost."""
    return None if gap is None else [gap["nanoSec"], gap["beginsNanoSec"], gap["lost"]]


def _move(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The migration of the target, when each reply came (in microseconds), and which numbers broke their limits.

    A migration's own loss and late replies are beyond no limit: it does not do to compare the numbers.
    """
    if not is_move(entry):
        return {}
    found: dict[str, Any] = {"broken": [broken.name for broken in broken_limits(entry)]}
    migration = entry.get("migration")
    if migration is None:
        return found
    created = migration["createdNanoSec"] or 0
    return {
        **found,
        "arrivals": [at // 1000 for at in entry.get("repliesNanoSec") or ()] or None,
        "move": {
            "name": printable(migration["name"]),
            "from": printable(migration["sourceNode"]),
            "to": printable(migration["targetNode"] or ""),
            "ok": migration["succeeded"],
            "reason": printable(migration["failureReason"] or ""),
            "mode": printable(migration["mode"] or ""),
            "created": created,
            "ended": migration["endedNanoSec"],
            "error": migration["clockErrorNanoSec"],
            "bands": [[one.name, one.look, one.start, one.end] for one in bands(migration)],
            "stamps": [printable(one["timestamp"] or "") for one in migration["phases"]],
            "unsure": [one["seenNanoSec"] - one["notBeforeNanoSec"] for one in migration["phases"]],
            "preparation": _gap(migration["preparationGap"]),
            "switchover": _gap(migration["switchoverGap"]),
            "before": _mean(migration["rttBefore"]),
            "after": _mean(migration["rttAfter"]),
            "lost": migration["lostInGaps"],
        },
    }


def _mean(times: Mapping[str, Any] | None) -> int | None:
    return None if times is None else times["avgNanoSec"]


def _both(entry: Mapping[str, Any], source: str, target: str) -> list[str] | None:
    if entry[source] is None or entry[target] is None:
        return None
    return [printable(entry[source]), printable(entry[target])]


def _timings(timings: Mapping[str, float | None] | None) -> dict[str, float] | None:
    return {name: round(value, 2) for name, value in (timings or {}).items() if value is not None} or None


def _causes(document: Mapping[str, Any]) -> list[list[int]]:
    """The places of the entries that each cause concerns: of each item the last attempt."""
    last = {entry["nodeid"]: place for place, entry in enumerate(document["measurements"])}
    return [
        [last[nodeid] for nodeid in cause["measurements"] if nodeid in last] for cause in causes_of(document)
    ]


def _heat(heat: Heat) -> dict[str, Any]:
    """Text and class of each pair in each metric, in the order of ``pairs``; and each metric's legend."""
    places = list(heat.indexes)
    return {
        "pairs": [heat.indexes[place] for place in places],
        "metrics": {
            name: {"cells": [list(shading.cells[place]) for place in places], "legend": shading.legend}
            for name, shading in heat.shadings.items()
        },
    }
