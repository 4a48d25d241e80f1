"""Every report of one run is read back: all of them hold the numbers of the document."""

from __future__ import annotations

import csv
import html
import json
import re
import xml.etree.ElementTree as ET
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup, Maps

    from pytest_kvlatency.lab.process import LabProcess

    #: By item: the numbers that a report shows, under the document's names.
    Found = dict[str, dict[str, float]]

SUITE = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network", nodes=["worker1:worker2", "worker2:worker3"], max_latency="1s")
    def test_good(kv_ping):
        kv_ping(packet_size=100)

    @pytest.mark.kvlatency(nad="default/slow-network", nodes="auto", max_latency="10ms", max_avg="20ms")
    def test_slow(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/lossy-network", nodes="worker1:worker3", max_loss=0)
    def test_lossy(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/cut-network", nodes="worker1:worker2")
    def test_cut(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2>worker3", max_gap="5s")
    def test_moved(kv_latency):
        pass

    @pytest.mark.kvlatency(nad="default/no-such-network")
    def test_unmeasured(kv_latency):
        pass
"""
COUNTS = ("transmitted", "received", "duplicates")
TIMES = tuple(f"{name}LatencyNanoSec" for name in ("min", "avg", "max", "p50", "p90", "p99", "stddev"))
NUMBERS = (*COUNTS, "lossPercent", *TIMES, "measurementDurationSec")
GAPS = ("longestGap", "preparationGap", "switchoverGap")
MS = 1_000_000


def numbers(entry: dict[str, Any], names: tuple[str, ...] = NUMBERS) -> dict[str, float]:
    return {name: entry[name] for name in names if entry.get(name) not in (None, "")}


def of_junit(path: Path) -> Found:
    found = {}
    for case in ET.parse(path).iter("testcase"):
        values = {one.get("name"): one.get("value") for one in case.iterfind("properties/property")}
        kept = {name: float(str(values[name])) for name in NUMBERS if name in values}
        found[f"{case.get('classname')}.py::{case.get('name')}"] = kept
    return found


def of_csv(path: Path) -> Found:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if not row["extra"]]
    return {row["nodeid"]: {name: float(value) for name, value in numbers(row).items()} for row in rows}


def of_page(path: Path) -> Found:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
    assert text is not None
    data = json.loads(text[1])
    names = {
        "sent": "transmitted", "received": "received", "duplicates": "duplicates", "loss": "lossPercent",
        **{name: f"{name}LatencyNanoSec" for name in ("min", "avg", "max", "p50", "p90", "p99")},
        "deviation": "stddevLatencyNanoSec", "seconds": "measurementDurationSec",
    }  # fmt: skip
    return {
        one["nodeid"]: {name: one[key] for key, name in names.items() if key in one}
        for one in data["entries"]
    }


def of_pytest_html(path: Path) -> Found:
    """pytest-html's table, in which each test has the row of its end."""
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', path.read_text("utf-8"))
    names = {
        "Loss": "lossPercent",
        **{name.title(): f"{name}LatencyNanoSec" for name in ("min", "avg", "p50", "p99", "max")},
    }
    found: Found = {}
    for nodeid, rows in json.loads(html.unescape(blob))["tests"].items():
        cells = "".join(cell for row in rows for cell in row["resultsTableRow"])
        shown = dict(re.findall(r'<td class="kv-col col-kv(\w+)">\s*([\d.]+)</td>', cells))
        scale = {name: 1 if name == "lossPercent" else 1e6 for name in names.values()}
        found[nodeid.partition("::setup")[0]] = {
            name: float(shown[key]) * scale[name] for key, name in names.items() if key in shown
        }
    return found


def of_markdown(path: Path, entries: list[dict[str, Any]]) -> Found:
    """The tables of the summary, whose rows name network, nodes and test."""
    found: Found = {}
    heads: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("| "):
            continue
        cells = [cell.strip() for cell in line[1:-1].split(" | ")]
        if cells[0] == "network":
            # Migrations have other columns: see ``gaps_of_markdown``.
            heads = [] if "longest gap ms" in cells else cells
        elif cells[0] not in ("---", "option") and heads and len(cells) == len(heads):
            row = dict(zip(heads, cells, strict=True))
            nodeid = next(
                one["nodeid"]
                for one in entries
                if one["nad"] == row["network"]
                and f"::{row['test']}[" in one["nodeid"]
                and row["nodes"] in (f"{one['sourceNode']} → {one['targetNode']}", one["nodes"])
            )
            if "kv_ping" not in row["verdict"]:
                found[nodeid] = _of_row(row)
    return found


def _of_row(row: dict[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    if row.get("received"):
        found["received"], found["transmitted"] = map(float, row["received"].split("/"))
        found["lossPercent"] = float(row["loss"].rstrip("%"))
    for name in ("avg", "p50", "p90", "p99", "max"):
        if row.get(f"{name} ms"):
            found[f"{name}LatencyNanoSec"] = float(row[f"{name} ms"]) * 1e6
    return found


def of_prometheus(path: Path, entries: list[dict[str, Any]]) -> Found:
    parser = pytest.importorskip("prometheus_client.parser")
    scales = {
        "kvlatency_loss_ratio": ("lossPercent", 100), "kvlatency_transmitted_packets": ("transmitted", 1),
        "kvlatency_received_packets": ("received", 1), "kvlatency_duplicate_packets": ("duplicates", 1),
        "kvlatency_measurement_duration_seconds": ("measurementDurationSec", 1),
        **{f"kvlatency_rtt_{name}_seconds": (f"{name}LatencyNanoSec", 1e9) for name in ("min", "avg", "max", "stddev")},
    }  # fmt: skip
    quantiles = {"0.5": "p50LatencyNanoSec", "0.9": "p90LatencyNanoSec", "0.99": "p99LatencyNanoSec"}
    found: Found = {one["nodeid"]: {} for one in entries}
    for family in parser.text_string_to_metric_families(path.read_text("utf-8")):
        for sample in family.samples:
            name, scale = scales.get(sample.name, ("", 1))
            if "quantile" in sample.labels:
                name, scale = quantiles[sample.labels["quantile"]], 1e9
            if name:
                nodeid = next(
                    one["nodeid"] for one in entries
                    if one["nodeid"].startswith(f"{sample.labels['test']}[")
                    and (one["nad"], one["nodes"]) == (sample.labels["nad"], sample.labels["pair"])
                )  # fmt: skip
                found[nodeid][name] = sample.value * scale
    return found


def of_configmap(data: dict[str, str], entries: list[dict[str, Any]]) -> Found:
    listed = json.loads(data["status.result.measurements"])
    assert len(listed) == len(entries)
    return {
        next(one["nodeid"] for one in entries if _names(one) == _names(mine)): numbers(mine)
        for mine in listed
    }


def gaps(entry: dict[str, Any]) -> dict[str, float]:
    """The gaps of the document, or of the table for spreadsheets, which has the same names."""
    if "longestGap.nanoSec" in entry:
        places = {name: f"{'' if name == 'longestGap' else 'migration.'}{name}.nanoSec" for name in GAPS}
        return {name: float(entry[place]) for name, place in places.items() if entry[place]}
    found = {**(entry["migration"] or {}), "longestGap": entry["longestGap"]}
    return {name: found[name]["nanoSec"] for name in GAPS if found.get(name)}


def gaps_of_junit(path: Path) -> Found:
    found = {}
    for case in ET.parse(path).iter("testcase"):
        values = {one.get("name"): one.get("value") for one in case.iterfind("properties/property")}
        kept = {name: float(str(values[f"{name}NanoSec"])) for name in GAPS if f"{name}NanoSec" in values}
        found[f"{case.get('classname')}.py::{case.get('name')}"] = kept
    return found


def gaps_of_csv(path: Path) -> Found:
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["nodeid"]: gaps(row) for row in csv.DictReader(lines) if not row["extra"]}


def gaps_of_page(path: Path) -> Found:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
    assert text is not None
    found: Found = {}
    for one in json.loads(text[1])["entries"]:
        move = one.get("move", {})
        shown = {
            "longestGap": one.get("gap"), "preparationGap": move.get("preparation"), "switchoverGap": move.get("switchover")
        }  # fmt: skip
        found[one["nodeid"]] = {name: gap[0] for name, gap in shown.items() if gap}
    return found


def gaps_of_prometheus(path: Path, entries: list[dict[str, Any]]) -> Found:
    parser = pytest.importorskip("prometheus_client.parser")
    found: Found = {one["nodeid"]: {} for one in entries}
    for family in parser.text_string_to_metric_families(path.read_text("utf-8")):
        for sample in family.samples:
            if sample.name not in ("kvlatency_longest_gap_seconds", "kvlatency_migration_gap_seconds"):
                continue
            labels = sample.labels
            nodeid = next(
                one["nodeid"]
                for one in entries
                if one["nodeid"].startswith(f"{labels['test']}[")
                and (one["nad"], one["nodes"]) == (labels["nad"], labels["pair"])
            )
            found[nodeid][f"{labels.get('phase', 'longest')}Gap"] = sample.value * 1e9
    return found


def longest_gaps_of_pytest_html(path: Path) -> dict[str, float]:
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', path.read_text("utf-8"))
    found: dict[str, float] = {}
    for nodeid, rows in json.loads(html.unescape(blob))["tests"].items():
        cells = "".join(cell for row in rows for cell in row["resultsTableRow"])
        if shown := re.search(r'<td class="kv-col col-kvGap">\s*([\d.]+)</td>', cells):
            found[nodeid.partition("::setup")[0]] = float(shown[1])
    return found


def gaps_of_configmap(data: dict[str, str], entries: list[dict[str, Any]]) -> Found:
    return {
        next(one["nodeid"] for one in entries if _names(one) == _names(mine)): {
            name: mine[f"{name}MilliSec"] for name in GAPS if f"{name}MilliSec" in mine
        }
        for mine in json.loads(data["status.result.measurements"])
    }


def gaps_of_markdown(path: Path) -> dict[str, dict[str, float]]:
    """By the nodes as they are shown: those of the table of migrations."""
    heads = {
        "longest gap ms": "longestGap",
        "preparation gap ms": "preparationGap",
        "switch-over gap ms": "switchoverGap",
    }
    lines = [line[1:-1].split("|") for line in path.read_text("utf-8").splitlines() if line.startswith("| ")]
    (start,) = [number for number, cells in enumerate(lines) if " longest gap ms " in cells]
    row = dict(zip(map(str.strip, lines[start]), map(str.strip, lines[start + 2]), strict=True))
    return {row["nodes"]: {name: float(row[head]) for head, name in heads.items()}}


def _names(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["nad"], entry["nodes"]


@pytest.fixture
def kubeconfig(unhurried_lab: LabProcess) -> Path:
    return unhurried_lab.kubeconfig


def test_all_reports_of_one_run_hold_the_same_numbers(checkup: Checkup, maps: Maps) -> None:
    here = checkup.pytester.path
    name = "every-report"
    maps.make(
        name,
        {
            "spec.timeout": "5m",
            "spec.param.networkAttachmentDefinitionNamespace": "default",
            "spec.param.networkAttachmentDefinitionName": "blue-network",
        },
    )
    checkup.pytester.makepyfile(test_it=SUITE)
    reports = ("--junitxml=out.xml", "--html=out.html", "--self-contained-html", "--kv-html=page.html")
    metrics = ("--kv-prometheus=out.prom", "--kv-sample-duration=1200ms")
    checkup.quick("--kv-configmap", f"default/{name}", *reports, *metrics, "test_it.py")
    assert main(["report", "result.json", "--csv=out.csv", "--markdown=out.md", "--junitxml=again.xml"]) == 1
    entries = checkup.document["measurements"]
    assert len(entries) == 7
    assert sum(bool(one["maxLatencyNanoSec"]) for one in entries) == 5
    # Those that show all numbers, and how far they may round; then those that show some, to the microsecond.
    every: dict[str, tuple[Found, float]] = {
        "JUnit": (of_junit(here / "out.xml"), 1e-6),
        "JUnit made later": (of_junit(here / "again.xml"), 1e-6),
        "CSV": (of_csv(here / "out.csv"), 0),
        "page": (of_page(here / "page.html"), 0),
        "Prometheus": (of_prometheus(here / "out.prom", entries), 1e-3),
        "ConfigMap": (of_configmap(maps.data(name), entries), 0),
    }
    for report, (found, rounding) in every.items():
        assert set(found) == {one["nodeid"] for one in entries}, report
        for entry in entries:
            assert found[entry["nodeid"]] == pytest.approx(numbers(entry), abs=rounding, rel=0), report
    some = {
        "pytest-html": (of_pytest_html(here / "out.html"), ("min", "avg", "p50", "max")),
        "Markdown": (of_markdown(here / "out.md", entries), ("avg", "p50", "p90", "max")),
    }
    for report, (found, times) in some.items():
        listed = [one for one in entries if one["migration"] is None or report != "Markdown"]
        assert set(found) == {one["nodeid"] for one in listed}, report
        shown = ("lossPercent", *(f"{time}LatencyNanoSec" for time in times))
        for entry in listed:
            mine = numbers(found[entry["nodeid"]], shown)
            assert mine == pytest.approx(numbers(entry, shown), abs=500, rel=0), report
    _same_gaps(here, maps.data(name), entries)


def _same_gaps(here: Path, data: dict[str, str], entries: list[dict[str, Any]]) -> None:
    (moved,) = [one for one in entries if one["migration"]]
    assert set(gaps(moved)) == set(GAPS)
    assert moved["longestGap"]["nanoSec"] >= moved["migration"]["switchoverGap"]["nanoSec"] > 0
    every: dict[str, tuple[Found, float]] = {
        "JUnit": (gaps_of_junit(here / "out.xml"), 1e-6),
        "JUnit made later": (gaps_of_junit(here / "again.xml"), 1e-6),
        "CSV": (gaps_of_csv(here / "out.csv"), 0),
        "page": (gaps_of_page(here / "page.html"), 0),
        "Prometheus": (gaps_of_prometheus(here / "out.prom", entries), 1e-3),
    }
    for report, (found, rounding) in every.items():
        assert set(found) == {one["nodeid"] for one in entries}, report
        for entry in entries:
            assert found[entry["nodeid"]] == pytest.approx(gaps(entry), abs=rounding, rel=0), report
    # Those that show milliseconds round up, all of them.
    rounded = {one["nodeid"]: {name: ceil(gap / MS) for name, gap in gaps(one).items()} for one in entries}
    assert gaps_of_configmap(data, entries) == rounded
    (mine,) = [one for one in json.loads(data["status.result.measurements"]) if "migrationTargetNode" in one]
    lost = moved["migration"]["lostInGaps"]
    assert (mine["nodes"], mine["migrationTargetNode"], mine["packetsLostInGaps"]) == (
        moved["nodes"],
        "worker3",
        lost,
    )
    assert gaps_of_markdown(here / "out.md") == {"worker1 → worker2&gt;worker3": rounded[moved["nodeid"]]}
    longest = {nodeid: found["longestGap"] for nodeid, found in rounded.items() if found}
    assert longest_gaps_of_pytest_html(here / "out.html") == longest
