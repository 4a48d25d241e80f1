"""The metrics: what Prometheus's own reader makes of them, and what has no sample."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_kvlatency.checkup.results import Results
from pytest_kvlatency.escape import Redactor
from pytest_kvlatency.model import AUTO, Check, Limits, NadRef
from pytest_kvlatency.report import prometheus
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.exposition import Family

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Make

    Labels = tuple[tuple[str, str], ...]

THOUSAND = tuple(range(100_000, 1_100_000, 10_000))


def read(text: str) -> dict[str, dict[Labels, float]]:
    """Every sample by its name and labels; no two are equal, none has a timestamp."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for one in family.samples:
            assert one.timestamp is None
            labels = tuple(sorted(one.labels.items()))
            assert labels not in found.setdefault(one.name, {}), (one.name, labels)
            found[one.name][labels] = one.value
    return found


def metrics(make: Make, *items: Any, **changes: Any) -> dict[str, dict[Labels, float]]:
    return read(prometheus.render(build(make.run(*items, **changes))))


def only(samples: dict[Labels, float]) -> float:
    (value,) = samples.values()
    return value


def test_times_are_seconds_and_shares_are_ratios(make: Make) -> None:
    limits = {
        "max_latency_ns": 10_000_000,
        "max_avg_ns": 5_000_000,
        "max_p99_ns": 9_000_000,
        "max_loss_percent": 2.5,
    }
    found = metrics(make, make.item(make.measurement(THOUSAND, transmitted=125, **limits)))
    assert {dict(labels)["quantile"]: value for labels, value in found["kvlatency_rtt_seconds"].items()} == {
        "0.5": 0.00059,
        "0.9": 0.00099,
        "0.99": 0.00108,
    }
    assert only(found["kvlatency_rtt_seconds_count"]) == 100
    assert only(found["kvlatency_rtt_seconds_sum"]) == pytest.approx(sum(THOUSAND) / 1e9)
    assert only(found["kvlatency_rtt_min_seconds"]) == 0.0001
    assert only(found["kvlatency_rtt_avg_seconds"]) == 0.000595
    assert only(found["kvlatency_rtt_max_seconds"]) == 0.00109
    assert only(found["kvlatency_loss_ratio"]) == 0.2
    assert (only(found["kvlatency_transmitted_packets"]), only(found["kvlatency_received_packets"])) == (
        125,
        100,
    )
    assert only(found["kvlatency_limit_rtt_max_seconds"]) == 0.01
    assert only(found["kvlatency_limit_rtt_avg_seconds"]) == 0.005
    assert only(found["kvlatency_limit_rtt_p99_seconds"]) == 0.009
    assert only(found["kvlatency_limit_loss_ratio"]) == 0.025


def test_a_limit_and_what_it_limits_have_equal_labels(make: Make) -> None:
    found = metrics(make, make.item(make.measurement(max_latency_ns=10_000_000, max_loss_percent=0)))
    assert found["kvlatency_limit_rtt_max_seconds"].keys() == found["kvlatency_rtt_max_seconds"].keys()
    assert found["kvlatency_limit_loss_ratio"].keys() == found["kvlatency_loss_ratio"].keys()
    assert "kvlatency_limit_rtt_avg_seconds" not in found


def test_the_labels_are_those_of_the_plan_and_name_no_vmi(make: Make) -> None:
    run = replace(
        make.run(make.item()),
        cluster={
            "server": "https://10.0.0.1:6443",
            "kubernetesVersion": None,
            "kubevirtVersion": None,
            "lab": None,
        },
    )
    text = prometheus.render(build(run))
    assert set(read(text)["kvlatency_up"]) == {
        (
            ("nad", "default/blue-network"),
            ("pair", "worker1:worker2"),
            ("source_node", "worker1"),
            ("target_node", "worker2"),
            ("test", "test_x.py::test_y"),
        )
    }
    assert "kv-a" not in text
    assert "198.18." not in text


def test_a_pair_that_could_not_be_measured_is_down_and_has_no_numbers(make: Make) -> None:
    found = metrics(make, make.item(), make.broken(kind="provision", target="worker3"))
    assert sorted(found["kvlatency_up"].values()) == [0, 1]
    ((down, value),) = [one for one in found["kvlatency_up"].items() if not one[1]]
    assert value == 0
    assert dict(down)["target_node"] == "worker3"
    assert found["kvlatency_check_success"][down] == 0
    ((labels, _),) = found["kvlatency_check_failure_info"].items()
    assert dict(labels) == {**dict(down), "kind": "provision"}
    about = {
        name
        for name, samples in found.items()
        if any(dict(down).items() <= dict(one).items() for one in samples)
    }
    assert about == {
        "kvlatency_up", "kvlatency_check_success", "kvlatency_check_failure_info", "kvlatency_limit_loss_ratio",
    }  # fmt: skip


def test_a_pair_without_any_reply_is_down_and_has_lost_everything(make: Make) -> None:
    found = metrics(make, make.item(make.measurement((), transmitted=50)))
    assert only(found["kvlatency_up"]) == 0
    assert only(found["kvlatency_loss_ratio"]) == 1
    assert not [name for name in found if name.startswith("kvlatency_rtt")]


def test_a_percentile_with_too_few_samples_is_absent(make: Make) -> None:
    found = metrics(make, make.item())
    assert [dict(labels)["quantile"] for labels in found["kvlatency_rtt_seconds"]] == ["0.5"]


def test_of_reruns_only_the_last_attempt_counts(make: Make) -> None:
    again = make.item(make.measurement((2_000_000,)), attempt=2)
    found = metrics(make, make.broken(kind="guest"), again)
    assert only(found["kvlatency_up"]) == 1
    assert only(found["kvlatency_rtt_max_seconds"]) == 0.002
    assert "kvlatency_check_failure_info" not in found


@pytest.mark.parametrize(
    ("outcome", "failures"), [("skipped", None), ("notrun", ()), ("xfailed", None), ("error", "interrupted")]
)
def test_a_check_that_was_left_out_or_cut_off_is_counted_and_not_down(
    make: Make, outcome: str, failures: Any
) -> None:
    item = make.broken(kind=failures or "config", outcome=outcome)
    found = metrics(make, item)
    assert "kvlatency_up" not in found
    assert {dict(labels)["outcome"]: value for labels, value in found["kvlatency_last_run_checks"].items()}[
        outcome
    ] == 1
    assert only(found["kvlatency_last_run_success"]) == 0


def test_what_a_failed_test_measured_is_exported(make: Make) -> None:
    found = metrics(
        make, make.item(outcome="failed"), make.item(make.measurement(target="worker3"), outcome="xfailed")
    )
    assert list(found["kvlatency_up"].values()) == [1, 1]
    assert list(found["kvlatency_check_success"].values()) == [0, 1]


# --- no series twice


def one_of(make: Make, nodeid: str, *, pair: Any = None, nad: str = "default") -> Any:
    measured = make.measurement()
    check = Check(
        nad=NadRef(namespace=nad, name="blue-network"), pair=pair or measured.check.pair, limits=Limits()
    )
    return make.item(replace(measured, check=check), nodeid=nodeid)


ID = "default/blue-network-worker1:worker2"


@pytest.mark.parametrize(
    ("nodeid", "test"),
    [
        (f"t/test_a.py::TestA::test_b[{ID}]", "t/test_a.py::TestA::test_b"),
        (f"test_a.py::test_b[1400-{ID}]", "test_a.py::test_b[1400]"),
        (f"test_a.py::test_b[{ID}-1400]", "test_a.py::test_b[1400]"),
        ("test_a.py::test_b[blue-network-worker1:worker2]", "test_a.py::test_b"),
        (f"kvlatency::check[{ID}]", "kvlatency::check"),
        ("test_a.py::test_b[another]", "test_a.py::test_b[another]"),
        ("test_a.py::test_b", "test_a.py::test_b"),
    ],
)
def test_the_label_test_is_the_id_without_network_and_pair(make: Make, nodeid: str, test: str) -> None:
    ((labels, _),) = metrics(make, one_of(make, nodeid))["kvlatency_up"].items()
    assert dict(labels)["test"] == test


def test_several_tests_of_a_suite_on_one_pair_have_series_of_their_own(make: Make) -> None:
    names = ["test_a", "test_b", "test_b[1-", "test_b[2-"]
    items = [one_of(make, f"t.py::{name}{'' if '[' in name else '['}{ID}]") for name in names]
    found = metrics(make, *items)
    assert [dict(labels)["test"] for labels in found["kvlatency_rtt_max_seconds"]] == [
        "t.py::test_a", "t.py::test_b", "t.py::test_b[1]", "t.py::test_b[2]",
    ]  # fmt: skip


def test_a_named_pair_and_the_one_that_the_scheduler_chose_are_two_series(make: Make) -> None:
    auto = one_of(make, "kvlatency::check[default/blue-network-auto]", pair=AUTO)
    found = metrics(make, auto, one_of(make, f"kvlatency::check[{ID}]"))
    assert [dict(labels)["pair"] for labels in found["kvlatency_up"]] == ["auto", "worker1:worker2"]
    assert {dict(labels)["target_node"] for labels in found["kvlatency_up"]} == {"worker2"}


def test_ids_that_say_the_same_without_their_pair_are_shown_whole(make: Make) -> None:
    ids = [f"t.py::test_a[{ID}]", "t.py::test_a[blue-network-worker1:worker2]", "t.py::\x1b", "t.py::\\x1b"]
    found = metrics(make, *(one_of(make, one) for one in ids))
    assert [dict(labels)["test"] for labels in found["kvlatency_up"]] == [
        *ids[:2],
        "t.py::\\x1b",
        "t.py::\\x1b (2)",
    ]


def test_a_family_refuses_a_series_twice() -> None:
    family = Family(name="kvlatency_up", help="…")
    family.add({"pair": "a"}, 1)
    with pytest.raises(ValueError, match="kvlatency_up with the same labels"):
        family.add({"pair": "a", "lab": None}, 0)


# --- text


@pytest.mark.parametrize("odd", ['quote " and back\\slash', "line\nfeed", "a\\nb", "{x=}", "größe ✓"])
def test_any_text_in_a_label_is_read_back(make: Make, odd: str) -> None:
    ((labels, _),) = metrics(make, one_of(make, odd))["kvlatency_up"].items()
    assert dict(labels)["test"] == odd.replace("\n", "\\x0a")


def test_what_no_file_can_hold_is_escaped(make: Make, tmp_path: Path) -> None:
    document = build(make.run(one_of(make, "t\udc80.py::test_a")))
    (tmp_path / "out.prom").write_text(prometheus.render(document), "utf-8")
    assert r'test="t\\udc80.py::test_a"' in (tmp_path / "out.prom").read_text("utf-8")


def test_names_and_types_are_as_prometheus_asks(make: Make) -> None:
    text = prometheus.render(build(make.run(make.item(make.measurement(THOUSAND)))))
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert [name for name, kind in kinds.items() if kind == "summary"] == ["kvlatency_rtt_seconds"]
    assert set(kinds.values()) == {"gauge", "summary"}
    assert all(re.fullmatch(r"kvlatency_[a-z0-9_]+", name) for name in kinds)
    assert not [
        name for name in kinds if re.search(r"_(total|count|sum|bucket|ms|ns|percent|milli\w*)$", name)
    ]
    # Each family once, with all of its samples behind its head.
    assert list(kinds) == list(
        dict.fromkeys(
            re.sub(r"[ {].*|_(sum|count)\b.*", "", one) for one in text.splitlines() if one[0] != "#"
        )
    )


# --- the run


def test_the_run_says_when_it_ended_how_and_where(make: Make) -> None:
    found = metrics(
        make,
        make.item(),
        make.broken(target="worker3"),
        plan={"digest": "d", "shard": "0/3", "shardPairs": 2, "pairs": 6, "nads": []},
    )
    lab = {"lab": "true", "shard": "0/3"}
    ((labels, value),) = found["kvlatency_last_run_timestamp_seconds"].items()
    assert dict(labels) == lab
    assert value == 1_714_564_820
    assert only(found["kvlatency_last_run_duration_seconds"]) == 20
    assert only(found["kvlatency_last_run_success"]) == 0
    ((labels, _),) = found["kvlatency_cluster_info"].items()
    assert dict(labels) == {
        "server": "https://127.0.0.1:6443", "kubernetes_version": "v1.30.0", "lab_guests": "sim", **lab,
    }  # fmt: skip
    ((labels, _),) = found["kvlatency_build_info"].items()
    assert dict(labels) == {"version": "1.2.3", **lab}
    counts = {dict(labels)["outcome"]: value for labels, value in found["kvlatency_last_run_checks"].items()}
    assert counts == {**dict.fromkeys(prometheus.OUTCOMES, 0), "passed": 1, "error": 1}


def test_every_series_of_a_lab_says_so(make: Make) -> None:
    items = (make.item(), make.broken(target="worker3"))
    found = metrics(make, *items)
    assert all(dict(labels)["lab"] == "true" for samples in found.values() for labels in samples)
    document = build(make.run(*items))
    document["cluster"]["lab"] = None
    assert "lab=" not in prometheus.render(document)


def test_a_run_that_never_reached_its_cluster_has_metrics(make: Make) -> None:
    found = metrics(make, cluster=None)
    assert only(found["kvlatency_last_run_success"]) == 0
    assert "kvlatency_cluster_info" not in found
    assert "kvlatency_up" not in found


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    results = Results(Redactor, dict)
    results.make_document(())
    assert not results.write_files(SimpleNamespace(json=None, html=None, prometheus=tmp_path))
    assert results.failures[0].reason.startswith(f"cannot write the Prometheus report to {tmp_path}: ")
