"""JUnit and HTML as pytest writes them, and what is kept."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from conftest import Checkup, Namespace

BLUE = ("--kv-nad", "default/blue-network")
UGLY = r"""
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network")
    @pytest.mark.parametrize("word", ["<b>&amp;"])
    def test_ugly(kv_pair, word):
        kv_pair.source.run("printf '<script>\\033[31m\\001\\377 ]]>&amp;'; exit 1", check=True)
"""


def junit(checkup: Checkup) -> ET.Element:
    return ET.fromstring((checkup.pytester.path / "out.xml").read_text("utf-8"))


def test_junit_has_numbers_per_case_and_facts_per_suite(checkup: Checkup) -> None:
    checkup.quick(*BLUE, "--junitxml", "out.xml")
    tree = junit(checkup)
    (case,) = tree.iter("testcase")
    names = [one.get("name") for one in case.iter("property")]
    assert len(names) == len(set(names))
    values = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert (values["transmitted"], values["received"], values["lossPercent"]) == ("5", "5", "0")
    assert "p99LatencyNanoSec" not in values
    suite = tree.find("testsuite/properties")
    assert suite is not None
    facts = {one.get("name"): one.get("value") for one in suite}
    assert str(facts["cluster.server"]).startswith("https://")
    assert "simulated guests" in str(facts["cluster.lab.guests"])


def test_E67_guest_text_breaks_no_report(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(UGLY)
    result = checkup.quick("--junitxml", "out.xml", "--html", "out.html", "--self-contained-html")
    result.assert_outcomes(failed=1)
    assert "\x1b[31m" not in result.stdout.str()
    assert junit(checkup) is not None
    page = (checkup.pytester.path / "out.html").read_text("utf-8")
    assert "<script>\\x1b" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page or "&amp;lt;script&amp;gt;" in page
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', page)
    (row,) = [
        test["resultsTableRow"]
        for tests in json.loads(html.unescape(blob))["tests"].values()
        for test in tests
        if test["resultsTableRow"]
    ]
    assert sum("test_ugly[" in cell and "&lt;b&gt;&amp;amp;" in cell for cell in row) == 1
    assert "<b>" not in "".join(row)


def test_html_has_columns_pictures_and_nothing_from_elsewhere(checkup: Checkup) -> None:
    checkup.quick(*BLUE, "--kv-max-latency", "1us", "--html", "out.html", "--self-contained-html")
    page = (checkup.pytester.path / "out.html").read_text("utf-8")
    for part in ("Max ms", "svg", "Console transcript", "worker"):
        assert part in page
    for outside in ('src="http', "@import", '<link rel="stylesheet" href'):
        assert outside not in page


@pytest.mark.parametrize(("when", "kept"), [("failed", 2), ("always", 4)])
def test_what_is_kept_stays_and_is_told(checkup: Checkup, namespace: Namespace, when: str, kept: int) -> None:
    slow = ("--kv-nad", "default/slow-network", "--kv-max-latency", "50ms")
    result = checkup.quick(*BLUE, *slow, "--kv-namespace", "default", "--kv-keep", when)
    result.assert_outcomes(passed=1, failed=1)
    lines = [one for one in result.outlines if one.startswith("kvlatency: kept VMI default/latency-check-")]
    assert len(lines) == kept
    names = [one.split("virtctl console -n default ")[1].split()[0] for one in lines]
    made = {one[vmi] for one in checkup.document["measurements"] for vmi in ("sourceVmi", "targetVmi")}
    assert made & set(namespace.vmis) == set(names)
    for name in names:
        namespace.request("DELETE", paths.vmi("default", name))


@pytest.mark.smoke
def test_artifacts_of_a_failure(checkup: Checkup) -> None:
    checkup.quick(*BLUE, "--kv-max-latency", "1us", "--kv-artifacts", "kept")
    (entry,) = checkup.document["measurements"]
    for vmi in (entry["sourceVmi"], entry["targetVmi"]):
        folder = checkup.pytester.path / "kept" / vmi
        assert {"vmi.json", "console.log"} <= {one.name for one in folder.iterdir()}
    assert "packets transmitted" in (checkup.pytester.path / entry["transcriptFile"]).read_text("utf-8")


def test_with_a_page_pytest_html_leads_there_and_holds_no_pictures(checkup: Checkup) -> None:
    checkup.pytester.mkdir("site")
    both = ("--html", "site/out.html", "--self-contained-html", "--kv-html", "page.html")
    checkup.quick(*BLUE, "--kv-max-latency", "1us", *both)
    beside = (checkup.pytester.path / "site/out.html").read_text("utf-8")
    ((report, *_),) = json.loads(html.unescape(re.findall(r'data-jsonblob="([^"]*)"', beside)[0]))[
        "tests"
    ].values()
    assert "Console transcript" not in html.unescape(beside)
    assert report["extras"] == []
    assert '<a href="../page.html">' in beside
    (place,) = re.findall(
        r'<a href="\.\./page\.html#(pair-[\w-]+)">worker\d → worker\d</a>', "".join(report["resultsTableRow"])
    )
    assert f'"id":"{place}"' in (checkup.pytester.path / "page.html").read_text("utf-8")
    assert any("col-kvMax" in cell for cell in report["resultsTableRow"])
