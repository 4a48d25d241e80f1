"""Pairs with a migration as ids: how they read, how they are given, and what a failure says to type."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
TESTS = """
import pytest

@pytest.mark.kvlatency(nad="default/blue-network", nodes={nodes!r})
def test_moves(kv_check):
    pass
"""
MIGRATIONS = ("worker1:worker1>worker2", "worker1:worker2>worker1", "worker1:worker2>worker3")
DRAIN = ("worker1:worker2>?", "worker3:worker2>?")


def ids(result: pytest.RunResult) -> list[str]:
    return re.findall(r"\[default/blue-network-([^\]]+)\]$", result.stdout.str(), re.MULTILINE)


def test_collecting_only_shows_migrations_as_they_are_written_and_contacts_no_cluster(
    pytester: pytest.Pytester,
) -> None:
    every = ["worker1:worker2>worker3", "worker1:worker2>?", "migrations", "drain:worker2"]
    pytester.makepyfile(TESTS.format(nodes=every))
    quiet = ("--collect-only", "-q", "--kv-kubeconfig=none/such")
    assert ids(pytester.runpytest_inprocess(*quiet)) == every
    known = pytester.runpytest_inprocess(*quiet, "--kv-node-set=worker1,worker2,worker3")
    assert ids(known) == ["worker1:worker2>worker3", "worker1:worker2>?", *MIGRATIONS[:2], DRAIN[1]]


@pytest.mark.parametrize(
    ("shape", "pairs"),
    [
        ("mesh", ["worker1:worker2", "worker1:worker3", "worker2:worker3"]),
        ("migrations", MIGRATIONS),
        ("drain:worker2", DRAIN),
    ],
)
def test_the_id_of_a_shape_chooses_its_pairs_without_any_option(
    pytester: pytest.Pytester, shape: str, pairs: Sequence[str]
) -> None:
    text = TESTS.format(nodes=[shape, "worker1:worker1"])
    pytester.makepyfile(test_it=text.replace("nodes=", "node_set='worker1,worker2,worker3', nodes="))
    argument = f"test_it.py::test_moves[default/blue-network-{shape}]"
    chosen = ids(pytester.runpytest_inprocess("--collect-only", "-q", argument))
    # pytest 8.0.0 turns the order of a test's items round where the test is named on the command line.
    assert sorted(chosen) == [*pairs]


@pytest.mark.parametrize(
    ("nodes", "chosen", "pairs"),
    [
        (["worker1:worker2>worker3", "worker1:worker2"], "worker1:worker2>worker3", 1),
        (["worker1:worker2>?", "worker1:worker2"], "worker1:worker2>?", 1),
        (["migrations", "worker1:worker2"], "migrations", 3),
        (["drain:worker2", "migrations"], "drain:worker2", 2),
        (["migrations"], "worker1:worker2>worker1", 1),
    ],
)
def test_an_id_of_a_migration_or_of_a_shape_of_them_chooses_its_pairs(
    checkup: Checkup, nodes: Sequence[str], chosen: str, pairs: int
) -> None:
    checkup.pytester.makepyfile(test_it=TESTS.format(nodes=[*nodes]))
    argument = f"test_it.py::test_moves[default/blue-network-{chosen}]"
    checkup.run("--kv-preflight", "--kv-json", "result.json", argument)
    plan = next(one for one in checkup.document["preflight"] if one["check"] == "plan")
    s = "s" if pairs > 1 else ""
    assert f" {pairs} pair{s} with {pairs} live migration{s} in {pairs} round{s}, " in plan["message"]


@pytest.mark.parametrize("destination", ["worker9", "?"])
def test_the_rerun_command_of_a_migration_can_be_pasted_into_a_shell(
    checkup: Checkup, destination: str
) -> None:
    pair = f"worker1:worker8>{destination}"
    options = (*BLUE, "--kv-nodes", pair, "--kv-nodes", "worker9:worker8")
    nodeid = f"kvlatency::check[default/blue-network-{pair}]"
    result = checkup.quick(*options, nodeid)
    (line,) = [one for one in result.outlines if "to run just this pair again: " in one]
    command = line.partition("again: ")[2]
    assert f"'{nodeid}'" in command
    program, *arguments = shlex.split(command)
    assert (program, arguments[-1]) == ("pytest", nodeid)
    again = checkup.pytester.runpytest_inprocess(*arguments)
    again.assert_outcomes(errors=1)
    again.stdout.fnmatch_lines(["*there is no node*worker8*"])


def test_the_rerun_command_of_a_drain_keeps_the_node_set_to_which_the_guest_may_go(checkup: Checkup) -> None:
    options = (*BLUE, "--kv-nodes=drain:worker9", "--kv-node-set=worker1,worker9", "kvlatency::check")
    result = checkup.run(*options)
    (line,) = [one for one in result.outlines if "to run just this pair again: " in one]
    *_, node_set, nodeid = shlex.split(line.partition("again: ")[2])
    assert node_set == "--kv-node-set=worker1,worker9"
    assert nodeid == "kvlatency::check[default/blue-network-worker1:worker9>?]"


def test_the_rerun_command_of_a_drain_names_the_one_pair(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(test_it=TESTS.format(nodes="drain:worker9"))
    result = checkup.run("-k", "worker1")
    (line,) = [one for one in result.outlines if "to run just this pair again: " in one]
    *_, argument = shlex.split(line.partition("again: ")[2])
    assert argument == "test_it.py::test_moves[default/blue-network-worker1:worker9>?]"
