"""The document as JUnit properties: of a case (where, under which limits, the numbers), and of the suite. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_xml
from pytest_kvlatency.report.gapnumbers import GAPS, gaps_of
from pytest_kvlatency.report.numbers import SAMPLE_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS: Final = (*SAMPLE_NUMBERS, "warmupSeconds")
#: What says which measurement it is, and how it ended.
FACTS: Final = ("nad", "sourceNode", "targetNode", "attempt", "failureKind")
#: The gaps by their properties' names, and where a guest migrated.
_GAPS: Final = {f"{name}NanoSec": name for name in GAPS}
_DESTINATION: Final = "migrationTargetNode"
_LIMITS: Final = "limits"
_COMPARISON: Final = "comparison"


def item_properties(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers of a case as decimals, from ``numbers_of`` its measurement or its part of the document."""
    return [(name, _decimal(numbers[name])) for name in NUMBERS if numbers.get(name) is not None]


def case_properties(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All properties of a case, from its part of the document; what is unknown is left out."""
    facts = [(name, for_xml(str(entry[name]))) for name in FACTS if entry.get(name) is not None]
    limits, gaps = entry.get(_LIMITS) or {}, gaps_of(entry)
    destination = (entry.get("migration") or {}).get("targetNode")
    return [
        *facts,
        *([] if destination is None else [(_DESTINATION, for_xml(destination))]),
        *item_properties(entry),
        *((name, _decimal(value)) for name, gap in _GAPS.items() if (value := gaps[gap]) is not None),
        *((f"{_LIMITS}.{name}", _decimal(value)) for name, value in limits.items() if value is not None),
        *(
            (f"{_COMPARISON}.{name}.{key}", _decimal(change[key]))
            for name, change in (entry.get(_COMPARISON) or {}).items()
            if isinstance(change, dict)
            for key in ("baselineNanoSec", "deltaPercent")
            if change[key] is not None
        ),
    ]


def is_own(name: str) -> bool:
    """Whether a case's property has one of the names that this module gives."""
    is_number = name in NUMBERS or name in _GAPS
    return (
        is_number
        or name in FACTS
        or name == _DESTINATION
        or name.startswith((f"{_LIMITS}.", f"{_COMPARISON}."))
    )


def suite_properties(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The suite's properties: the run's verdict with its reason, the notes, and the cluster."""
    properties = [("succeeded", "true" if document["succeeded"] else "false")]
    if document["failureReason"]:
        properties.append(("failureReason", for_xml(document["failureReason"])))
    if document["notes"]:
        properties.append(("notes", for_xml("; ".join(document["notes"]))))
    return [*properties, *_flat("cluster", document["cluster"] or {})]


def _flat(prefix: str, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as properties; what is unknown is left out."""
    properties: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            properties += _flat(f"{prefix}.{name}", value)
        elif value is not None:
            properties.append((for_xml(f"{prefix}.{name}"), for_xml(str(value))))
    return properties


def _decimal(value: float) -> str:
    """Without an exponent, so that every reader takes it for a number."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.6f}".rstrip("0").rstrip(".")
