"""Networks and options that were asked for, and that nothing of the run used: told, and no failure."""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup, Maps

REPORTS = ("--junitxml", "junit.xml", "--html", "page.html", "--self-contained-html")
RED = """
import pytest

@pytest.mark.kvlatency(nad="default/red-network", nodes="worker1:worker2"{more})
@pytest.mark.parametrize("number", range(2))
def test_net(number):
    pass
"""
BLUE = ("--kv-nad", "default/blue-network")
NOT_MEASURED = "default/blue-network was not measured: all 2 tests name their own networks"


def notes(checkup: Checkup, *arguments: str) -> list[str]:
    """Run well, and give the notes: every one of them is a warning and a line of the summary too."""
    result = checkup.quick(*arguments)
    assert result.ret == 0
    found: list[str] = checkup.document["notes"]
    assert [line.partition("note: ")[2] for line in result.outlines if "kvlatency: note: " in line] == found
    assert sum("PytestWarning: " in line for line in result.outlines) == len(found)
    for note in found:
        result.stdout.fnmatch_lines([f"*PytestWarning: {note}"])
    assert checkup.document["succeeded"] is True
    return found


def test_what_no_test_uses_is_noted_in_every_report(checkup: Checkup, maps: Maps) -> None:
    parameters = {
        "spec.timeout": "5m",
        "spec.param.networkAttachmentDefinitionNamespace": "default",
        "spec.param.networkAttachmentDefinitionName": "blue-network",
        "spec.param.maxDesiredLatencyMilliseconds": "10",
    }
    maps.make("notes", parameters)
    checkup.pytester.makepyfile(RED.format(more=', max_latency="1s"'))
    told = [
        NOT_MEASURED,
        (
            "spec.param.maxDesiredLatencyMilliseconds 10ms (ConfigMap default/notes) was not used: "
            "all 2 tests set their own max_latency"
        ),
    ]
    assert notes(checkup, "--kv-configmap", "default/notes", *REPORTS) == told
    assert json.loads(maps.data("notes")["status.result.notes"]) == told
    assert maps.data("notes")["status.succeeded"] == "true"
    tree = ET.parse(checkup.pytester.path / "junit.xml")
    properties = {one.get("name"): one.get("value") for one in tree.iterfind("*/properties/property")}
    assert properties["notes"] == "; ".join(told)
    page = html.unescape((checkup.pytester.path / "page.html").read_text("utf-8"))
    for note in told:
        assert f"Note: {note}" in page


#: What a marker sets, and an option with another value.
OVERRIDDEN = {
    "nodes": ("", ("--kv-nodes", "worker2:worker3")),
    "max_latency": ("'1s'", ("--kv-max-latency", "2s")),
    "max_avg": ("'1s'", ("--kv-max-avg", "2s")),
    "max_p99": ("'none'", ("--kv-max-p99", "2s")),
    "max_loss": ("50", ("--kv-max-loss", "10")),
    "max_gap": ("'1s'", ("--kv-max-gap", "2s")),
    "packet_size": ("100", ("--kv-packet-size", "200")),
    "interval": ("'100ms'", ("--kv-interval", "5ms")),
    "dont_fragment": ("False", ("--kv-dont-fragment",)),
    "image": ("'a/b'", ("--kv-image", "c/d")),
    "guest": ("'alpine'", ("--kv-guest", "fedora")),
    "binding": ("'bridge'", ("--kv-binding", "auto")),
    "subnet": ("'192.0.2.0/24'", ("--kv-subnet", "198.51.100.0/24")),
}


def test_each_option_that_every_marker_overrides_is_noted(checkup: Checkup) -> None:
    more = "".join(f", {name}={value}" for name, (value, _) in OVERRIDDEN.items() if value)
    checkup.pytester.makepyfile(RED.format(more=more))
    arguments = [word for _, words in OVERRIDDEN.values() for word in words]
    told = [
        f"{' '.join(words)} was not used: all 2 tests set their own {name}"
        for name, (_, words) in OVERRIDDEN.items()
    ]
    told.append(
        "--kv-node-set worker1,worker2 was not used: "
        "no test measures a shape (mesh, ring, star, migrations, drain)"
    )
    assert sorted(notes(checkup, *arguments, "--kv-node-set", "worker1,worker2")) == sorted(told)


def test_what_the_markers_say_as_well_is_used(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(RED.format(more=', max_latency="1s"'))
    the_same = ("--kv-nad", "default/red-network", "--kv-nodes", "worker1:worker2", "--kv-max-latency", "1s")
    assert notes(checkup, *the_same) == []


def test_what_one_of_the_tests_uses_is_used(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(RED.format(more=', max_latency="1s"') + "\ndef test_blue(kv_latency): pass\n")
    assert notes(checkup, *BLUE, "--kv-max-latency", "2s") == []


def test_what_was_deselected_on_purpose_is_not_missed(checkup: Checkup) -> None:
    nads = (*BLUE, "--kv-nad", "default/red-network")
    assert notes(checkup, *nads, "--kv-nodes", "worker1:worker2", "-k", "red") == []


def test_a_default_of_the_ini_file_may_be_overridden_by_every_marker(checkup: Checkup) -> None:
    checkup.pytester.makeini(
        "[pytest]\nkv_max_latency = 1s\nkv_nad = default/blue-network\naddopts = --kv-max-avg=1s\n"
    )
    checkup.pytester.makepyfile(RED.format(more=', max_latency="2s", max_avg="2s"'))
    assert notes(checkup) == []


def test_a_network_without_a_namespace_is_compared_where_it_is(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(RED.format(more=""))
    names = ("red-network", "blue-network", "elsewhere/red-network")
    assert notes(checkup, *(f"--kv-nad={name}" for name in names)) == [
        NOT_MEASURED,
        NOT_MEASURED.replace("default/blue", "elsewhere/red"),
    ]


def test_a_network_whose_only_check_is_skipped(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if "blue" in item.nodeid:
                    item.add_marker(pytest.mark.skip)
        """
    )
    checkup.pytester.makepyfile("def test_net(kv_latency): pass")
    assert notes(checkup, *BLUE, "--kv-nad", "default/red-network") == [
        "default/blue-network was not measured: its only test leaves it out"
    ]


def test_a_network_beside_tests_that_check_none(checkup: Checkup) -> None:
    path = checkup.pytester.makepyfile("def test_other(kv_settings): pass")
    result = checkup.run(*BLUE, path.name)
    assert result.ret == 0
    told = "default/blue-network was not measured: no test of this run checks a network"
    assert f"kvlatency: note: {told}" in result.outlines
    result.stdout.fnmatch_lines([f"*PytestWarning: {told}"])
    assert "no check was selected" not in result.stdout.str()


def test_where_warnings_are_errors_the_run_stays_as_healthy(checkup: Checkup) -> None:
    checkup.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    checkup.pytester.makepyfile(RED.format(more=""))
    result = checkup.quick(*BLUE, "-W", "error")
    assert result.ret == 0
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert f"kvlatency: note: {NOT_MEASURED}" in result.outlines
    assert checkup.document["notes"] == [NOT_MEASURED]


def test_a_run_that_is_refused_has_no_notes(checkup: Checkup) -> None:
    result = checkup.run(*BLUE, "--kv-nodes", "mesh", "--kv-node-set", "worker1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "not measured" not in result.stdout.str()


def test_a_list_of_tests_has_no_notes(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(RED.format(more=""))
    result = checkup.run(*BLUE, "--collect-only", "-q")
    assert "not measured" not in result.stdout.str()


def test_a_network_that_is_another_shards_is_not_missed(checkup: Checkup) -> None:
    nads = (*BLUE, "--kv-nad", "default/red-network", "--kv-nodes", "worker1:worker2")
    assert notes(checkup, *nads, "--kv-shard", "0/2") == []
