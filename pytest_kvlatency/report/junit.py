"""The document as JUnit properties: of a case (plain numbers), and of the suite (facts of the cluster)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report.escape import for_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS: Final = (
    "transmitted",
    "received",
    "duplicates",
    "lossPercent",
    "minLatencyNanoSec",
    "avgLatencyNanoSec",
    "maxLatencyNanoSec",
    "p50LatencyNanoSec",
    "p90LatencyNanoSec",
    "p99LatencyNanoSec",
    "stddevLatencyNanoSec",
    "measurementDurationSec",
    "warmupSeconds",
)


def item_properties(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A case's properties from its part of the document: what was measured, as decimal numbers."""
    return [(name, _decimal(entry[name])) for name in NUMBERS if entry.get(name) is not None]


def suite_properties(cluster: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The suite's properties from the document's ``cluster``; what is unknown is left out."""
    return _flat("cluster", cluster or {})


def _flat(prefix: str, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
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
