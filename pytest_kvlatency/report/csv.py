"""The document as a table for spreadsheets (RFC 4180): a row for each measurement. Pure.

The columns have the document's names; what is inside of something else is joined by a dot. What was not measured is
empty, never 0. Samples, phases and transcripts, which no cell holds, are left out.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import harmless
from pytest_kvlatency.report.numbers import SAMPLE_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Of the item; of what its test measured beyond (``extra``) too, which has no attempt and outcome of its own.
_OF_ITEM: Final = ("nodeid", "attempt", "outcome")
#: Whether a row is one of those: empty for the measurement itself, else its number in ``extra``, from 1.
_EXTRA: Final = "extra"


def _gap(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{one}" for one in ("nanoSec", "beginsNanoSec", "lost"))


def _times(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{one}" for one in ("count", "minNanoSec", "avgNanoSec", "maxNanoSec"))


_COLUMNS: Final = (
    "nad", "nodes", "sourceNode", "targetNode", "failedNode", "succeeded", "failureKind", "failureReason", "advice",
    "startTimestamp", "round", *SAMPLE_NUMBERS, "late", "errors", "warmupSeconds", "lostSequence",
    "limits.maxLatencyNanoSec", "limits.maxAvgLatencyNanoSec", "limits.maxP99LatencyNanoSec", "limits.maxLossPercent",
    "limits.maxGapNanoSec",
    *_gap("longestGap"), "gapResolutionNanoSec",
    *(
        f"migration.{name}"
        for name in (
            "name", "sourceNode", "requestedNode", "targetNode", "succeeded", "failureReason", "mode",
            "createdTimestamp", "createdNanoSec", "endedNanoSec", "clockErrorNanoSec",
            *_gap("preparationGap"), *_gap("switchoverGap"), *_times("rttBefore"), *_times("rttAfter"), "lostInGaps",
        )
    ),
    "ping.sampleDurationSec", "ping.intervalSec", "ping.packetSizeBytes", "ping.dontFragment", "ping.warmup",
    *(
        f"comparison.{quantile}.{name}"
        for quantile in ("p50", "p90", "p99")
        for name in ("baselineNanoSec", "deltaPercent", "significant", "regressed")
    ),
    "comparison.significant", "comparison.regressed", "comparison.maxRegressionPercent", "comparison.reason",
    "timings.create", "timings.running", "timings.login", "timings.measure", "timings.delete",
    "guest.profile", "guest.image", "binding", "sourceVmi", "targetVmi", "sourceAddress", "targetAddress",
    "softwareEmulation", "notes", "transcriptFile",
)  # fmt: skip
COLUMNS: Final = (*_OF_ITEM, _EXTRA, *_COLUMNS)
#: What makes a cell a formula, also behind spaces.
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - as they are typed in East Asia
_CONTROLS: Final = ("\t", "\r", "\n")


def render(document: Mapping[str, Any]) -> str:
    """The table, with a line of names; lines end with CRLF."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for entry in document["measurements"]:
        writer.writerows(_rows(entry))
    return text.getvalue()


def _rows(entry: Mapping[str, Any]) -> Iterator[list[str]]:
    head = [_cell(entry[name]) for name in _OF_ITEM]
    yield [*head, "", *_cells(entry)]
    for number, extra in enumerate(entry["extra"], 1):
        yield [*head, str(number), *_cells(extra)]


def _cells(measured: Mapping[str, Any]) -> list[str]:
    return [_cell(_value(measured, name)) for name in _COLUMNS]


def _value(measured: Mapping[str, Any], name: str) -> object:
    value: Any = measured
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _cell(value: object) -> str:
    """A value as a cell shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        texts = [one for one in value if isinstance(one, str)]
        return _text("; ".join(texts)) if texts else " ".join(map(str, value))
    return _text(str(value))


def _text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe in front makes it text, which is not shown."""
    shown = harmless(text)
    is_formula = shown.lstrip().startswith(_FORMULA) or text.startswith(_CONTROLS)
    return f"'{shown}" if is_formula else shown
