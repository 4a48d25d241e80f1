"""What a document must be for reports to be made of it, and what older versions did not write yet. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, get_args

from pytest_kvlatency.model import FindingOutcome, Outcome
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.command.kinds import (
    FLAG,
    MOMENT,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    WHOLES,
    Kind,
    list_of,
    object_of,
    one_of,
    values_of,
)
from pytest_kvlatency.report.document import SCHEMA
from pytest_kvlatency.report.faults import shortfall_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOLD: Final = 5
_TEXT, _NUMBER, _WHOLE, _FLAG = TEXT.or_null(), NUMBER.or_null(), WHOLE.or_null(), FLAG.or_null()
_FINDING: Final = object_of(
    {
        **dict.fromkeys(("check", "subject", "message", "hint"), TEXT),
        "outcome": one_of(get_args(FindingOutcome)),
    }
)
_SETTING: Final = object_of(
    {
        "option": TEXT,
        "value": Kind(
            words="text or a list of texts",
            fits=lambda one: isinstance(one, str) or not any(TEXTS.flaws(one, "")),
        ),
        "source": TEXT,
    }
)
_CAUSE: Final = object_of(
    {
        **dict.fromkeys(("kind", "stage", "sentence"), TEXT),
        **dict.fromkeys(("node", "pair", "network", "advice"), _TEXT),
        **dict.fromkeys(("measurements", "networks"), TEXTS),
    }
)
_FAULT: Final = object_of(
    {
        **dict.fromkeys(("kind", "stage", "sentence"), TEXT),
        **dict.fromkeys(("node", "network", "advice"), _TEXT),
    }
)
_PLAN: Final = object_of({"digest": TEXT, "shard": _TEXT, "pairs": WHOLE, "shardPairs": WHOLE, "nads": TEXTS})
_LAB: Final = object_of({"guests": TEXT, "timeScale": _NUMBER}, newer={"timeScale"})
_CLUSTER: Final = object_of(
    {
        **dict.fromkeys(("server", "kubernetesVersion", "kubevirtVersion", "context"), _TEXT),
        "lab": _LAB.or_null(),
    },
    newer={"context"},
)
_CHANGE: Final = object_of(dict.fromkeys(("baselineNanoSec", "deltaPercent"), _NUMBER)).or_null()
_COMPARISON: Final = object_of(
    {
        **dict.fromkeys(("p50", "p90", "p99"), _CHANGE),
        **dict.fromkeys(("significant", "regressed"), _FLAG),
        "reason": _TEXT,
    }
)
_LIMITS: Final = object_of(
    {
        **dict.fromkeys(("maxLatencyNanoSec", "maxAvgLatencyNanoSec", "maxP99LatencyNanoSec"), _WHOLE),
        "maxLossPercent": _NUMBER,
    }
)
_PING: Final = object_of(
    {
        **dict.fromkeys(("sampleDurationSec", "intervalSec"), NUMBER),
        **dict.fromkeys(("packetSizeBytes", "warmup"), WHOLE),
        "dontFragment": FLAG,
    }
)
_TIMINGS: Final = object_of(dict.fromkeys(("create", "running", "login", "measure", "delete"), _NUMBER))
_GUEST: Final = object_of({"profile": TEXT, "image": _TEXT})
_BASELINE: Final = object_of(
    {
        "file": _TEXT,
        "startTimestamp": TEXT,
        "maxRegressionPercent": _NUMBER,
        **dict.fromkeys(("newPairs", "vanishedPairs"), TEXTS),
    }
)
#: What older versions did not write of a measurement, and what stands for it.
NEWER_OF_ENTRIES: Final[Mapping[str, object]] = {
    "guest": None, "failedNode": None, "advice": None, "failures": [], "startTimestamp": None, "round": None,
    "lostSequence": None, "comparison": None,
}  # fmt: skip
NEWER_OF_EXTRA: Final = {name: value for name, value in NEWER_OF_ENTRIES.items() if name != "comparison"}
_MEASURED: Final = {
    **dict.fromkeys(
        (
            "nad", "nodes", "binding", "sourceNode", "targetNode", "sourceVmi", "targetVmi", "sourceAddress",
            "targetAddress", "failureKind", "failureReason", "transcript", "failedNode", "advice", "startTimestamp",
        ),
        _TEXT,
    ),
    **dict.fromkeys(
        (
            "transmitted", "received", "duplicates", "late", "errors", "round", "minLatencyNanoSec",
            "avgLatencyNanoSec", "maxLatencyNanoSec", "p50LatencyNanoSec", "p90LatencyNanoSec", "p99LatencyNanoSec",
            "stddevLatencyNanoSec",
        ),
        _WHOLE,
    ),
    **dict.fromkeys(("lossPercent", "measurementDurationSec", "warmupSeconds"), _NUMBER),
    "succeeded": FLAG,
    "softwareEmulation": _FLAG,
    "notes": TEXTS,
    "failures": list_of(_FAULT, "failures"),
    "samplesNanoSec": WHOLES.or_null(),
    "lostSequence": WHOLES.or_null(),
    "guest": _GUEST.or_null(),
    "limits": _LIMITS.or_null(),
    "timings": _TIMINGS.or_null(),
    "ping": _PING.or_null(),
}  # fmt: skip
_ENTRY: Final = object_of(
    {
        "nodeid": TEXT,
        "outcome": one_of(get_args(Outcome)),
        "attempt": WHOLE,
        **_MEASURED,
        "comparison": _COMPARISON.or_null(),
        "extra": list_of(object_of(_MEASURED, newer=NEWER_OF_ENTRIES), "measurements"),
        "transcriptFile": _TEXT,
    },
    newer=NEWER_OF_ENTRIES,
)
#: What older versions did not write of a run, and what stands for it.
NEWER: Final[Mapping[str, object]] = {
    "notes": [], "namespace": None, "settings": {}, "preflight": None, "swept": None, "baseline": None,
}  # fmt: skip
_DOCUMENT: Final = object_of(
    {
        "tool": values_of(TEXT, "an object"),
        **dict.fromkeys(("startTimestamp", "completionTimestamp"), MOMENT),
        "succeeded": FLAG,
        **dict.fromkeys(("failureReason", "namespace"), _TEXT),
        "notes": TEXTS,
        "settings": values_of(_SETTING, "an object"),
        "cluster": _CLUSTER.or_null(),
        "plan": _PLAN.or_null(),
        "preflight": list_of(_FINDING, "findings").or_null(),
        "swept": TEXTS.or_null(),
        "causes": list_of(_CAUSE, "causes"),
        "measurements": list_of(_ENTRY, "measurements"),
        "baseline": _BASELINE.or_null(),
    },
    newer={*NEWER, "causes"},
)


def flaw(document: object) -> str:
    """Why reports cannot be made of what a file holds; empty where they can. What follows the name of the file."""
    if not isinstance(document, dict) or "schema" not in document:
        return "is not a document of pytest-kvlatency: expected what --kv-json wrote"
    if document["schema"] != SCHEMA:
        return f"has the schema {document['schema']!r}: expected {SCHEMA!r}"
    found = list(islice(_DOCUMENT.flaws(document, ""), _TOLD + 1))
    if not found:
        return ""
    return f"is not a whole document: {'; '.join(found[:_TOLD])}{' …' if len(found) > _TOLD else ''}"


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with everything that the newest version writes; what an older one did not is null, or empty."""
    entries = [_completed_entry(entry) for entry in document["measurements"]]
    made = {**_filled(document, NEWER), "measurements": entries}
    return made if "causes" in made else {**made, "causes": _causes(made)}


def _causes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The causes of an older document: those of its measurements, else all that it says of the run."""
    reason = document["failureReason"]
    found = find_causes(document["measurements"])
    return found or find_causes((), [shortfall_of(reason)] if reason else [])


def _completed_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    beyond = [_filled(one, NEWER_OF_EXTRA) for one in entry["extra"]]
    return {**_filled(entry, NEWER_OF_ENTRIES), "extra": beyond}


def _filled(given: Mapping[str, Any], newer: Mapping[str, object]) -> dict[str, Any]:
    return {**given, **{name: value for name, value in newer.items() if name not in given}}
