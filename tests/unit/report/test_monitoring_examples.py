"""examples/monitoring and its page: every query is PromQL, and asks for what is exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report import prometheus
from pytest_kvlatency.report.document import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Make

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "examples" / "monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
QUERIES = [one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"]]
LIMITS = {
    "max_latency_ns": 2_000_000,
    "max_avg_ns": 1_000_000,
    "max_p99_ns": 2_000_000,
    "max_loss_percent": 0,
}
GAP = Failure(kind="gap", stage="run", reason='actual longest gap "1.3s" is greater than desired "1s"')


def whole(make: Make) -> dict[str, Any]:
    """A run that has every metric: one good pair, one slow and lossy, one cut, one that could not be measured.

    And one whose guest migrates for too long, and one whose migration fails after such a gap.
    """
    samples = (1_000_000,) * 100
    how: dict[str, Any] = {"destination": "worker1", "max_latency_ns": 1, "max_gap_ns": 1_000_000_000}
    moved = make.migrated(target="worker6", **how)
    return build(
        make.run(
            make.item(make.measurement(samples, **LIMITS)),
            make.item(make.measurement((3_000_000,) * 100, transmitted=125, target="worker3", **LIMITS)),
            make.item(make.measurement((), transmitted=100, target="worker4", **LIMITS)),
            make.broken(kind="provision", target="worker5"),
            make.item(replace(moved, failures=(GAP,))),
            make.item(make.migrated(target="worker7", failure="no node is left", **how)),
            cluster={
                "server": "https://10.0.0.1:6443",
                "kubernetesVersion": None,
                "kubevirtVersion": None,
                "lab": None,
            },
        )
    )


def compared(document: dict[str, Any]) -> dict[str, Any]:
    """The same, with what only some clusters and runs have."""
    change = {"baselineNanoSec": 500_000, "deltaPercent": 100.0}
    for one in document["measurements"][:1]:
        one["softwareEmulation"] = True
        one["comparison"] = {
            "p50": change,
            "p90": change,
            "p99": None,
            "significant": True,
            "regressed": True,
        }
    return document


def exported(make: Make) -> dict[str, set[str]]:
    """The names of all metrics, with their labels."""
    found: dict[str, set[str]] = {}
    for line in prometheus.render(compared(whole(make))).splitlines():
        if line[0] != "#":
            name = re.split("[ {]", line)[0]
            rest = line.removeprefix(name)
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    return found


def selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, (str, float)):
            yield from selectors(inner)
    for inner in getattr(node, "args", ()):
        yield from selectors(inner)


def check(query: str, known: dict[str, set[str]]) -> None:
    found = list(selectors(promql_parser.parse(query)))
    assert found, query
    for one in found:
        assert one.name in known, f"{one.name} is not exported"
        matched = {matcher.name for matcher in one.matchers.matchers} - {"lab"}
        assert matched <= known[one.name], (one.name, matched)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_metrics_that_are_exported(make: Make, rule: dict[str, Any]) -> None:
    check(rule["expr"], exported(make))
    # A run in the lab is no reason to wake anybody.
    assert 'lab=""' in rule["expr"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    shown = set(re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values())))
    assert shown <= exported(make)["kvlatency_check_failure_info"]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_dashboard_asks_for_metrics_that_are_exported(make: Make, query: str) -> None:
    check(query, exported(make))


def test_a_query_for_what_is_not_exported_is_found(make: Make) -> None:
    for wrong in (
        "kvlatency_rtt_ms",
        'max(kvlatency_up{node="a"})',
        "1 - kvlatency_rtt_second_sum",
        "rate(kvlatency_ups[5m])",
    ):
        with pytest.raises(AssertionError):
            check(wrong, exported(make))
    with pytest.raises(ValueError, match=r"."):
        check("kvlatency_up ==", exported(make))


def test_the_operators_rules_are_those_of_the_file() -> None:
    rule = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text("utf-8"))
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == RULES


def test_the_dashboards_panels_do_not_overlap_and_have_titles() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert not cells & own
        assert all(x < 24 for x, _ in own)
        cells |= own
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(one["datasource"]["uid"] == "${datasource}" for one in DASHBOARD["panels"])
    (nad,) = [one for one in DASHBOARD["templating"]["list"] if one["name"] == "nad"]
    assert nad["definition"] == "label_values(kvlatency_up, nad)"


def test_the_page_lists_every_metric_and_every_alert(make: Make) -> None:
    table = PAGE.split("\n## Metrics\n")[1]
    listed = {
        name
        for row in table.splitlines()
        if row.startswith("| `kvlatency_")
        for name in re.findall(r"`(kvlatency_\w+)`", row.split("|")[1])
    }
    assert listed == {re.sub(r"(rtt_seconds)_(sum|count)$", r"\1", name) for name in exported(make)}
    alerts = re.findall(r"^\| `(Kvlatency\w+)` \|", PAGE, re.MULTILINE)
    assert alerts == [rule["alert"] for rule in ALERTS]


@pytest.fixture
def promtool() -> str:
    """Prometheus's own tool, where it is installed (Debian's package is called prometheus)."""
    return shutil.which("promtool") or pytest.skip("promtool is not on PATH")


def test_promtool_accepts_the_metrics(make: Make, promtool: str) -> None:
    text = prometheus.render(whole(make))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def alerts_at(promtool: str, folder: Path, minute: int, text: str) -> dict[str, list[str]]:
    """Which alerts fire, and for which target nodes, when these metrics have not changed since minute 0."""
    samples = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    # promtool's clock begins at 0: the run ended then.
    series = [
        {"series": one, "values": "0x300" if "timestamp" in one else f"{value}x300"}
        for one, _, value in samples
    ]
    # What does not fire is no difference; promtool shows what does.
    wanted = [{"eval_time": f"{minute}m", "alertname": one["alert"], "exp_alerts": []} for one in ALERTS]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": wanted}
    content = {"rule_files": [str(MONITORING / "rules.yaml")], "evaluation_interval": "1m", "tests": [test]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(content), "utf-8")
    command = [promtool, "test", "rules", str(folder / "tests.yaml")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    output = said.stdout + said.stderr
    found = re.findall(
        r"alertname: (\w+), time: [^,]*,\s*exp:\[\s*\],\s*got:\[(.*?)\n\s*\]", output, re.DOTALL
    )
    assert len(found) == output.count("alertname: ")
    return {name: sorted(re.findall(r'target_node="(\w+)"', got)) for name, got in found}


def test_each_alert_fires_where_it_should_and_only_there(make: Make, promtool: str, tmp_path: Path) -> None:
    pairs = {
        "KvlatencyNoConnectivity": ["worker4"],
        "KvlatencyPacketLoss": ["worker3"],
        "KvlatencyLatencyOverLimit": ["worker3"],
        "KvlatencyRegression": ["worker2"],
        "KvlatencyGapOverLimit": ["worker6"],
        "KvlatencyCouldNotMeasure": ["worker5", "worker7"],
    }
    text = prometheus.render(compared(whole(make)))
    assert alerts_at(promtool, tmp_path, 10, text) == {**pairs, "KvlatencyRunFailed": []}
    assert alerts_at(promtool, tmp_path, 160, text) == {
        **pairs,
        "KvlatencyRunFailed": [],
        "KvlatencyStale": [],
    }


def test_no_alert_fires_for_a_good_run_for_one_in_the_lab_or_for_a_failure_that_is_expected(
    make: Make, promtool: str, tmp_path: Path
) -> None:
    slow = make.measurement((3_000_000,) * 100, target="worker3", **LIMITS)
    cluster = {
        "server": "https://10.0.0.1:6443",
        "kubernetesVersion": None,
        "kubevirtVersion": None,
        "lab": None,
    }
    good = make.run(make.item(), make.item(slow, outcome="xfailed"), cluster=cluster)
    assert alerts_at(promtool, tmp_path, 10, prometheus.render(build(good))) == {}
    lab = whole(make)
    lab["cluster"]["lab"] = {"guests": "sim"}
    text = prometheus.render(compared(lab))
    assert alerts_at(promtool, tmp_path, 10, text) == {}
    assert alerts_at(promtool, tmp_path, 160, text) == {"KvlatencyAbsent": []}
