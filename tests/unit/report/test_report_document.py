"""The document: its names are the public JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.escape import TEXT_HEAD, TEXT_TAIL
from pytest_kvlatency.model import Failure, GuestFacts
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import last_attempts

if TYPE_CHECKING:
    from conftest import Make

MS = 1_000_000


def test_the_document_of_a_good_run(make: Make) -> None:
    assert build(make.run(make.item(make.measurement(max_latency_ns=10 * MS)))) == {
        "schema": "kvlatency/v1",
        "tool": {"name": "pytest-kvlatency", "version": "1.2.3"},
        "startTimestamp": "2024-05-01T12:00:00Z",
        "completionTimestamp": "2024-05-01T12:00:20Z",
        "succeeded": True,
        "failureReason": None,
        "notes": [],
        "namespace": None,
        "settings": {},
        "cluster": {
            "server": "https://127.0.0.1:6443",
            "context": None,
            "kubernetesVersion": "v1.30.0",
            "kubevirtVersion": None,
            "lab": {"guests": "sim", "timeScale": None},
        },
        "plan": None,
        "preflight": None,
        "swept": None,
        "causes": [],
        "measurements": [
            {
                "nodeid": "test_x.py::test_y[default/blue-network-worker1:worker2]",
                "outcome": "passed",
                "attempt": 1,
                "nad": "default/blue-network",
                "nodes": "worker1:worker2",
                "guest": {"profile": "alpine", "image": None},
                "binding": "bridge",
                "sourceNode": "worker1",
                "targetNode": "worker2",
                "failedNode": None,
                "sourceVmi": "kv-a",
                "targetVmi": "kv-b",
                "sourceAddress": "198.18.0.1",
                "targetAddress": "198.18.0.2",
                "succeeded": True,
                "failureKind": None,
                "failureReason": None,
                "failures": [],
                "advice": None,
                "startTimestamp": None,
                "round": None,
                "transmitted": 2,
                "received": 2,
                "duplicates": 0,
                "late": 0,
                "errors": 0,
                "lossPercent": 0.0,
                "minLatencyNanoSec": 1 * MS,
                "avgLatencyNanoSec": 2 * MS,
                "maxLatencyNanoSec": 3 * MS,
                "p50LatencyNanoSec": 1 * MS,
                "p90LatencyNanoSec": None,
                "p99LatencyNanoSec": None,
                "stddevLatencyNanoSec": 1 * MS,
                "measurementDurationSec": 4.93,
                "warmupSeconds": 0.25,
                "limits": {
                    "maxLatencyNanoSec": 10 * MS,
                    "maxAvgLatencyNanoSec": None,
                    "maxP99LatencyNanoSec": None,
                    "maxLossPercent": 0.0,
                    "maxGapNanoSec": None,
                },
                "ping": {
                    "sampleDurationSec": 5.0,
                    "intervalSec": 0.1,
                    "packetSizeBytes": 56,
                    "dontFragment": False,
                    "warmup": 1,
                },
                "samplesNanoSec": [1 * MS, 3 * MS],
                "lostSequence": [],
                "longestGap": None,
                "gapResolutionNanoSec": None,
                "repliesNanoSec": None,
                "migration": None,
                "timings": {"create": 0.1, "running": 2.5, "login": 3.0, "measure": 5.5, "delete": None},
                "softwareEmulation": None,
                "notes": [],
                "transcript": "PING 198.18.0.2\n",
                "extra": [],
                "comparison": None,
                "transcriptFile": None,
            }
        ],
        "baseline": None,
    }


def test_what_was_not_measured_is_null_and_never_zero(make: Make) -> None:
    entry = build(make.run(make.broken()))["measurements"][0]
    assert entry["nad"] == "default/blue-network"
    assert entry["succeeded"] is False
    assert entry["failureKind"] == "config"
    assert entry["failureReason"] == "setup: NAD default/blue-network does not exist"
    for name, value in entry.items():
        assert value is None or value or name in {"succeeded", "notes", "extra"}, name


def test_E30_counters_stand_without_latencies_when_everything_was_lost(make: Make) -> None:
    entry = measurement_entry(make.item(make.measurement((), transmitted=50)))
    assert (entry["transmitted"], entry["received"], entry["lossPercent"]) == (50, 0, 100.0)
    assert entry["failureKind"] == "connectivity"
    assert entry["minLatencyNanoSec"] is None
    assert entry["stddevLatencyNanoSec"] is None
    assert entry["samplesNanoSec"] == []


def test_the_reasons_stand_in_order_and_an_assertion_leaves_the_networks_verdict(make: Make) -> None:
    own = Failure(kind="assertion", stage="run", reason="assert 3 < 2")
    run = make.run(make.item(outcome="failed", failures=(own,)))
    document = build(run)
    assert document["succeeded"] is False
    assert document["failureReason"] == "run: assert 3 < 2"
    entry = document["measurements"][0]
    assert (entry["succeeded"], entry["failureKind"]) == (True, "assertion")
    both = make.item(make.measurement(max_latency_ns=MS), failures=(own,))
    assert build(make.run(both))["failureReason"] == (
        'run: actual max latency "3ms" is greater than desired "1ms"; run: assert 3 < 2'
    )


def test_with_several_pairs_each_reason_names_its_own_and_stands_once(make: Make) -> None:
    lost = make.item(make.measurement((), transmitted=50, target="worker3"))
    broken = [make.broken(target=f"worker{n}") for n in range(4, 9)]
    late = Failure(kind="teardown", stage="teardown", reason="VMI kv-a is stuck in deletion")
    early = Failure(kind="config", stage="config", reason="spec.timeout is missing")
    document = build(make.run(make.item(), lost, *broken, failures=(late, early)))
    assert document["failureReason"] == (
        "config: spec.timeout is missing; run: failed to run check: failed due to connectivity issue: "
        "50 packets transmitted, 0 packets received [default/blue-network-worker1:worker3]; "
        "setup: NAD default/blue-network does not exist [default/blue-network-worker1:worker4, "
        "default/blue-network-worker1:worker5, default/blue-network-worker1:worker6 and 2 more]; "
        "teardown: VMI kv-a is stuck in deletion"
    )


def test_incomplete_clean_up_fails_a_run_of_good_items(make: Make) -> None:
    stuck = Failure(kind="teardown", stage="teardown", reason="VMI kv-a is stuck in deletion")
    assert build(make.run(make.item(), failures=(stuck,)))["succeeded"] is False


def test_an_expected_failure_does_not_fail_the_run(make: Make) -> None:
    document = build(make.run(make.item(make.measurement(max_latency_ns=MS), outcome="xfailed")))
    assert (document["succeeded"], document["failureReason"]) == (True, None)
    assert document["measurements"][0]["succeeded"] is False


def test_E66_of_reruns_the_last_one_counts_and_all_are_listed(make: Make) -> None:
    first = make.item(make.measurement(max_latency_ns=MS))
    second = replace(make.item(), attempt=2)
    document = build(make.run(first, second))
    assert document["succeeded"] is True
    assert [(one["attempt"], one["succeeded"]) for one in document["measurements"]] == [(1, False), (2, True)]
    assert last_attempts((first, second)) == (second,)


def test_a_failed_test_without_a_known_cause_still_has_a_reason(make: Make) -> None:
    assert build(make.run(make.item(outcome="error")))["failureReason"] == "run: the test ended as error"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (True, False, True),
        (None, True, True),
        (False, False, False),
        (False, None, None),
        (None, None, None),
    ],
)
def test_E37_emulation_that_is_not_known_of_both_guests_is_absent(
    make: Make, source: bool | None, target: bool | None, said: bool | None
) -> None:
    measured = make.measurement()
    ends = [
        GuestFacts(vmi_name="a", namespace="ns", node="w", address="198.18.0.1", software_emulation=one)
        for one in (source, target)
    ]
    entry = measurement_entry(make.item(replace(measured, source=ends[0], target=ends[1])))
    assert entry["softwareEmulation"] is said


@pytest.mark.edge_case(
    "E37",
    happens="The guests run under software emulation.",
    does="Adds a note:",
    says="the guests ran under software emulation, which inflates round-trip times",
)
def test_E37_software_emulation_is_said(make: Make) -> None:
    measured = make.measurement()
    slow = GuestFacts(
        vmi_name="a",
        namespace="ns",
        node="w",
        address="198.18.0.1",
        notes=("configured",),
        software_emulation=True,
    )
    entry = measurement_entry(make.item(replace(measured, source=slow, notes=("the node changed",))))
    assert entry["softwareEmulation"] is True
    assert entry["notes"] == [
        "the node changed",
        "source: configured",
        "the guests ran under software emulation, which inflates round-trip times",
    ]


def test_further_measurements_stand_under_extra_without_limits(make: Make) -> None:
    entry = measurement_entry(make.item(extra=(make.measurement((5 * MS,)),)))
    assert entry["extra"][0]["maxLatencyNanoSec"] == 5 * MS
    assert entry["extra"][0]["limits"] is None
    assert "nodeid" not in entry["extra"][0]


def test_a_migration_is_in_the_document_with_its_gaps_and_phases(make: Make) -> None:
    entry = measurement_entry(make.item(make.migrated()))
    assert entry["nodes"] == "worker1:worker2>worker3"
    assert entry["longestGap"] == {"nanoSec": 1_300 * MS, "beginsNanoSec": 1_400 * MS, "lost": 12}
    assert entry["gapResolutionNanoSec"] == 100 * MS
    assert len(entry["repliesNanoSec"]) == len(entry["samplesNanoSec"])
    assert entry["limits"]["maxGapNanoSec"] is None
    migration = entry["migration"]
    assert {name: value for name, value in migration.items() if name != "phases"} == {
        "name": "kvlatency-move-x",
        "sourceNode": "worker2",
        "requestedNode": "worker3",
        "targetNode": "worker3",
        "succeeded": True,
        "failureReason": None,
        "mode": "PreCopy",
        "createdTimestamp": "2024-05-01T12:00:01.999Z",
        "createdNanoSec": 1_000 * MS,
        "endedNanoSec": 7_200 * MS,
        "clockErrorNanoSec": 4 * MS,
        "preparationGap": {"nanoSec": 1_300 * MS, "beginsNanoSec": 1_400 * MS, "lost": 12},
        "switchoverGap": {"nanoSec": 400 * MS, "beginsNanoSec": 6_700 * MS, "lost": 3},
        "rttBefore": {"count": 11, "minNanoSec": MS, "avgNanoSec": MS, "maxNanoSec": MS},
        "rttAfter": {"count": 40, "minNanoSec": 2 * MS, "avgNanoSec": 2 * MS, "maxNanoSec": 2 * MS},
        "lostInGaps": 15,
    }
    assert migration["phases"][1] == {
        "phase": "Scheduling",
        "notBeforeNanoSec": 200 * MS,
        "seenNanoSec": 300 * MS,
        "timestamp": "2024-05-01T12:00:02Z",
    }


def test_a_failed_migration_to_any_node_gives_its_reason(make: Make) -> None:
    entry = measurement_entry(make.item(make.migrated(destination="?", failure="no node is left")))
    migration = entry["migration"]
    # The guest is still where it was.
    assert (migration["requestedNode"], migration["targetNode"]) == (None, "worker2")
    assert (migration["succeeded"], migration["failureReason"]) == (False, "no node is left")
    assert migration["switchoverGap"] is None


def test_a_long_transcript_keeps_both_ends(make: Make) -> None:
    failure = Failure(kind="guest", stage="setup", reason="no login", transcript="a" * 100_000 + "the end")
    text = measurement_entry(make.broken(failures=(failure,)))["transcript"]
    assert text.endswith("the end")
    assert "[84007 characters cut]" in text
    assert len(text) < TEXT_HEAD + TEXT_TAIL + 50


def test_without_a_cluster_there_are_no_facts(make: Make) -> None:
    assert build(make.run(cluster=None))["cluster"] is None
