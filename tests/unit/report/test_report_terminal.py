"""The table at the end of a run."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from _pytest._io import TerminalWriter

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.entries import counted, pair
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.terminal.resulttable import table
from pytest_kvlatency.report.terminal.summary import write_summary

if TYPE_CHECKING:
    from conftest import Make

    from pytest_kvlatency.report.run import ItemResult

MS = 1_000_000


def summary(make: Make, *items: ItemResult, width: int = 120, colour: bool = False) -> list[str]:
    stream = io.StringIO()
    writer = TerminalWriter(stream)
    writer.hasmarkup = colour
    writer.fullwidth = width
    write_summary(writer, build(make.run(*items)))
    return stream.getvalue().splitlines()


def test_a_row_per_pair_with_causes_and_notes_below(make: Make) -> None:
    noted = make.item(replace(make.measurement(), notes=("the node changed",)))
    slow = make.item(make.measurement((12_300_000,), target="worker3", max_latency_ns=10 * MS))
    dead = make.item(make.measurement((), transmitted=50, target="worker4"))
    lines = summary(make, noted, slow, dead, make.broken(target="worker5"), make.broken(target="worker6"))
    assert lines[0].strip("= ") == "kvlatency"
    compare = "   to leave the path between nodes out, compare: --kv-nodes worker1:worker1"
    assert lines[1:16] == [
        "4 of 5 pairs failed: 2 could not be measured, 1 over the limit, 1 without connectivity",
        "1. NAD default/blue-network does not exist: 2 pairs",
        "2. latency exceeds the limit between worker1 and worker3 on default/blue-network",
        compare,
        "3. no replies between worker1 and worker4 on default/blue-network",
        "   check the network on both nodes: its bridge, uplink and VLAN, and whatever filters frames or ICMP",
        compare,
        "",
        "network               nodes              sent/recv  loss  min ms  avg ms  p50 ms  max ms  verdict",
        "default/blue-network  worker1 → worker3        1/1    0%  12.300  12.300  12.300  12.300  FAILED max 12.3ms > 10ms",
        "default/blue-network  worker1 → worker4       50/0  100%       -       -       -       -  FAILED no reply",
        "default/blue-network  worker1 → worker5          -     -       -       -       -       -  ERROR config",
        "default/blue-network  worker1 → worker6          -     -       -       -       -       -  ERROR config",
        "default/blue-network  worker1 → worker2        2/2    0%   1.000   2.000   1.000   3.000  ok",
        "default/blue-network worker1 → worker2: note: the node changed",
    ]


def test_a_single_pair_shows_its_numbers_in_one_row(make: Make) -> None:
    assert summary(make, make.item(), width=100)[1:] == [
        "1 pair passed",
        "network               nodes              sent/recv  loss  min ms  avg ms  p50 ms  max ms  verdict",
        "default/blue-network  worker1 → worker2        2/2    0%   1.000   2.000   1.000   3.000  ok",
    ]


def test_a_percentile_that_no_sample_is_large_enough_for_gives_way_to_one_that_is(make: Make) -> None:
    few = make.item(make.measurement(tuple(range(MS, 51 * MS, MS))))
    many = make.item(make.measurement(tuple(range(MS, 101 * MS, MS)), target="worker3"))
    assert "p50 ms  p90 ms  max ms" in summary(make, few)[2]
    assert summary(make, few, many)[2].split("p50 ms  ")[1].startswith("p99 ms")


def test_tests_of_one_pair_show_their_names_and_what_they_measured_beyond(make: Make) -> None:
    large = replace(make.check(), ping=replace(make.check().ping, packet_size=1400))
    extra = replace(make.measurement((5 * MS,)), check=large)
    idle = make.item(nodeid="test_a.py::test_idle[default/blue-network-worker1:worker2]", extra=(extra,))
    load = make.item(nodeid="test_a.py::TestX::test_load[udp-default/blue-network-worker1:worker2]")
    assert summary(make, idle, load)[1:] == [
        "2 tests passed; worst 3ms, default/blue-network worker1 → worker2",
        "network               nodes              test                  sent/recv  loss  min ms  avg ms  p50 ms  max ms  verdict",
        "default/blue-network  worker1 → worker2  test_idle                   2/2    0%   1.000   2.000   1.000   3.000  ok",
        "                                           kv_ping 1400 bytes        1/1    0%   5.000   5.000   5.000   5.000",
        "default/blue-network  worker1 → worker2  test_load[udp]              2/2    0%   1.000   2.000   1.000   3.000  ok",
    ]


def test_a_narrow_terminal_loses_columns_and_then_the_middle_of_names(make: Make) -> None:
    lines = summary(make, make.item(), width=72)
    assert lines[2:4] == [
        "network               nodes              loss  avg ms  max ms  verdict",
        "default/blue-network  worker1 → worker2    0%   2.000   3.000  ok",
    ]
    lines = summary(make, make.item(), width=50)
    assert lines[2:4] == [
        "network       nodes          loss  max ms  verdict",
        "defaul…twork  wo…r1 → wo…r2    0%   3.000  ok",
    ]
    assert all(len(line) <= 50 for line in lines[2:4])


def test_a_pair_reads_the_same_whether_it_was_run_or_not(make: Make) -> None:
    entry = measurement_entry(make.item())
    left = {**entry, "outcome": "notrun", "sourceNode": None, "targetNode": None}
    assert pair(left) == pair(entry) == "worker1 → worker2"
    assert counted([entry, left]) == "2 tests"
    assert pair({**left, "nodes": "auto"}) == "auto"


def test_both_nodes_of_a_pair_can_be_read_where_their_names_are_cut(make: Make) -> None:
    entry = measurement_entry(make.item())
    pairs = [("worker1", "worker3"), ("a", "control-plane-1"), ("control-plane-1", "a")]
    lines = table([{**entry, "sourceNode": one, "targetNode": other} for one, other in pairs], 40)
    shown = [line[0].text.partition("  ")[2].partition("  ")[0] for line in lines[1:]]
    assert shown == ["wo…r1 → wo…3", "a → cont…e-1", "cont…e-1 → a"]


def test_E66_a_second_attempt_and_other_outcomes_are_told_apart(make: Make) -> None:
    slow = make.measurement(max_latency_ns=MS)
    own = Failure(kind="assertion", stage="run", reason="assert 3 < 2")
    lines = summary(
        make,
        make.item(slow),
        make.item(attempt=2),
        make.item(slow, outcome="xfailed"),
        make.item(outcome="xpassed"),
        make.item(outcome="failed", failures=(own,)),
        make.item(outcome="notrun"),
        make.item(outcome="error"),
        width=160,
    )
    assert lines[1] == "the only pair could not be measured"
    assert "  try  " in lines[4]
    assert [line.split("3.000")[-1].strip() for line in lines[5:12]] == [
        "ERROR",
        "FAILED max 3ms > 1ms",
        "ok",
        "xfailed (latency)",
        "xpassed",
        "FAILED assertion",
        "notrun",
    ]


def test_colour_is_the_writers(make: Make) -> None:
    slow = make.item(make.measurement(max_latency_ns=MS))
    lines = summary(make, make.item(), replace(slow, nodeid="test_z.py::test_z"), colour=True)
    assert lines[1].startswith("\x1b[31m1 of 2 tests failed")
    assert [line[:5] for line in lines[-2:]] == ["\x1b[31m", "\x1b[32m"]


def test_E67_guest_text_commands_no_terminal(make: Make) -> None:
    evil = Failure(kind="guest", stage="setup", reason="said \x1b[2Jboo\r\nok \u202egnp.exe")
    lines = summary(make, make.broken(failures=(evil,)))
    assert (
        lines[2] == "said \\x1b[2Jboo\\x0d\\x0aok \\u202egnp.exe: worker1 → worker2 on default/blue-network"
    )
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_nothing_to_measure_prints_nothing(make: Make) -> None:
    assert summary(make) == []


def test_a_cause_counts_tests_where_several_of_them_are_of_one_pair(make: Make) -> None:
    broken = [make.broken(nodeid=f"test_a.py::test_net[{number}]") for number in range(3)]
    assert summary(make, *broken)[1:3] == [
        "all 3 tests failed: 3 could not be measured",
        "NAD default/blue-network does not exist: 3 tests",
    ]
    other = [make.broken(target=f"worker{number}") for number in range(3, 6)]
    assert summary(make, *other)[2] == "NAD default/blue-network does not exist: 3 pairs"


def test_what_was_skipped_is_not_among_the_ways_in_which_pairs_failed(make: Make) -> None:
    slow = make.item(make.measurement((12_300_000,), max_latency_ns=10 * MS))
    skipped = make.item(make.measurement(target="worker3"), outcome="skipped")
    assert summary(make, slow, skipped)[1] == "1 of 2 pairs failed: 1 over the limit; 1 skipped"
    good = make.item(make.measurement(target="worker4"))
    assert summary(make, good, skipped)[1].startswith("1 of 2 pairs passed, 1 skipped; worst ")


def test_advice_is_wrapped_between_words_unless_it_is_a_command(make: Make) -> None:
    prose = "Name an image that the nodes can pull with --kv-image, and its credentials with --kv-image-pull-secret."
    command = "kubectl label namespace checks pod-security.kubernetes.io/enforce=privileged --overwrite=true"
    failure = Failure(kind="config", stage="setup", reason="it is so", hint=f"{prose}\n{command}")
    lines = summary(make, make.broken(failures=(failure,)), width=80)
    assert f"   {command}" in lines
    assert lines[3:5] == [
        "   Name an image that the nodes can pull with --kv-image, and its credentials",
        "   with --kv-image-pull-secret.",
    ]


def test_a_run_that_was_interrupted_says_so_first(make: Make) -> None:
    cut_off = make.broken(kind="interrupted")
    assert summary(make, cut_off)[1] == "the only pair was interrupted"
    notrun = make.broken(target="worker3", outcome="notrun", failures=())
    said = summary(make, make.item(make.measurement(target="worker4")), cut_off, notrun)[1]
    assert said == "1 of 3 pairs failed: 1 interrupted; 1 not run"


def test_tests_that_fail_themselves_are_said_to_do_so(make: Make) -> None:
    tests = [make.broken(kind="assertion", nodeid=f"test_a.py::test_net[{number}]") for number in range(2)]
    assert summary(make, *tests, make.item())[1] == "2 of 3 tests failed: 2 in the test's own code"
