"""The document as JUnit properties: of a case (plain numbers), and of the suite (the verdict, and the cluster)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from _pytest.junitxml import xml_key

from pytest_kvlatency.escape import for_xml
from pytest_kvlatency.report.numbers import SAMPLE_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

NUMBERS: Final = (*SAMPLE_NUMBERS, "warmupSeconds")


def item_properties(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A case's properties as decimal numbers, from ``numbers_of`` its measurement or its part of the document."""
    return [(name, _decimal(numbers[name])) for name in NUMBERS if numbers.get(name) is not None]


def cluster_properties(cluster: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The document's ``cluster`` as properties; what is unknown is left out."""
    return _flat("cluster", cluster or {})


def suite_properties(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The suite's properties: the run's verdict with its reason, the notes, and the cluster."""
    properties = [("succeeded", "true" if document["succeeded"] else "false")]
    if document["failureReason"]:
        properties.append(("failureReason", for_xml(document["failureReason"])))
    if document["notes"]:
        properties.append(("notes", for_xml("; ".join(document["notes"]))))
    return [*properties, *cluster_properties(document["cluster"])]


def describe_suite(config: pytest.Config, document: Mapping[str, Any]) -> None:
    """Give the suite its properties, where pytest writes a JUnit file."""
    # The public way to it is a fixture, which only a test could ask for.
    junit = config.stash.get(xml_key, None)
    if junit is not None:
        for name, value in suite_properties(document):
            junit.add_global_property(name, value)


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
