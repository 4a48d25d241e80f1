"""The document as a whole JUnit file, made offline. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from pytest_kvlatency.report.junit.cases import attempts_of, case, without_properties
from pytest_kvlatency.report.junit.properties import suite_properties
from pytest_kvlatency.report.schema import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def render(document: Mapping[str, Any], *, has_case_properties: bool = True) -> str:
    """The file that pytest would have written of the run that the document is of (``junit_family=xunit2``)."""
    cases = [case(attempts) for attempts in attempts_of(document["measurements"]).values()]
    if not has_case_properties:
        cases = [without_properties(one) for one in cases]
    start, end = (moment(document[name]) for name in ("startTimestamp", "completionTimestamp"))
    suite = ET.Element(
        "testsuite",
        {
            "name": "pytest",
            **{name: str(count) for name, count in counts(cases).items()},
            "time": f"{(end - start).total_seconds():.3f}",
            "timestamp": start.isoformat(),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in suite_properties(document):
        ET.SubElement(properties, "property", {"name": name, "value": value})
    suite.extend(cases)
    root = ET.Element("testsuites", {"name": "pytest tests"})
    root.append(suite)
    return f'<?xml version="1.0" encoding="utf-8"?>{ET.tostring(root, encoding="unicode")}\n'


def counts(cases: Iterable[ET.Element]) -> dict[str, int]:
    """A suite's counts of its cases: ``errors``, ``failures``, ``skipped``, ``tests``."""
    made = list(cases)
    found = {
        name: sum(len(one.findall(tag)) for one in made)
        for name, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped"))
    }
    return {**found, "tests": len(made)}
