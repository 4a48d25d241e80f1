"""Shapes over node sets, and the ids that stand for all their pairs."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.config.nodespecs import Shape
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.sources import Layer
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import NodeChoice
from pytest_kvlatency.plan import checks as plan
from pytest_kvlatency.plan.checks import checks, needs_nodes
from pytest_kvlatency.plan.placeholders import widen

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), unique=True, min_size=2, max_size=20)
HERE = Path("/somewhere")


def settings(**values):
    return resolve([Layer(kind="command line", values=values)])


def of(names):
    return NodeChoice(names=tuple(names))


def pairs(shape, choice):
    return plan.pairs(shape, choice, settings().named)


def ends(found):
    return [(pair.source, pair.target) for pair in found]


@pytest.mark.once
@given(NAMES)
def test_a_mesh_has_every_pair_once_in_one_direction(names):
    assert ends(pairs(Shape(name="mesh"), of(names))) == list(combinations(names, 2))


@given(NAMES)
def test_a_ring_has_every_node_twice_and_is_closed(names):
    found = ends(pairs(Shape(name="ring"), of(names)))
    assert len(found) == (len(names) if len(names) > 2 else 1)
    assert len({frozenset(pair) for pair in found}) == len(found)
    assert [source for source, _ in found] == names[: len(found)]
    assert all(one[1] == other[0] for one, other in pairwise(found))


@given(NAMES)
def test_a_star_has_its_hub_in_every_pair_whether_it_is_in_the_set_or_not(names):
    for hub in (names[0], "another-hub"):
        found = ends(pairs(Shape(name="star", around=hub), of(names)))
        assert found == [(hub, name) for name in names if name != hub]


@pytest.mark.parametrize(
    ("shape", "names"),
    [(Shape(name="mesh"), ["w1"]), (Shape(name="ring"), []), (Shape(name="star", around="w1"), ["w1"])],
    ids=str,
)
def test_too_few_nodes_are_named(shape, names):
    with pytest.raises(
        ConfigError, match=f"--kv-nodes {shape} needs at least two nodes, but the node set has"
    ) as caught:
        pairs(shape, of(names))
    assert "--kv-node-set" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no schedulable node: w8 is cordoned, w9 is not ready"),
        (
            ("w1",),
            "--kv-nodes mesh needs at least two nodes, but only w1 is schedulable: w8 is cordoned, w9 is not ready",
        ),
    ],
    ids=["none", "one"],
)
def test_where_too_few_nodes_are_left_the_others_and_their_obstacles_are_named(names, message):
    choice = NodeChoice(names=names, left_out=("w8 is cordoned", "w9 is not ready"))
    with pytest.raises(ConfigError) as caught:
        pairs(Shape(name="mesh"), choice)
    assert caught.value.reason == message


@pytest.mark.parametrize(
    ("values", "is_needed"),
    [
        ({"nodes": ["mesh"]}, True),
        ({"nodes": ["w1:w2", "star:w1"]}, True),
        ({"nodes": ["mesh"], "node_set": "zone=b"}, True),
        ({"nodes": ["mesh"], "node_set": "w1,w2"}, False),
        ({"nodes": ["w1:w2"]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_the_cluster_is_asked_only_for_shapes_over_nodes_that_nobody_names(values, is_needed):
    assert needs_nodes(settings(**values)) is is_needed


def test_one_placeholder_for_each_shape_and_network_while_the_nodes_are_not_known():
    given_settings = settings(nad=["default/blue", "default/red"], nodes=["mesh", "w1:w2", "star:w3"])
    found = checks(given_settings, namespace="own", nodes=None)
    assert [one.id for one in found if one.check is None] == [
        "default/blue-mesh",
        "default/blue-star:w3",
        "default/red-mesh",
        "default/red-star:w3",
    ]
    known = checks(given_settings, namespace="own", nodes=of(["w1", "w2", "w3"]))
    assert {one.placeholders for one in known if one.id == "default/blue-w1:w3"} == {("default/blue-mesh",)}
    # A pair that two shapes hold is one check.
    assert len({one.id for one in known}) == len(known)


def test_an_argument_that_is_a_placeholder_is_widened_to_its_test():
    mesh = "test_a.py::test_one[default/blue-mesh]"
    other = "test_b.py::test_two[default/blue-w1:w2]"
    arguments, wanted = widen([mesh, other, "dir"], HERE)
    assert arguments == ["test_a.py::test_one", other, "dir"]
    (one,) = wanted
    assert (one.path, one.names, one.ids) == (HERE / "test_a.py", "test_one", {"default/blue-mesh"})


def test_pairs_asked_for_beside_a_placeholder_stay_chosen():
    given_arguments = ["test_a.py::test_one[default/blue-ring]", "test_a.py::test_one[default/red-w1:w2]"]
    arguments, (one,) = widen(given_arguments, HERE)
    assert arguments == ["test_a.py::test_one"]
    assert one.ids == {"default/blue-ring", "default/red-w1:w2"}


def test_nothing_is_chosen_of_a_test_that_is_asked_for_as_a_whole():
    assert widen(["test_a.py::test_one", "test_a.py::test_one[default/blue-mesh]"], HERE)[1] == []
