"""The document's part of the JUnit file that pytest writes.

pytest has no public way to it but properties, which only a test can add. What it keeps until it writes the file is one
object for each case, of which only ``to_xml`` is asked: all versions from 8.0 on have that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from _pytest.junitxml import xml_key

from pytest_kvlatency.report.junit.cases import address, amended, attempts_of, case
from pytest_kvlatency.report.junit.properties import suite_properties
from pytest_kvlatency.report.junit.suite import counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree import ElementTree as ET

    import pytest


@dataclass(frozen=True)
class _Case:
    """A case as pytest's writer keeps it."""

    element: ET.Element

    def to_xml(self) -> ET.Element:
        return self.element


def complete(config: pytest.Config, document: Mapping[str, Any]) -> None:
    """Where pytest writes a JUnit file, give the suite its properties, and have the document's cases say all of it."""
    junit: Any = config.stash.get(xml_key, None)
    if junit is None:
        return
    for name, value in suite_properties(document):
        junit.add_global_property(name, value)
    made = merged([one.to_xml() for one in junit.node_reporters_ordered], document, prefix=junit.prefix)
    junit.node_reporters_ordered[:] = map(_Case, made)
    count = counts(made)
    told = {"error": count["errors"], "failure": count["failures"], "skipped": count["skipped"]}
    # The rest: pytest gives their sum as the number of tests.
    junit.stats.update(told, passed=count["tests"] - sum(told.values()))
    junit.cnt_double_fail_tests = 0


def merged(
    cases: Sequence[ET.Element], document: Mapping[str, Any], *, prefix: str | None
) -> list[ET.Element]:
    """The cases of a run: those of the document one for each test, at the end those that pytest has none of."""
    found: dict[tuple[str, str], list[ET.Element]] = {}
    for element in cases:
        found.setdefault((element.get("classname", ""), element.get("name", "")), []).append(element)
    attempts = {
        address(nodeid, prefix): several for nodeid, several in attempts_of(document["measurements"]).items()
    }
    made = []
    for key, elements in found.items():
        made += [amended(elements, attempts[key])] if key in attempts else elements
    return [*made, *(case(several, prefix) for key, several in attempts.items() if key not in found)]
