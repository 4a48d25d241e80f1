"""The keys of a checkup's ConfigMap."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.configmapstatus import (
    LIST_BYTES,
    final_changes,
    smaller_changes,
    start_changes,
    worst_of,
)
from pytest_kvlatency.report.document import build

if TYPE_CHECKING:
    from conftest import Make

MS = 1_000_000


def test_the_start_removes_every_result_of_an_earlier_run_and_nothing_else() -> None:
    keys = [
        "spec.timeout",
        "status.succeeded",
        "status.result.minLatencyNanoSec",
        "status.result.old",
        "status.other",
    ]
    assert start_changes(datetime(2024, 5, 1, 12, 0, 0, tzinfo=timezone.utc), keys) == {
        "status.startTimestamp": "2024-05-01T12:00:00Z",
        "status.succeeded": None,
        "status.result.minLatencyNanoSec": None,
        "status.result.old": None,
    }


def test_a_success_writes_every_key(make: Make) -> None:
    samples = tuple(n * 10_000 for n in range(1, 101))
    assert final_changes(build(make.run(make.item(make.measurement(samples))))) == {
        "status.startTimestamp": "2024-05-01T12:00:00Z",
        "status.completionTimestamp": "2024-05-01T12:00:20Z",
        "status.succeeded": "true",
        "status.failureReason": "",
        "status.result.minLatencyNanoSec": "10000",
        "status.result.avgLatencyNanoSec": "505000",
        "status.result.maxLatencyNanoSec": "1000000",
        "status.result.p50LatencyNanoSec": "500000",
        "status.result.p90LatencyNanoSec": "900000",
        "status.result.p99LatencyNanoSec": "990000",
        "status.result.measurementDurationSec": "5",
        "status.result.sourceNode": "worker1",
        "status.result.targetNode": "worker2",
        "status.result.packetsTransmitted": "100",
        "status.result.packetsReceived": "100",
        "status.result.packetLossPercent": "0",
        "status.result.longestGapMilliSec": None,
        "status.result.preparationGapMilliSec": None,
        "status.result.switchoverGapMilliSec": None,
        "status.result.packetsLostInGaps": None,
        "status.result.migrationTargetNode": None,
        "status.result.measurements": None,
        "status.result.notes": None,
    }


def test_E30_a_network_without_replies(make: Make) -> None:
    changes = final_changes(build(make.run(make.item(make.measurement((), transmitted=50)))))
    assert changes["status.succeeded"] == "false"
    assert changes["status.failureReason"] == (
        "run: failed to run check: failed due to connectivity issue: 50 packets transmitted, 0 packets received"
    )
    assert changes["status.result.minLatencyNanoSec"] is None
    assert changes["status.result.maxLatencyNanoSec"] is None
    assert changes["status.result.packetLossPercent"] == "100"


def test_over_the_limit_keeps_the_numbers(make: Make) -> None:
    changes = final_changes(
        build(make.run(make.item(make.measurement((12_300_000,), max_latency_ns=10 * MS))))
    )
    assert (
        changes["status.failureReason"] == 'run: actual max latency "12.3ms" is greater than desired "10ms"'
    )
    assert changes["status.result.maxLatencyNanoSec"] == "12300000"


def test_a_run_without_any_measurement_removes_every_number(make: Make) -> None:
    failure = Failure(kind="config", stage="config", reason="no check was selected")
    changes = final_changes(build(make.run(failures=(failure,))))
    assert changes["status.failureReason"] == "config: no check was selected"
    assert {value for key, value in changes.items() if key.startswith("status.result.")} == {None}


def test_loss_is_a_plain_decimal(make: Make) -> None:
    changes = final_changes(build(make.run(make.item(make.measurement((1, 2), transmitted=3)))))
    assert changes["status.result.packetLossPercent"] == "33.3333"


def test_E64_of_several_pairs_the_worst_has_the_plain_keys_and_leads_the_list(make: Make) -> None:
    good = make.item(make.measurement((9 * MS,), target="worker2"))
    slow = make.item(make.measurement((5 * MS,), target="worker3", max_latency_ns=MS))
    lossy = make.item(make.measurement((MS,), transmitted=2, target="worker4"))
    dead = make.item(make.measurement((), transmitted=2, target="worker5"))
    broken = make.broken(target="worker6")

    def order(*items: Any) -> list[str]:
        changes = final_changes(build(make.run(*items)))
        listed = json.loads(changes["status.result.measurements"] or "")
        assert changes["status.result.targetNode"] == listed[0]["targetNode"]
        return [one["nodes"].removeprefix("worker1:") for one in listed]

    assert order(good, slow, lossy, dead, broken) == ["worker5", "worker4", "worker3", "worker2", "worker6"]
    faster = make.item(make.measurement((8 * MS,), target="worker7"))
    assert order(faster, good) == ["worker2", "worker7"]


def test_the_list_has_the_numbers_without_samples(make: Make) -> None:
    changes = final_changes(build(make.run(make.item(), make.item(make.measurement(target="worker3")))))
    one = json.loads(changes["status.result.measurements"] or "")[0]
    assert one["maxLatencyNanoSec"] == 3 * MS
    assert one["p99LatencyNanoSec"] is None
    assert not {"samplesNanoSec", "transcript"} & set(one)


def test_a_list_that_would_be_too_long_says_how_much_it_lacks(make: Make) -> None:
    items = [make.item(make.measurement((n,), target=f"worker{n}-{'x' * 200}")) for n in range(1, 1200)]
    text = final_changes(build(make.run(*items)))["status.result.measurements"] or ""
    assert len(text.encode()) < LIST_BYTES
    listed = json.loads(text)
    assert listed[-1] == {"cut": len(items) - len(listed) + 1}
    assert listed[0]["maxLatencyNanoSec"] == 1199


def test_reasons_without_end_are_cut(make: Make) -> None:
    failures = [Failure(kind="provision", stage="setup", reason=f"{n} {'x' * 1_000}") for n in range(100)]
    text = final_changes(build(make.run(make.broken(failures=tuple(failures)))))["status.failureReason"] or ""
    assert text.startswith("setup: 0 xxx")
    assert text.endswith(
        f"xxx [{sum(len(one.failure_reason) + 2 for one in failures) - 2 - 16_384} characters cut]"
    )


def test_E89_a_reason_of_a_megabyte_keeps_both_ends(make: Make) -> None:
    failure = Failure(kind="provision", stage="setup", reason="b" + "x" * 1_000_000 + "e")
    text = final_changes(build(make.run(make.broken(failures=(failure,)))))["status.failureReason"] or ""
    assert text.startswith("setup: bxxx")
    assert text.endswith("xxxe")
    assert len(text) < 5_000


def test_E66_an_earlier_attempt_is_not_the_result(make: Make) -> None:
    first = make.item(make.measurement((), transmitted=2))
    changes = final_changes(build(make.run(first, make.item(attempt=2))))
    assert changes["status.result.packetsReceived"] == "2"
    assert changes["status.result.measurements"] is None
    assert worst_of([]) is None


TROUBLE = "teardown: the result could not be written"


def test_E57_what_does_not_fit_is_written_without_the_list_and_then_without_numbers(make: Make) -> None:
    whole = final_changes(build(make.run(make.item(), make.item(make.measurement(target="worker3")))))
    without_list, outcome, least, *_ = smaller_changes(whole, TROUBLE)
    assert without_list["status.result.measurements"] is None
    assert without_list["status.result.maxLatencyNanoSec"] == whole["status.result.maxLatencyNanoSec"]
    assert least["status.failureReason"] == "teardown: no room for the result"
    for changes in (without_list, outcome):
        assert changes.keys() == whole.keys()
        assert (changes["status.succeeded"], changes["status.failureReason"]) == ("false", TROUBLE)
    for changes in (outcome, least):
        kept = {key.removeprefix("status.") for key, value in changes.items() if value is not None}
        assert kept == {"startTimestamp", "completionTimestamp", "succeeded", "failureReason"}


@pytest.mark.parametrize(
    ("reason", "kept"), [("run: short", f"run: short; {TROUBLE}"), ("x" * 1024, TROUBLE)]
)
def test_E57_a_reason_that_hardly_fits_gives_way(make: Make, reason: str, kept: str) -> None:
    changes = {**final_changes(build(make.run(make.item()))), "status.failureReason": reason}
    outcome, *_ = smaller_changes(changes, TROUBLE)
    assert outcome["status.failureReason"] == kept


def test_E57_where_hardly_anything_fits_all_four_keys_are_shortened(make: Make) -> None:
    whole = final_changes(build(make.run(make.item(), make.item(make.measurement(target="worker3")))))
    sizes = []
    for changes in smaller_changes(whole, TROUBLE)[3:]:
        kept = {key: value for key, value in changes.items() if value is not None}
        assert {key.removeprefix("status.") for key in kept} == {
            "startTimestamp",
            "completionTimestamp",
            "succeeded",
            "failureReason",
        }
        assert kept["status.succeeded"] == "false"
        sizes.append(sum(map(len, kept.values())))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < len("2026-01-01T00:00:00Z")
