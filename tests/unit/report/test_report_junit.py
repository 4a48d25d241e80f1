"""JUnit's properties: plain numbers on cases, facts on the suite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from _pytest.junitxml import mangle_test_address

from pytest_kvlatency.kube.clusterfacts import ClusterFacts
from pytest_kvlatency.report.document import build, cluster_facts
from pytest_kvlatency.report.junit.cases import address, amended
from pytest_kvlatency.report.junit.properties import item_properties, suite_properties
from pytest_kvlatency.report.junit.wording import message, plain
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.numbers import numbers_of

if TYPE_CHECKING:
    from conftest import Make


def test_a_case_has_numbers_and_nothing_else(make: Make) -> None:
    properties = item_properties(numbers_of(make.measurement(transmitted=3, max_loss_percent=None)))
    assert properties == [
        ("transmitted", "3"),
        ("received", "2"),
        ("duplicates", "0"),
        ("lossPercent", "33.333333"),
        ("minLatencyNanoSec", "1000000"),
        ("avgLatencyNanoSec", "2000000"),
        ("maxLatencyNanoSec", "3000000"),
        ("p50LatencyNanoSec", "1000000"),
        ("stddevLatencyNanoSec", "1000000"),
        ("measurementDurationSec", "4.93"),
        ("warmupSeconds", "0.25"),
    ]


def test_every_number_is_the_documents(make: Make) -> None:
    measured = make.measurement((1_000_000,) * 29 + (3_000_001,), transmitted=31, max_loss_percent=None)
    assert measured.result is not None
    odd = replace(
        measured,
        result=replace(measured.result, duration_seconds=4.943749857997318),
        warmup_seconds=0.016666469997289823,
    )
    entry = measurement_entry(make.item(odd))
    properties = dict(item_properties(numbers_of(odd)))
    assert properties == dict(item_properties(entry))
    assert properties["measurementDurationSec"] == "4.94375"
    assert properties["warmupSeconds"] == "0.016666"
    assert {name: float(value) for name, value in properties.items()} == {
        name: entry[name] for name in properties
    }


def test_what_was_not_measured_is_left_out(make: Make) -> None:
    assert item_properties(numbers_of(None)) == []
    assert item_properties(numbers_of(make.broken().measurement)) == []
    assert item_properties(measurement_entry(make.broken())) == []


def test_numbers_have_no_exponent(make: Make) -> None:
    entry = {**measurement_entry(make.item()), "warmupSeconds": 1e-05, "lossPercent": 0.0}
    assert dict(item_properties(entry))["warmupSeconds"] == "0.00001"
    assert dict(item_properties(entry))["lossPercent"] == "0"


def test_the_suite_has_the_verdict_and_the_clusters_facts(make: Make) -> None:
    assert suite_properties(build(make.run(make.item()))) == [
        ("succeeded", "true"),
        ("cluster.server", "https://127.0.0.1:6443"),
        ("cluster.kubernetesVersion", "v1.30.0"),
        ("cluster.lab.guests", "sim"),
    ]
    assert suite_properties(build(make.run(make.broken(), cluster=None))) == [
        ("succeeded", "false"),
        ("failureReason", "setup: NAD default/blue-network does not exist"),
    ]


def test_E67_facts_are_legal_xml(make: Make) -> None:
    document = build(make.run(cluster=cluster_facts(ClusterFacts(server="a\x00b\x1b<&>\ufffe"))))
    name, value = suite_properties(document)[-1]
    assert value == "a\\x00b\\x1b<&>\\ufffe"
    element = ET.Element("property", {"name": name, "value": value})
    assert ET.fromstring(ET.tostring(element)).get("value") == value


@pytest.mark.parametrize(
    "nodeid",
    [
        "kvlatency::check[default/blue-network-worker1:worker2]",
        "tests/a/test_x.py::TestY::test_z[a::b/c.py-1]",
        "test_x.py::test_y",
        "test_x.py::test_y[]",
    ],
)
def test_a_cases_names_are_pytests(nodeid: str) -> None:
    *classes, name = mangle_test_address(nodeid)
    assert address(nodeid) == (".".join(classes), name)
    assert address(nodeid, "stage") == (".".join(["stage", *classes]), name)


def test_each_reason_is_a_line_of_the_message_without_its_stage(make: Make) -> None:
    entry = {
        **measurement_entry(make.broken()),
        "failureReason": "run: 3 of 5 lost; one more; teardown: VMI kv-a is still there",
        "advice": "delete it\nor wait",
    }
    assert message({**entry, "advice": "teardown"}) == "3 of 5 lost; one more\nVMI kv-a is still there"
    assert message(entry) == "3 of 5 lost; one more\nVMI kv-a is still there\ndelete it\nor wait"


@pytest.mark.parametrize(
    ("pytests", "left"),
    [
        ('failed on setup with "ValueError: "x""', 'ValueError: "x"'),
        ('failed on teardown with "a\nb"', "a\nb"),
        ('failed on setup with "a\n[+3 more lines; full report in element text]',
         "a"),
        ("assert 1 == 2", "assert 1 == 2"),
    ],
)  # fmt: skip
def test_what_pytest_puts_in_front_of_an_error_is_taken_off(pytests: str, left: str) -> None:
    assert plain(pytests) == left


def test_the_output_of_other_plugins_reports_is_kept(make: Make) -> None:
    """A failure of which the document knows nothing stays in the case."""
    text = (
        '<testcase classname="test_x" name="test_y[default/blue-network-worker1:worker2]">'
        '<failure message="said by another plugin">x</failure></testcase>'
    )
    entry = measurement_entry(make.item())
    found = amended([ET.fromstring(text)], [entry])
    assert [one.get("message") for one in found.findall("failure")] == ["said by another plugin"]
