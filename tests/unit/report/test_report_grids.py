"""Grids of networks on a terminal, and a summary that fits on one screen whatever the number of pairs."""

from __future__ import annotations

import io
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._io import TerminalWriter
from test_matrix import NAD, Result, entry, mesh, only

from pytest_kvlatency.report.matrix.matrix import matrices
from pytest_kvlatency.report.terminal.causelines import causes
from pytest_kvlatency.report.terminal.grids import grids
from pytest_kvlatency.report.terminal.summary import write_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix

WORDS = {"connectivity": "no reply", "loss": "too much loss", "latency": "too slow", "provision": "cordoned"}


def document(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """With a cause for each kind of failure."""
    of_kind: dict[str, list[str]] = {}
    for one in entries:
        if one["failureKind"]:
            of_kind.setdefault(one["failureKind"], []).append(one["nodeid"])
    causes = [
        {
            **dict.fromkeys(("node", "pair", "network")),
            "sentence": WORDS[kind],
            "measurements": ids,
            "networks": [NAD],
            "advice": "this is what to do",
        }
        for kind, ids in sorted(of_kind.items(), key=lambda one: -len(one[1]))
    ]
    return {"measurements": entries, "causes": causes, "succeeded": not causes}


def summary(entries: Sequence[dict[str, Any]], width: int = 80, *, colour: bool = False) -> list[str]:
    stream = io.StringIO()
    writer = TerminalWriter(stream)
    writer.hasmarkup = colour
    writer.fullwidth = width
    write_summary(writer, document(entries))
    return stream.getvalue().splitlines()


def drawn(*shown: Matrix, width: int = 80, room: int = 40) -> list[str]:
    return ["".join(span.text for span in line).rstrip() for line in grids(shown, width, room)]


def rows(lines: Sequence[str], width: int) -> int:
    return sum(max(1, -(-len(line) // width)) for line in lines)


@pytest.mark.parametrize(("count", "most"), [(1, 3), (2, 3), (3, 2), (4, 1), (6, 1), (9, 1)])
def test_the_more_causes_there_are_the_less_room_each_has_for_its_advice(count: int, most: int) -> None:
    made = document(mesh(6, dict.fromkeys([f"1:{n}" for n in range(2, 7)], "connectivity")))
    (cause,) = made["causes"]
    advice = "\n".join(f"line {n}" for n in range(1, 6))
    made["causes"] = [{**cause, "sentence": f"cause {n}", "advice": advice} for n in range(count)]
    lines = ["".join(span.text for span in line).strip() for line in causes(made, 80)]
    assert [lines.count(f"line {n}") for n in range(1, 6)] == [
        min(count, 6) * (n <= most) for n in range(1, 6)
    ]


def test_a_pair_that_was_measured_one_way_fills_both_its_cells() -> None:
    assert drawn(only(mesh(4, {"1:3": 24.26}))) == [
        "default/blue-network: 4 nodes, 6 pairs: 6 ok",
        "        worker1 worker2 worker3 worker4",
        "worker1           0.20    24.3*   0.20",
        "worker2  =0.20            0.20    0.20",
        "worker3  =24.3*  =0.20            0.20",
        "worker4  =0.20   =0.20   =0.20",
        "worst round-trip times in ms; row: source, column: target; * the worst; =",
        "measured the other way round",
    ]


def test_each_state_has_its_mark_and_a_lossy_cell_says_the_loss() -> None:
    results: dict[str, Result] = {"1:2": 24.26, "1:3": "loss", "1:4": "connectivity", "2:3": "guest"}
    entries = [
        *mesh(4, results, limit_ms=10)[:5],
        entry("worker4", "worker2", 123.4, lossPercent=2.0),
        entry("worker2", "worker2"),
    ]
    assert drawn(only(entries)) == [
        "default/blue-network: 4 nodes, 7 pairs: 3 ok, 1 without connectivity, 1 with too",
        "much loss, 1 over the limit, 1 in error",
        "        worker1 worker2 worker3 worker4",
        "worker1           24.3!    20%L       x",
        "worker2  =24.3!   0.20        E   0.20",
        "worker3   =20%L      =E               -",
        "worker4      =x 123*/2%       -",
        "worst round-trip times in ms; row: source, column: target; * the worst; ! over",
        "the limit; L too much loss; x no connectivity; E error; - not measured; =",
        "measured the other way round",
    ]


def test_one_character_a_cell_where_numbers_do_not_fit() -> None:
    head, *lines = drawn(only(mesh(32, {"9:20": 33.0, "4:5": "loss", "7": "connectivity"}, limit_ms=10)))
    assert all(len(line) <= 80 for line in (head, *lines))
    assert lines[1:6] == [
        "                           1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 3 3 3",
        "         1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2",
        "worker1    · · · · · x · · · · · · · · · · · · · · · · · · · · · · · · ·",
        "worker2  ·   · · · · x · · · · · · · · · · · · · · · · · · · · · · · · ·",
        "worker3  · ·   · · · x · · · · · · · · · · · · · · · · · · · · · · · · ·",
    ]
    assert lines[11] == "worker9  · · · · · · x ·   · · · · · · · · · · ! · · · · · · · · · · · ·"
    assert lines[34] == "worker32 · · · · · · x · · · · · · · · · · · · · · · · · · · · · · · ·"
    assert " ".join(lines[35:]) == (
        "row: source, column: target; · ok; ! over the limit; L too much loss; x no connectivity; "
        "a pair measured one way stands in both its cells"
    )


def test_equal_rows_are_one_where_lines_are_few() -> None:
    results: dict[str, Result] = {"9:20": 33.0, "4:5": "loss", "7": "connectivity"}
    lines = drawn(only(mesh(32, results, limit_ms=10)), room=15)
    assert [line.partition("  ")[0] for line in lines[4:10]] == [
        *("worker1 +26", "worker4", "worker5", "worker7", "worker9", "worker20"),
    ]
    assert (
        lines[-1].endswith("+N: so many more nodes have the same row")
        or lines[-1] == "nodes have the same row"
    )


def test_equal_columns_are_one_where_the_terminal_is_narrow() -> None:
    lines = drawn(only(mesh(100, {"3:7": 3.0, "55": "connectivity"})))
    assert lines[1:6] == [
        "              1 2 3 4",
        "1 worker1 +96 · · · x",
        "2 worker3     ·   * x",
        "3 worker7     · *   x",
        "4 worker55    x x x",
    ]


def test_the_rows_with_most_failures_are_shown_where_none_are_equal() -> None:
    results: dict[str, Result] = {
        f"{a}:{b}": "connectivity" for a, b in combinations(range(1, 30), 2) if (a * a + 3 * b) % 5 > 2
    }
    lines = drawn(only(mesh(30, results)), room=12)
    assert len(lines) <= 13
    assert any(line.startswith("and ") and line.endswith(" more rows") for line in lines)


def test_networks_stand_beside_each_other_where_there_is_room() -> None:
    entries = [
        {**one, "nad": nad, "nodeid": nad + one["nodeid"]} for nad in ("x/blue", "x/red") for one in mesh(3)
    ]
    assert drawn(*matrices(entries))[:2] == [
        "x/blue                            x/red",
        "        worker1 worker2 worker3           worker1 worker2 worker3",
    ]
    assert drawn(*matrices(entries), width=60)[6].strip() == "worker1 worker2 worker3"


def test_long_names_become_numbers_and_then_lose_their_middle() -> None:
    entries = [
        entry(f"ip-10-0-{a}-1.ec2.internal-of-zone-{a}", f"ip-10-0-{b}-1.ec2.internal-of-zone-{b}")
        for a, b in combinations((1, 2, 30), 2)
    ]
    assert drawn(only(entries), width=80)[1:5] == [
        "                                           1     2    3",
        "1 ip-10-0-1-1.ec2.internal-of-zone-1          0.20 0.20",
        "2 ip-10-0-2-1.ec2.internal-of-zone-2   =0.20       0.20",
        "3 ip-10-0-30-1.ec2.internal-of-zone-30 =0.20 =0.20",
    ]
    narrow = drawn(only(entries), width=30)
    assert sum(line.startswith(("1 ip-1", "2 ip-1", "3 ip-1")) for line in narrow) == 3
    assert all(len(line) <= 30 for line in narrow)


def test_cells_are_coloured_by_what_became_of_the_pair() -> None:
    lines = summary(mesh(4, {"1:2": 24.26, "1:3": "loss", "1:4": "connectivity"}, limit_ms=10), colour=True)
    row = next(line for line in lines if line.startswith("worker1 "))
    assert [row.count(f"\x1b[{code}m") for code in (33, 35, 31)] == [1, 1, 1]


@pytest.mark.once
@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("count", [3, 6, 12, 32, 60, 120])
def test_a_summary_of_three_causes_fits_on_forty_lines(count: int, width: int) -> None:
    results: dict[str, Result] = {"1:2": 33.0, "1:3": "loss", str(count): "connectivity"}
    lines = summary(mesh(count, results, limit_ms=10), width)
    assert rows(lines, width) <= 40
    assert sum("this is what to do" in line for line in lines) == 3
    for verdict in ("FAILED max 33ms > 10ms", "FAILED loss", "FAILED no reply"):
        assert any(line.endswith(verdict) for line in lines)


def test_a_mesh_in_which_all_is_wrong_fits_too() -> None:
    kinds: list[Result] = ["loss", "connectivity", 33.0, 0.2, "provision"]
    pairs = combinations(range(1, 33), 2)
    results = {f"{a}:{b}": kinds[(a * a + 3 * b) % 5] for a, b in pairs}
    lines = summary(mesh(32, results, limit_ms=10))
    assert rows(lines, 80) <= 40
    assert any(line.startswith("and ") and "more failed" in line for line in lines)


def test_of_many_networks_those_with_failures_are_shown() -> None:
    entries = [
        {**one, "nad": f"x/net-{number}", "nodeid": f"{number}{one['nodeid']}"}
        for number in range(9)
        for one in mesh(12, {"1:2": "loss"} if number in (3, 5) else {})
    ]
    lines = summary(entries)
    assert rows(lines, 80) <= 40
    assert "x/net-3                            x/net-5" in lines
    assert any(re.fullmatch(r"and \d more networks, without failures", line) for line in lines)


def test_no_line_of_a_large_mesh_is_wider_than_the_terminal() -> None:
    slow = {"3:17": 24.0, "8:9": "connectivity", "30:31": "loss"}
    for width in (60, 80):
        lines = summary(mesh(32, slow), width)
        assert max(map(len, lines)) <= width, lines


def test_a_healthy_mesh_is_short() -> None:
    lines = summary(mesh(32))
    assert lines[1] == "496 pairs passed; worst 200µs, default/blue-network worker1 → worker2"
    assert not any(line.endswith("ok") and "→" in line for line in lines)


def test_small_meshes_show_all_rows() -> None:
    lines = summary(mesh(4))
    assert sum(line.endswith("  ok") for line in lines) == 6
    assert not any("row: source" in line for line in summary(mesh(2)))


def test_without_a_limit_a_slow_node_is_named() -> None:
    assert (
        drawn(only(mesh(6, {"6": 4.84})))[-1] == "worker6: median of 5 pairs 4.84 ms, of all others 0.20 ms"
    )
    assert not any("median" in line for line in drawn(only(mesh(6, {"6": 4.84}, limit_ms=10))))
