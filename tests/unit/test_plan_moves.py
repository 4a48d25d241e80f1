"""Pairs whose target migrates: their shapes, guests, rounds and parts."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.config.nodespecs import Shape, nodes
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.sources import Layer
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Check, NadRef, NodeChoice, NodePair
from pytest_kvlatency.plan import checks as plan
from pytest_kvlatency.plan import shards
from pytest_kvlatency.plan.checks import checks, guest_count, needs_nodes, rounds, vmi_keys
from pytest_kvlatency.plan.placeholders import widen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kvlatency.config.settings import Settings

BLUE = NadRef(namespace="default", name="blue")
NODES = ("w1", "w2", "w3", "w4", "w5", "w6")


def settings(**values: object) -> Settings:
    return resolve([Layer(kind="command line", values=values)])


def of(*names: str, left_out: tuple[str, ...] = ()) -> NodeChoice:
    return NodeChoice(names=names, left_out=left_out)


def pairs(shape: Shape, choice: NodeChoice) -> tuple[NodePair, ...]:
    return plan.pairs(shape, choice, settings().named)


def check(text: str, *, among: Sequence[str] = ()) -> Check:
    pair = nodes(text)
    assert isinstance(pair, NodePair)
    return Check(nad=BLUE, pair=pair, among=tuple(among))


def planned(given_settings: Settings, choice: NodeChoice | None) -> list[Check]:
    found = [one.check for one in checks(given_settings, namespace="default", nodes=choice)]
    assert None not in found
    return [one for one in found if one is not None]


def test_migrations_take_each_path_once() -> None:
    found = [str(pair) for pair in pairs(Shape(name="migrations"), of("w1", "w2", "w3", "w4"))]
    # Away from the peer's node, to it, and between two nodes that are neither.
    assert found == ["w1:w1>w2", "w1:w2>w1", "w1:w2>w3"]


def test_a_drain_has_a_guest_on_every_other_node() -> None:
    wanted = ["w1:w2>?", "w3:w2>?"]
    assert [str(pair) for pair in pairs(Shape(name="drain", around="w2"), of("w1", "w2", "w3"))] == wanted
    assert [str(pair) for pair in pairs(Shape(name="drain", around="w2"), of("w1", "w3"))] == wanted


@pytest.mark.parametrize(
    ("shape", "choice", "message"),
    [
        (
            Shape(name="migrations"),
            of("w1", "w2"),
            "--kv-nodes migrations needs at least three nodes, but the node set has 2: w1, w2",
        ),
        (
            Shape(name="migrations"),
            of("w1", "w2", left_out=("w3 is cordoned",)),
            "--kv-nodes migrations needs at least three nodes, but only w1, w2 are schedulable: w3 is cordoned",
        ),
        (
            Shape(name="migrations"),
            of(),
            "--kv-nodes migrations needs at least three nodes, but the node set has 0: none",
        ),
        (
            Shape(name="drain", around="w1"),
            of("w1"),
            "--kv-nodes drain:w1 needs at least two nodes, but the node set has 1: w1",
        ),
    ],
    ids=["two", "cordoned", "none", "drain"],
)
def test_too_few_nodes_for_a_shape_of_migrations_are_said(
    shape: Shape, choice: NodeChoice, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        pairs(shape, choice)
    assert caught.value.reason == message
    is_two = len(choice.names) == 2
    assert ("--kv-nodes 'w1:w1>w2' and 'w1:w2>w1'" in caught.value.hint) == is_two


@pytest.mark.parametrize(
    ("nodes", "reason", "hint"),
    [
        (
            "migrations",
            "spec.param.nodes migrations needs at least three nodes, but the node set has 2: w1, w2",
            (
                "Two nodes have no path between two that are neither the peer's. The others are "
                "spec.param.nodes 'w1:w1>w2' and 'w1:w2>w1'\n"
                "Name nodes with spec.param.nodeSet, or tolerate their taints with spec.param.tolerations"
            ),
        ),
        (
            "w1:w3>?",
            "spec.param.nodes w1:w3>? has no node to migrate to: the node set has w3",
            "Name more nodes with spec.param.nodeSet",
        ),
    ],
)
def test_what_a_configmap_asks_of_too_few_nodes_is_named_by_its_keys(
    nodes: str, reason: str, hint: str
) -> None:
    names = ("w1", "w2") if nodes == "migrations" else ("w3",)
    values = {"nad": ["default/blue"], "nodes": [nodes], "node_set": ",".join(names)}
    given = resolve([Layer(kind="ConfigMap", values={**values, "toleration": ["a"]})])
    with pytest.raises(ConfigError) as caught:
        checks(given, namespace="default", nodes=of(*names))
    assert (caught.value.reason, caught.value.hint) == (reason, hint)


def test_a_key_and_a_flag_are_each_named_as_they_were_given() -> None:
    given = resolve(
        [
            Layer(kind="command line", values={"nodes": ["mesh"]}),
            Layer(kind="ConfigMap", values={"nad": ["default/blue"], "node_set": "w1"}),
        ]
    )
    with pytest.raises(ConfigError) as caught:
        checks(given, namespace="default", nodes=of("w1"))
    assert caught.value.reason == "--kv-nodes mesh needs at least two nodes, but the node set has 1: w1"
    assert caught.value.hint.startswith(
        "Name nodes with spec.param.nodeSet, or tolerate their taints with --kv-tol"
    )


def test_a_migration_to_any_node_stays_within_a_node_set_that_is_given() -> None:
    pair = {"nad": ["default/blue"], "nodes": ["w1:w2>?", "w1:w2>w3", "w1:w2"]}
    found = planned(settings(**pair, node_set="w2,w3"), of("w2", "w3"))
    assert [one.among for one in found] == [("w2", "w3"), (), ()]
    assert [vmi_keys(one)[1].destinations for one in found] == [("w3",), ("w3",), ()]
    # Without one it may end up anywhere.
    assert [one.among for one in planned(settings(**pair), of("w1", "w2", "w3"))] == [(), (), ()]
    with pytest.raises(
        ConfigError, match=re.escape("w1:w2>? has no node to migrate to: the node set has w2")
    ):
        planned(settings(**pair, node_set="w2"), of("w2"))


@pytest.mark.parametrize(
    ("values", "is_needed"),
    [
        ({"nodes": ["migrations"]}, True),
        ({"nodes": ["drain:w1"]}, True),
        ({"nodes": ["drain:w1"], "node_set": "w1,w2"}, False),
        ({"nodes": ["w1:w2>w3"]}, False),
        ({"nodes": ["w1:w2>?"]}, False),
        ({"nodes": ["w1:w2>?"], "node_set": "zone=b"}, True),
        ({"nodes": ["w1:w2>w3"], "node_set": "zone=b"}, False),
    ],
    ids=str,
)
def test_the_cluster_is_asked_for_nodes_only_where_a_migration_needs_them(
    values: dict[str, object], is_needed: bool
) -> None:
    assert needs_nodes(settings(**values)) is is_needed


def test_while_the_nodes_are_not_known_a_shape_is_a_placeholder_and_a_pair_is_itself() -> None:
    given_settings = settings(
        nad=["default/blue"], nodes=["migrations", "drain:w1", "w1:w2>?"], node_set="zone=b"
    )
    found = checks(given_settings, namespace="default", nodes=None)
    assert [(one.id, one.check is None) for one in found] == [
        ("default/blue-migrations", True),
        ("default/blue-drain:w1", True),
        ("default/blue-w1:w2>?", False),
    ]


@pytest.mark.parametrize("shape", ["migrations", "drain:worker-1"])
def test_a_shape_of_migrations_given_as_an_id_is_widened_to_its_test(shape: str, tmp_path: Path) -> None:
    arguments, (wanted,) = widen([f"test_a.py::test_one[default/blue-{shape}]"], tmp_path)
    assert arguments == ["test_a.py::test_one"]
    assert wanted.ids == {f"default/blue-{shape}"}


def test_a_migration_given_as_an_id_is_an_ordinary_argument(tmp_path: Path) -> None:
    for one in ("w1:w2>w3", "w1:w2>?"):
        argument = f"test_a.py::test_one[default/blue-{one}]"
        assert widen([argument], tmp_path) == ([argument], [])


def test_a_guest_that_migrates_is_no_other_checks() -> None:
    every = [check(one) for one in ("w1:w2", "w1:w2>w3", "w1:w2>?", "w1:w1>w2", "w1:w1", "w3:w2>w3")]
    # One guest that stays on each of w1, w2 and w3, the second one on w1, and four that migrate.
    assert guest_count(every) == 8
    source, target = vmi_keys(check("w1:w2>w3"))
    assert (source, source.journey) == (vmi_keys(check("w1:w2"))[0], "")
    assert (target.node, target.journey, target.destinations) == ("w2", "w1:w2>w3", ("w3",))
    assert len({str(key) for one in every for key in vmi_keys(one)}) == 8


def test_one_node_begins_with_both_guests_of_a_migration_away_from_the_peer() -> None:
    source, target = vmi_keys(check("w1:w1>w2"))
    assert (source.node, target.node, target.slot) == ("w1", "w1", "twin")


MOVES = st.builds(
    lambda nodes, kind: f"{nodes[0]}:{nodes[1]}>{kind or nodes[2]}",
    st.permutations(NODES),
    st.sampled_from(["", "?"]),
)
PLAIN = st.builds("{0[0]}:{0[1]}".format, st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)))


@given(
    texts=st.lists(MOVES | PLAIN | st.just("auto"), max_size=30, unique=True),
    parallel=st.none() | st.integers(2, 8),
)
def test_a_migration_shares_none_of_its_nodes_in_its_round(texts: list[str], parallel: int | None) -> None:
    wanted = [check(one, among=NODES[:3] if one.endswith("?") and "w1" in one else ()) for one in texts]
    found = rounds(wanted, parallel=parallel)
    assert Counter(one for each in found for one in each) == Counter(wanted)
    for each in found:
        is_known = all(not one.pair.is_auto and (one.pair.destination != "?" or one.among) for one in each)
        assert len(each) == 1 or is_known
        taken = [node for one in each for node in {*one.pair.nodes, *one.among}]
        assert len(taken) == len(set(taken))


def test_no_round_has_more_migrations_than_a_cluster_makes_at_once() -> None:
    wanted = [check(f"s{number}:t{number}>n{number}") for number in range(12)]
    assert [len(one) for one in rounds(wanted, parallel=None)] == [5, 5, 2]
    assert [len(one) for one in rounds(wanted, parallel=3)] == [3, 2, 3, 2, 2]


def test_migrations_have_rounds_of_their_own() -> None:
    wanted = [check(one) for one in ("w1:w2>w3", "w4:w5", "w4:w6", "w1:w1")]
    found = rounds(wanted, parallel=None)
    assert [sorted(str(one.pair) for one in each) for each in found] == [
        ["w1:w1", "w4:w5"],
        ["w4:w6"],
        ["w1:w2>w3"],
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_of_a_plan_with_migrations_hold_each_check_once(count: int) -> None:
    wanted = [check(one) for one in ("w1:w2", "w1:w2>w3", "w2:w1>w3", "w1:w1>w2", "w3:w1>?", "w2:w3")]
    parts = [shards.cut(wanted, index, count) for index in range(count)]
    assert Counter(one for part in parts for one in part.checks) == Counter(wanted)
    assert all(part.guests == guest_count(part.checks) for part in parts)


def test_plans_that_differ_in_where_a_guest_migrates_have_different_digests() -> None:
    every = [check("w1:w2"), check("w1:w2>w3"), check("w1:w2>?"), check("w1:w2>?", among=("w2", "w3"))]
    assert len({shards.plan_digest([one]) for one in every}) == len(every)
