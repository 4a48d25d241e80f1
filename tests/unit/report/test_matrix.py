"""Matrices: cells, marks, who stands out; and in HTML."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from pytest_kvlatency.report.matrix import heatmap
from pytest_kvlatency.report.matrix.cell import described, milliseconds
from pytest_kvlatency.report.matrix.matrix import Matrix, matrices

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000
NAD = "default/blue-network"
#: What one pair came to: its worst time in ms, or the kind of its failure.
Result = float | str


def entry(source: str, target: str, result: Result = 0.2, **changes: Any) -> dict[str, Any]:
    kind = result if isinstance(result, str) else None
    is_measured = kind in (None, "connectivity", "loss")
    limit = changes.pop("limit_ms", None)
    time = None if isinstance(result, str) else round(result * MS)
    if time is not None and limit is not None and result > limit:  # type: ignore[operator]
        kind = "latency"
    values: dict[str, Any] = {
        "nodeid": f"check[{NAD}-{source}:{target}]",
        "attempt": 1,
        "outcome": "passed" if kind is None else "failed" if is_measured or time else "error",
        "nad": NAD,
        "nodes": f"{source}:{target}",
        "sourceNode": source if is_measured or time else None,
        "targetNode": target if is_measured or time else None,
        "succeeded": kind is None,
        "failureKind": kind,
        "failureReason": None if kind is None else f"run: {kind} of {source} and {target}",
        "transmitted": 50 if is_measured or time else None,
        "received": {"connectivity": 0, "loss": 40}.get(str(kind), 50),
        "lossPercent": {"connectivity": 100.0, "loss": 20.0}.get(str(kind), 0.0),
        "maxLatencyNanoSec": 200_000 if kind == "loss" else time,
        "limits": {"maxLatencyNanoSec": None if limit is None else limit * MS},
        "notes": [],
        "extra": [],
        "ping": None,
        **dict.fromkeys(("minLatencyNanoSec", "avgLatencyNanoSec"), time),
        **dict.fromkeys(("p50LatencyNanoSec", "p90LatencyNanoSec", "p99LatencyNanoSec"), time),
    }
    return {**values, **changes}


def mesh(count: int, results: dict[str, Result] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """A mesh of worker1 to workerN; ``results`` by ``source:target`` of numbers, or by one number for a whole node."""
    found = []
    for source, target in combinations(range(1, count + 1), 2):
        special = results or {}
        result = special.get(f"{source}:{target}", special.get(str(source), special.get(str(target), 0.2)))
        found.append(entry(f"worker{source}", f"worker{target}", result, **changes))
    return found


def only(entries: list[dict[str, Any]]) -> Matrix:
    (matrix,) = matrices(entries)
    return matrix


def stand_outs(entries: list[dict[str, Any]]) -> list[str]:
    return list(only(entries).stand_outs.values())


# --- cells


def test_a_matrix_takes_three_pairs_between_three_nodes_of_one_network() -> None:
    assert matrices(mesh(2)) == ()
    assert matrices(mesh(3)[:2]) == ()
    assert matrices([entry("a", "b"), entry("b", "a"), entry("a", "a")]) == ()
    others = [entry("a", "c", nad="default/red-network", nodeid="red")]
    assert matrices([*mesh(3)[:2], *others]) == ()
    assert only(mesh(3)).nodes == ("worker1", "worker2", "worker3")


def test_nodes_stand_in_the_order_of_their_numbers() -> None:
    assert only(mesh(11)).nodes[-3:] == ("worker9", "worker10", "worker11")


def test_E66_the_last_attempt_counts() -> None:
    again = entry("worker1", "worker2", 7.0, attempt=2)
    cell = only([*mesh(3, {"1:2": "connectivity"}), again]).cell("worker1", "worker2")
    assert cell is not None
    assert (cell.state, cell.max_ns, cell.attempt) == ("ok", 7 * MS, 2)


def test_of_two_items_with_one_pair_the_worse_is_shown() -> None:
    other = entry("worker1", "worker2", "connectivity", nodeid="another")
    for entries in ([other, *mesh(3)], [*mesh(3), other]):
        cell = only(entries).cell("worker1", "worker2")
        assert cell is not None
        assert (cell.state, cell.nodeid) == ("dead", "another")


def test_auto_pairs_stand_at_the_nodes_where_they_ran() -> None:
    auto = entry("worker1", "worker4", 0.4, nodes="auto")
    unknown = entry("x", "y", "provision", nodes="auto")
    matrix = only([*mesh(3), auto, unknown])
    assert matrix.nodes == ("worker1", "worker2", "worker3", "worker4")
    assert matrix.cell("worker1", "worker4") is not None


def test_what_the_test_found_wrong_is_not_the_pairs() -> None:
    own = entry(
        "worker1", "worker2", failureKind="assertion", failureReason="run: assert 0", outcome="failed"
    )
    assert only([own, *mesh(3)[1:]]).counts == "3 nodes, 3 pairs: 3 ok"


def test_what_did_not_run_is_not_measured() -> None:
    gone = entry("worker1", "worker2", "interrupted", outcome="notrun")
    assert only([gone, *mesh(3)[1:]]).counts == "3 nodes, 3 pairs: 2 ok, 1 not measured"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.000"), (4_000, "0.004"), (99_400, "0.099"), (99_600, "0.10"), (213_000, "0.21"), (9_994_000, "9.99"),
     (9_996_000, "10.0"), (12_345_000, "12.3"), (99_960_000, "100"), (1_234_500_000, "1234")],
)  # fmt: skip
def test_three_digits_are_enough(nanoseconds: int, text: str) -> None:
    assert milliseconds(nanoseconds) == text


# --- who stands out


def test_a_healthy_network_has_nobody_to_name() -> None:
    assert stand_outs(mesh(6)) == []
    assert stand_outs(mesh(6, limit_ms=10)) == []


def test_a_single_bad_link_is_no_nodes_fault() -> None:
    assert stand_outs(mesh(4, {"1:3": 30.0}, limit_ms=10)) == []
    assert stand_outs(mesh(4, {"1:3": 30.0})) == []
    assert stand_outs(mesh(4, {"1:3": "connectivity"})) == []
    assert stand_outs(mesh(3, {"1:3": "connectivity"})) == []


def test_a_node_whose_pairs_are_all_over_the_limit() -> None:
    assert stand_outs(mesh(12, {"7": 30.0}, limit_ms=10)) == ["worker7: 11 of 11 pairs over the limit"]


def test_a_node_without_connectivity() -> None:
    assert stand_outs(mesh(6, {"3": "connectivity"})) == ["worker3: 5 of 5 pairs without connectivity"]


def test_nearly_all_is_enough_and_kinds_are_counted_apart() -> None:
    results: dict[str, Result] = {"3:4": 0.2, "3:5": 30.0, "3:6": "loss", "3": "connectivity"}
    assert stand_outs(mesh(6, results, limit_ms=10)) == [
        "worker3: 2 of 5 pairs without connectivity, 1 with too much loss, 1 over the limit"
    ]
    assert stand_outs(mesh(6, {"3:4": 0.2, "3:5": 0.2, "3": "connectivity"})) == []


def test_rows_and_columns_count_together() -> None:
    star = [entry("worker2", f"worker{n}", "connectivity") for n in (1, 3)]
    star += [
        entry("worker4", "worker2", "connectivity"),
        entry("worker1", "worker3"),
        entry("worker3", "worker4"),
    ]
    assert stand_outs(star) == ["worker2: 3 of 3 pairs without connectivity"]


def test_when_nothing_works_no_node_is_singled_out() -> None:
    everything = mesh(6, dict.fromkeys("123456", "connectivity"))
    assert stand_outs(everything) == ["all nodes: 15 of 15 pairs without connectivity"]


REASON = "setup: VMI ns/kv-x cannot be scheduled: 0/6 nodes are available. (for 10 s)"


def broken(
    count: int, node: str, kind: str, reason: str = REASON, **changes: Any
) -> Iterator[dict[str, Any]]:
    for one in mesh(count, {node: kind}, **changes):
        yield {**one, "failureReason": reason} if one["failureKind"] == kind else one


def test_E64_a_node_that_was_not_provisioned_is_named_with_the_reason() -> None:
    assert stand_outs(list(broken(6, "4", "provision"))) == [
        "worker4: could not be provisioned (VMI ns/kv-x cannot be scheduled: 0/6 nodes are available. (for 10 s))"
    ]


def test_E64_a_guest_that_failed_midway_keeps_the_pairs_measured_before() -> None:
    entries = list(broken(6, "5", "guest", "run: the guest of VMI ns/kv-e rebooted"))
    entries = [entry("worker1", "worker5") if one["nodes"] == "worker1:worker5" else one for one in entries]
    assert stand_outs(entries) == [
        "worker5: its guest failed in 4 of 5 pairs (the guest of VMI ns/kv-e rebooted)"
    ]


def test_E64_the_partners_of_broken_nodes_are_not_blamed() -> None:
    first = {one["nodes"]: one for one in broken(4, "3", "provision", "setup: three")}
    second = {one["nodes"]: one for one in broken(4, "4", "config", "setup: four")}
    merged = [first[k] if first[k]["failureKind"] else second[k] for k in first]
    assert stand_outs(merged) == [
        "worker3: could not be provisioned (three)",
        "worker4: 2 of 3 pairs in error (four)",
    ]


def test_a_reason_of_the_whole_network_is_nobodys() -> None:
    everything = mesh(4, dict.fromkeys("1234", "config"))
    shared = [{**one, "failureReason": "setup: NAD does not exist"} for one in everything]
    assert stand_outs(shared) == ["all nodes: 6 of 6 pairs in error"]


def test_without_a_limit_a_node_stands_out_by_scale() -> None:
    assert stand_outs(mesh(6, {"6": 4.84})) == ["worker6: median of 5 pairs 4.84 ms, of all others 0.20 ms"]
    assert stand_outs(mesh(6, {"6": 0.6})) == []
    assert stand_outs(mesh(6, {"6": 4.84}, limit_ms=10)) == []


def test_one_slow_and_one_dead_node_among_a_hundred() -> None:
    lines = stand_outs(mesh(100, {"7": 5.0, "9": "connectivity"}))
    assert lines == [
        "worker7: median of 99 pairs 5.00 ms, of all others 0.20 ms",
        "worker9: 98 of 99 pairs without connectivity",
    ]


def test_text_of_the_cluster_commands_no_terminal_and_is_short() -> None:
    (line,) = stand_outs(list(broken(6, "4", "provision", "setup: \x1b[2J" + "x" * 500)))
    assert line.startswith("worker4: could not be provisioned (\\x1b[2Jxxx")
    assert len(line) < 250


# --- HTML


def parsed(entries: list[dict[str, Any]]) -> ET.Element:
    """The block as XML: it is well-formed."""
    return ET.fromstring(heatmap.section(entries).replace("&nbsp;", "&#160;"))


def test_the_heat_map_holds_value_and_mark_and_says_its_pair() -> None:
    root = parsed(mesh(4, {"1:3": 24.26, "2:4": "connectivity"}, limit_ms=10))
    (table,) = root.iter("table")
    caption = table.find("caption")
    assert caption is not None
    assert "row: source, column: target" in (caption.text or "")
    assert [head.get("scope") for head in table.iter("th")] == ["col"] * 5 + ["row"] * 4
    links = {link.get("aria-label"): link for link in table.iter("a")}
    assert {link.text for link in links.values()} == {"0.20", "(0.20)", "24.3!", "(24.3!)", "x", "(x)"}
    label = "worker1 → worker3: worst 24.26ms, limit 10ms, over the limit, latency of worker1 and worker3"
    assert links[label].text == "24.3!"
    mirror = links[f"worker3 → worker1: measured the other way round, as {label}"]
    assert mirror.get("href") == links[label].get("href")


def test_the_colour_tells_good_from_bad() -> None:
    root = parsed(mesh(4, {"1:2": 9.5, "1:3": 24.26, "2:4": "connectivity"}, limit_ms=10))
    colours = {str(cell[0].text): str(cell.get("style")) for cell in root.iter("td") if len(cell)}
    backgrounds = [colours[text].split(";")[0] for text in ("0.20", "9.50", "24.3!", "x")]
    assert len(set(backgrounds)) == 4


def test_nodes_that_stand_out_are_marked_where_they_stand() -> None:
    root = parsed(mesh(6, {"3": "connectivity"}))
    assert [line.text for line in root.iter("strong")] == ["worker3: 5 of 5 pairs without connectivity"]
    out = [head for head in root.iter("th") if head.get("class") == "kv-out"]
    assert [(head.text, head.get("title")) for head in out] == [
        ("worker3 ▲", "worker3: 5 of 5 pairs without connectivity")
    ] * 2


def test_E67_names_and_reasons_are_text() -> None:
    evil = "<script>alert(1)</script>"
    entries = [
        entry(evil, '"onclick=x'), entry(evil, "c", "guest", failureReason=f"run: {evil}", nad=NAD), entry("c", "d")
    ]  # fmt: skip
    content = heatmap.section([{**one, "nad": f"ns/{evil}"} for one in entries])
    assert "<script" not in content
    assert '"onclick' not in content
    ET.fromstring(content.replace("&nbsp;", "&#160;"))


def test_a_huge_mesh_is_a_list() -> None:
    root = parsed([entry("hub", f"worker{n}", 0.2 + n / 1000) for n in range(120)])
    assert not list(root.iter("table"))
    assert len(list(root.iter("li"))) == 50


def test_no_matrix_no_html() -> None:
    assert heatmap.section(mesh(2)) == ""


def test_a_description_leaves_out_what_is_unknown() -> None:
    cell = only(mesh(3, {"1:2": "guest"})).cell("worker1", "worker2")
    assert cell is not None
    assert described(cell) == "worker1 → worker2: in error, guest of worker1 and worker2"
