"""Migrations and their gaps in every report that is text."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_kvlatency.checkup.statuswords import status_numbers
from pytest_kvlatency.model import Exceeded, Failure, Gap, Gaps, Limits
from pytest_kvlatency.report import csv as csv_report
from pytest_kvlatency.report import prometheus
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.comparison.baseline import key_of
from pytest_kvlatency.report.configmapstatus import final_changes, worst_of
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.entries import pair, verdict
from pytest_kvlatency.report.html import cells_of, details
from pytest_kvlatency.report.junit.properties import case_properties, is_own
from pytest_kvlatency.report.markdown.jobsummary import render
from pytest_kvlatency.report.matrix.matrix import matrices
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.page import migrationsection
from pytest_kvlatency.report.schema.shape import completed
from pytest_kvlatency.report.terminal.summary import summary

if TYPE_CHECKING:
    from conftest import Make

    from pytest_kvlatency.model import Measurement
    from pytest_kvlatency.report.run import ItemResult

MS = 1_000_000
TOO_LONG = Failure(
    kind="gap",
    stage="run",
    reason='actual longest gap "1.3s" is greater than desired "1s"',
    hint="set disableContainerInterface in the NAD",
    summary="the gap exceeds the limit",
    exceeded=Exceeded(limit="max_gap_ns", measured=1_300 * MS, accepted=1_000 * MS),
)
STUCK = Failure(
    kind="provision", stage="run", reason="no node is left for the guest", summary="no node is left"
)


def item(make: Make, fault: Failure | None = None, /, **how: Any) -> ItemResult:
    moved = make.migrated(**how)
    made = make.item(replace(moved, failures=() if fault is None else (fault,)))
    assert made.check is not None
    return replace(made, nodeid=f"kvlatency::check[{made.check.id}]")


def entry(make: Make, fault: Failure | None = None, /, **how: Any) -> dict[str, Any]:
    return measurement_entry(item(make, fault, **how))


def screen(document: dict[str, Any], width: int = 100) -> list[str]:
    return ["".join(span.text for span in line) for line in summary(document, width, room=40)]


def with_switchover(moved: Measurement, length_ns: int) -> Measurement:
    assert moved.migration is not None
    gap = Gap(begins_ns=6_700 * MS, length_ns=length_ns)
    return replace(moved, migration=replace(moved.migration, switchover_gap=gap))


def test_a_pair_is_shown_with_the_node_where_its_target_went(make: Make) -> None:
    assert pair(entry(make)) == "worker1 → worker2>worker3"
    # Wherever the cluster likes: where it went, and, of a failed migration, what was asked for.
    assert pair(entry(make, destination="?")) == "worker1 → worker2>worker9"
    assert pair(entry(make, STUCK, destination="?", failure="no node")) == "worker1 → worker2>?"
    assert pair(measurement_entry(make.item())) == "worker1 → worker2"


def test_a_pair_whose_target_was_never_up_is_shown_with_the_node_where_it_was_to_go(make: Make) -> None:
    unmeasured = replace(item(make, STUCK), measurement=None, outcome="error", failures=(STUCK,))
    assert pair(measurement_entry(unmeasured)) == "worker1 → worker2>worker3"


def test_a_broken_limit_of_the_gap_stands_beside_the_gap(make: Make) -> None:
    assert verdict(entry(make, TOO_LONG, max_gap_ns=1_000 * MS)) == "FAILED gap 1.3s > 1s"
    lossy = Failure(
        kind="loss",
        stage="run",
        reason="more is lost than accepted",
        exceeded=Exceeded(limit="max_loss_percent", measured=1.5, accepted=0),
    )
    # The loss of the whole sample is 11.5%: what was lost in the gaps does not count.
    assert verdict(entry(make, lossy, max_loss_percent=0.0, max_latency_ns=1)) == "FAILED loss 1.5% > 0%"
    silent = Failure(kind="connectivity", stage="run", reason="no reply since the migration to worker3")
    assert verdict(entry(make, silent)) == "FAILED no reply afterwards"


def test_E67_a_guests_words_that_read_like_a_broken_limit_are_no_number(make: Make) -> None:
    said = 'the console says: actual max latency "24ms" is greater than desired "10ms"'
    other = Failure(kind="teardown", stage="teardown", reason=said)
    made = item(make, TOO_LONG, max_gap_ns=1_000 * MS)
    made = replace(made, failures=(other,))
    assert verdict(measurement_entry(made)) == "FAILED gap 1.3s > 1s"


def test_what_broke_which_limit_stands_in_the_document_as_it_was_judged(make: Make) -> None:
    moved = make.migrated(max_gap_ns=1_000 * MS, max_latency_ns=MS)
    (late, gap) = measurement_entry(make.item(moved))["failures"]
    assert late["exceeded"] == {"limit": "maxLatencyNanoSec", "measured": 2 * MS, "accepted": MS}
    assert gap["exceeded"] == {"limit": "maxGapNanoSec", "measured": 1_300 * MS, "accepted": 1_000 * MS}
    assert [one["exceeded"] for one in entry(make, STUCK)["failures"]] == [None]


def test_of_an_older_documents_migration_only_the_gap_is_known_to_exceed_its_limit(make: Make) -> None:
    """Its numbers are of the whole sample, of which the other limits judge a part."""
    made = build(make.run(make.item(make.migrated(max_gap_ns=1_000 * MS, max_latency_ns=MS))))
    for one in made["measurements"][0]["failures"]:
        del one["exceeded"]
    (older,) = completed(made)["measurements"]
    assert verdict(older) == "FAILED gap 1.3s > 1s"


def test_of_an_older_document_each_limit_that_its_numbers_exceed_is_known(make: Make) -> None:
    measured = make.measurement((MS, 3 * MS), transmitted=4, max_latency_ns=2 * MS, max_avg_ns=5 * MS)
    made = build(make.run(make.item(measured)))
    said = verdict(made["measurements"][0])
    for one in made["measurements"][0]["failures"]:
        del one["exceeded"]
    (older,) = completed(made)["measurements"]
    assert verdict(older) == said == "FAILED max 3ms > 2ms, loss 50% > 0%"


def test_the_terminal_has_a_table_of_migrations_with_both_gaps_the_failed_ones_first(make: Make) -> None:
    items = [
        item(make),
        item(make, TOO_LONG, target="worker3", destination="worker1", max_gap_ns=1_000 * MS),
        item(make, STUCK, target="worker4", destination="worker5", failure="no node"),
        item(make, target="worker5", destination="?", preparation_ms=200, switchover_ms=1_700),
    ]
    lines = screen(build(make.run(*items)))
    assert "2 of 4 pairs failed: 1 with too long a gap, 1 could not be measured" in lines
    start = lines.index("live migrations on default/blue-network: gaps in ms (±100)")
    assert lines[start + 1 : start + 6] == [
        "nodes                      preparation  switch-over  lost  rtt before/after  verdict",
        "worker1 → worker3>worker1         1300          400    15       1.000/2.000  FAILED gap 1.3s > 1s",
        "worker1 → worker4>worker5         1300            -    12       1.000/2.000  FAILED provision",
        "worker1 → worker5>worker9          200         1700    17       1.000/2.000  ok",
        "worker1 → worker2>worker3         1300          400    15       1.000/2.000  ok",
    ]


def test_a_precision_of_a_second_is_a_plain_number(make: Make) -> None:
    document = build(make.run(item(make)))
    document["measurements"][0]["gapResolutionNanoSec"] = 1_000_116_817
    assert "live migrations on default/blue-network: gaps in ms (±1000)" in screen(document)


def test_of_a_good_run_the_verdict_names_the_longest_gap(make: Make) -> None:
    lines = screen(build(make.run(item(make), item(make, destination="worker4", switchover_ms=1_500))))
    assert lines[0] == ("2 pairs passed; longest gap 1.5s, default/blue-network worker1 → worker2>worker4")


def test_a_narrow_terminal_shortens_each_of_three_nodes(make: Make) -> None:
    names = {"target": "storage-node-rack-2", "destination": "storage-node-rack-3"}
    line = screen(build(make.run(item(make, **names))), 70)[-1]
    assert line == "worker1 → storag…ack-2>storag…ack-3         1300          400  ok"


def test_more_migrations_than_a_screen_has_room_for_are_counted(make: Make) -> None:
    many = [item(make, target=f"worker{n}", destination=f"worker{n + 1}") for n in range(2, 42)]
    lines = screen(build(make.run(*many)))
    assert len(lines) <= 40
    assert lines[-1] == "and 30 more migrations, none with a longer gap"


def test_nothing_is_said_of_the_gaps_left_out_where_failed_migrations_with_shorter_ones_are_shown(
    make: Make,
) -> None:
    failed = [item(make, STUCK, target=f"worker{n}", failure="no node") for n in range(4, 14)]
    longer = item(make, target="worker14", switchover_ms=1_700)
    lines = screen(build(make.run(*failed, longer)))
    assert lines[-1] == "and 1 more migration"


def test_the_page_names_the_phases_in_their_order_though_the_first_migration_skipped_one(make: Make) -> None:
    whole, quick = item(make), item(make, target="worker4")
    measured = quick.measurement
    assert measured is not None
    assert measured.migration is not None
    seen = tuple(phase for phase in measured.migration.phases if phase.name != "Scheduled")
    moved = replace(measured.migration, phases=seen)
    skipping = replace(quick, measurement=replace(measured, migration=moved))
    page = migrationsection.section(build(make.run(skipping, whole)))
    named = re.findall(r'<span class="swatch p\d"></span>(\w+)</li>', page)
    assert named[:6] == ["Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running"]


def test_what_a_test_migrates_itself_is_in_the_table_too(make: Make) -> None:
    own = make.item(extra=(make.migrated(), make.measurement()))
    lines = screen(build(make.run(own)))
    assert "worker1 → worker2>worker3  test_y         1300          400    15       1.000/2.000" in lines
    assert sum("kv_ping" in line for line in lines) == 1


def test_a_migration_beside_the_tests_own_has_its_own_verdict_in_every_table(make: Make) -> None:
    bad = replace(make.migrated(target="worker4"), failures=(TOO_LONG,))
    test = replace(item(make, STUCK, failure="no node"), extra=(make.migrated(), bad))
    document = build(make.run(test))
    page = re.findall(r'<span class="state (\w+)">(.*?)</span>', migrationsection.section(document))
    assert page == [("bad", "FAILED provision"), ("odd", "kv_migration"), ("bad", "FAILED gap")]
    table = [line.split(" | ")[2] for line in render(document).splitlines() if "&gt;worker3 |" in line]
    assert table == [word for _, word in page]


def test_a_limit_on_the_gap_brings_a_column_with_it_where_a_terminal_is_wide(make: Make) -> None:
    measured = make.measurement()
    gaps = Gaps(longest=Gap(begins_ns=0, length_ns=103_400_000), interval_ns=100 * MS)
    limited = replace(measured.check, limits=Limits(max_gap_ns=200 * MS))
    lines = screen(build(make.run(make.item(replace(measured, check=limited, gaps=gaps)))), 160)
    assert lines[-2].split()[-3:] == ["gap", "ms", "verdict"]
    assert lines[-1].split()[-2:] == ["104", "ok"]


def test_what_kv_stream_measured_has_its_name_and_its_gap(make: Make) -> None:
    measured = make.measurement()
    assert measured.result is not None
    gaps = Gaps(longest=Gap(begins_ns=0, length_ns=217 * MS), interval_ns=10 * MS)
    stream = replace(measured, result=replace(measured.result, replied_at_ns=(0, 217 * MS)), gaps=gaps)
    document = build(make.run(make.item(extra=(stream, measured))))
    lines = screen(document, 160)
    assert [line.split()[0] for line in lines[-2:]] == ["kv_stream", "kv_ping"]
    assert [line.split()[-1] for line in lines[-2:]] == ["217", "3.000"]
    assert "kv_stream 1: " in details(document["measurements"][0])
    assert "| kv_stream |" in render(document)


def test_migrations_are_in_no_cell_of_a_matrix(make: Make) -> None:
    pairs = [make.item(make.measurement(target=f"worker{n}")) for n in range(2, 5)]
    (matrix,) = matrices(build(make.run(*pairs, item(make, TOO_LONG, max_gap_ns=MS)))["measurements"])
    assert {cell.state for cell in matrix.cells.values()} == {"ok"}
    assert len(matrix.cells) == 3


def test_a_gap_beyond_its_limit_is_over_the_limit_in_the_matrix(make: Make) -> None:
    pairs = [make.item(make.measurement(target=f"worker{n}")) for n in range(2, 5)]
    pairs[0] = make.item(replace(make.measurement(), failures=(TOO_LONG,)))
    (matrix,) = matrices(build(make.run(*pairs))["measurements"])
    assert [cell.state for cell in matrix.worst] == ["over", "ok", "ok"]


def test_junit_has_the_gaps_and_the_node_as_properties(make: Make) -> None:
    found = dict(case_properties(entry(make, max_gap_ns=5_000 * MS)))
    wanted = {
        "longestGapNanoSec": "1300000000",
        "preparationGapNanoSec": "1300000000",
        "switchoverGapNanoSec": "400000000",
        "migrationTargetNode": "worker3",
        "limits.maxGapNanoSec": "5000000000",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert all(map(is_own, wanted))
    assert not {*wanted} & dict(case_properties(measurement_entry(make.item()))).keys()


def test_the_configmap_has_whole_milliseconds_rounded_up(make: Make) -> None:
    moved = with_switchover(make.migrated(), 400 * MS + 1)
    changes = final_changes(build(make.run(make.item(moved), make.broken(target="worker4"))))
    assert changes["status.result.longestGapMilliSec"] == "1300"
    assert changes["status.result.preparationGapMilliSec"] == "1300"
    assert changes["status.result.switchoverGapMilliSec"] == "401"
    assert changes["status.result.targetNode"] == "worker2"
    listed = json.loads(changes["status.result.measurements"] or "")
    assert [one.get("switchoverGapMilliSec") for one in listed] == [401, None]


def test_the_configmap_says_where_a_guest_went_and_what_that_lost(make: Make) -> None:
    found = make.migrated()
    assert found.migration is not None
    moved = make.item(replace(found, migration=replace(found.migration, lost_in_gaps=7)))
    changes = final_changes(build(make.run(moved, make.broken(target="worker4"))))
    assert changes["status.result.migrationTargetNode"] == "worker3"
    assert changes["status.result.packetsLostInGaps"] == "7"
    first, second = json.loads(changes["status.result.measurements"] or "")
    assert (first["migrationTargetNode"], first["packetsLostInGaps"]) == ("worker3", 7)
    assert not {"migrationTargetNode", "packetsLostInGaps"} & second.keys()


def test_reports_that_show_milliseconds_round_a_gap_up_as_the_configmap_does(make: Make) -> None:
    made = make.item(with_switchover(make.migrated(), 400 * MS + 1))
    document = build(make.run(made))
    (moved,) = document["measurements"]
    assert screen(document)[-1].split()[-5:-3] == ["1300", "401"]
    assert '<td class="number">401</td>' in migrationsection.section(document)
    assert "switch-over gap: 401 ms" in migrationsection.section(document)
    assert "| 401 |" in render(document)
    assert "switch-over gap 401 ms" in details(moved)


def test_a_gap_that_exceeds_its_limit_by_less_than_a_millisecond_looks_longer_than_it(make: Make) -> None:
    measured = make.measurement((MS,) * 10)
    gap = Gap(begins_ns=0, length_ns=200 * MS + 1)
    over = Failure(
        kind="gap", stage="run", reason="too long a gap",
        exceeded=Exceeded(limit="max_gap_ns", measured=gap.length_ns, accepted=200 * MS),
    )  # fmt: skip
    gaps = Gaps(longest=gap, interval_ns=100 * MS)
    check = replace(measured.check, limits=Limits(max_gap_ns=200 * MS))
    failed = make.item(replace(measured, check=check, gaps=gaps, failures=(over,)))
    assert failed.measurement is not None
    assert verdict(measurement_entry(failed)) == "FAILED gap 201ms > 200ms"
    assert status_numbers(failed.measurement).startswith("201 ms gap")
    assert screen(build(make.run(failed)), 160)[-1].split()[-6:-5] == ["201"]
    good = make.item(with_switchover(make.migrated(preparation_ms=200), 1_700 * MS + 1))
    assert good.measurement is not None
    assert good.measurement.migration is not None
    longest = replace(gaps, longest=good.measurement.migration.switchover_gap)
    good = replace(good, measurement=replace(good.measurement, gaps=longest))
    assert screen(build(make.run(good)))[0] == "1 pair passed; longest gap 1.701s"


def test_the_worst_pair_of_a_configmap_is_one_with_too_long_a_gap_before_a_slow_one(make: Make) -> None:
    slow = make.item(make.measurement((900 * MS,), target="worker4", max_latency_ns=MS))
    entries = build(make.run(slow, item(make, TOO_LONG)))["measurements"]
    assert (worst_of(entries) or {})["failureKind"] == "gap"


def test_the_metrics_have_each_gap_in_seconds(make: Make) -> None:
    document = build(
        make.run(item(make, max_gap_ns=5_000 * MS), item(make, STUCK, destination="?", failure="x"))
    )
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(prometheus.render(document)):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    assert [value for _, value in found["kvlatency_longest_gap_seconds"]] == [1.3, 1.3]
    gaps = [
        (labels["pair"], labels["phase"], value) for labels, value in found["kvlatency_migration_gap_seconds"]
    ]
    assert gaps == [
        ("worker1:worker2>worker3", "preparation", 1.3),
        ("worker1:worker2>worker3", "switchover", 0.4),
        ("worker1:worker2>?", "preparation", 1.3),
    ]
    assert [value for _, value in found["kvlatency_migration_success"]] == [1, 0]
    ((labels, limit),) = found["kvlatency_limit_gap_seconds"]
    assert (limit, labels["target_node"]) == (5, "worker2")


def test_a_metric_of_a_guest_that_was_never_up_names_the_node_where_it_was_to_start(make: Make) -> None:
    unmeasured = replace(item(make), measurement=None, outcome="error", failures=(STUCK,))
    text = prometheus.render(build(make.run(unmeasured)))
    assert 'pair="worker1:worker2>worker3",source_node="worker1",target_node="worker2"' in text


def test_the_table_for_spreadsheets_has_each_gap(make: Make) -> None:
    (row,) = csv.DictReader(io.StringIO(csv_report.render(build(make.run(item(make))))))
    assert row["nodes"] == "worker1:worker2>worker3"
    assert row["longestGap.nanoSec"] == row["migration.preparationGap.nanoSec"] == "1300000000"
    assert row["migration.switchoverGap.beginsNanoSec"] == "6700000000"
    assert row["migration.rttAfter.avgNanoSec"] == "2000000"
    assert row["migration.targetNode"] == "worker3"


@pytest.mark.parametrize(
    ("moves", "sentences"),
    [
        ([(2, 3, True)], ["the gap exceeds the limit when a guest migrates from worker2 to worker3"]),
        ([(2, 3, True), (3, 4, True)], ["the gap exceeds the limit on default/blue-network"]),
        ([(2, 3, True), (4, 3, True), (4, 2, False)], ["the gap exceeds the limit to and from worker3"]),
        (
            [(2, 3, True), (3, 2, False)],
            ["the gap exceeds the limit when a guest migrates from worker2 to worker3"],
        ),
    ],
)
def test_too_long_gaps_are_blamed_on_migrations_alone_however_good_the_network_is_without_one(
    make: Make, moves: list[tuple[int, int, bool]], sentences: list[str]
) -> None:
    good = [make.item(make.measurement(target=f"worker{n}")) for n in range(2, 5)]
    moved = [
        item(make, TOO_LONG if is_bad else None, target=f"worker{start}", destination=f"worker{end}")
        for start, end, is_bad in moves
    ]
    causes = find_causes([measurement_entry(one) for one in (*good, *moved)])
    assert [one["sentence"] for one in causes] == sentences
    assert causes[0]["advice"] == TOO_LONG.hint


def test_a_migration_is_compared_with_the_same_migration_only(make: Make) -> None:
    keys = [
        key_of(one)
        for one in (entry(make), entry(make, destination="worker4"), measurement_entry(make.item()))
    ]
    assert [key.target if key else None for key in keys] == ["worker2>worker3", "worker2>worker4", "worker2"]


def test_the_row_of_pytest_html_names_the_node_where_the_guest_went(make: Make) -> None:
    nodes, *_ = cells_of(entry(make, destination="?"))["columns"]
    assert "worker1 → worker2&gt;worker9<" in nodes
    assert "Live migration kvlatency-move-x: preparation gap 1300 ms, switch-over gap 400 ms<" in details(
        entry(make)
    )
    failed = details(entry(make, STUCK, failure="no node <is> left"))
    assert "preparation gap 1300 ms, which failed: no node &lt;is&gt; left<" in failed


def test_a_document_without_gaps_has_reports_as_before(make: Make) -> None:
    """As older documents are: without the keys."""
    document = build(make.run(make.item(), make.item(make.measurement(target="worker3"))))
    for one in document["measurements"]:
        for name in ("longestGap", "gapResolutionNanoSec", "repliesNanoSec", "migration"):
            del one[name]
        del one["limits"]["maxGapNanoSec"]
    assert screen(document)[0].startswith("2 pairs passed; worst 3ms")
    assert not re.search("^kvlatency_[a-z_]*(gap|migration)", prometheus.render(document), re.MULTILINE)
    (row, _) = csv.DictReader(io.StringIO(csv_report.render(document)))
    assert row["longestGap.nanoSec"] == row["migration.name"] == ""
