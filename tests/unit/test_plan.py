from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.sources import Layer
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import AUTO, Check, GuestSpec, NadRef, NodeChoice, NodePair, PingParameters
from pytest_kvlatency.plan.checks import checks, needs_nodes, rounds, vmi_keys

if TYPE_CHECKING:
    from pytest_kvlatency.config.settings import Settings


def settings(**values: object) -> Settings:
    return resolve([Layer(kind="command line", values=values)])


def ids(**values: object) -> list[str]:
    return [check.id for check in checks(settings(**values), namespace="own", nodes=None)]


def over(nodes: list[str], shape: str) -> list[str]:
    found = checks(
        settings(nad=["a/b"], nodes=[shape]), namespace="own", nodes=NodeChoice(names=tuple(nodes))
    )
    assert {one.placeholders for one in found} == {(f"a/b-{shape}",)}
    return [one.id.removeprefix("a/b-") for one in found]


def test_every_network_with_every_pair_in_the_order_given() -> None:
    assert ids(nad=["default/blue", "red"], nodes=["w1:w2", "auto"]) == [
        "default/blue-w1:w2",
        "default/blue-auto",
        "own/red-w1:w2",
        "own/red-auto",
    ]


def test_without_nodes_the_scheduler_chooses() -> None:
    assert ids(nad=["default/blue-network"]) == ["default/blue-network-auto"]


def test_without_a_network_there_is_nothing_to_check() -> None:
    assert ids() == []


def test_equal_pairs_are_checked_once() -> None:
    found = ids(nad=["own/blue", "blue"], nodes=["w1:w2", "w2:w1", "w1:w2", "auto", "auto"])
    assert found == ["own/blue-w1:w2", "own/blue-w2:w1", "own/blue-auto"]


def test_while_the_namespace_is_not_known_the_id_goes_without() -> None:
    assert [check.id for check in checks(settings(nad=["blue"]), namespace="", nodes=None)] == ["blue-auto"]


def test_a_check_carries_limits_ping_and_guest() -> None:
    given = settings(nad=["a/b"], max_latency="10ms", interval="1s", guest="fedora", subnet="192.0.2.0/24")
    (planned,) = checks(given, namespace="own", nodes=None)
    check = planned.check
    assert check is not None
    assert check.limits.max_latency_ns == 10_000_000
    assert check.ping == PingParameters(interval_ns=1_000_000_000)
    assert check.guest == GuestSpec(profile="fedora", subnet="192.0.2.0/24")


def test_a_shape_whose_nodes_are_not_known_is_one_placeholder() -> None:
    (planned,) = checks(settings(nad=["a/b"], nodes=["mesh"]), namespace="own", nodes=None)
    assert (planned.id, planned.placeholders, planned.check) == ("a/b-mesh", ("a/b-mesh",), None)


def test_shapes_over_a_node_set() -> None:
    assert over(["w1", "w2", "w3"], "mesh") == ["w1:w2", "w1:w3", "w2:w3"]
    assert over(["w1", "w2", "w3"], "ring") == ["w1:w2", "w2:w3", "w3:w1"]
    assert over(["w1", "w2"], "ring") == ["w1:w2"]
    assert over(["w1", "w2", "w3"], "star:w2") == ["w2:w1", "w2:w3"]


@pytest.mark.parametrize(
    ("nodes", "shape"), [([], "mesh"), (["w1"], "mesh"), (["w1"], "ring"), (["w1"], "star:w1")]
)
def test_too_few_nodes_for_a_shape_are_refused(nodes: list[str], shape: str) -> None:
    with pytest.raises(ConfigError, match=f"--kv-nodes {shape} needs at least two nodes"):
        over(nodes, shape)


def test_only_shapes_over_nodes_that_nobody_named_need_the_cluster() -> None:
    assert needs_nodes(settings(nad=["a/b"], nodes=["mesh"]))
    assert needs_nodes(settings(nad=["a/b"], nodes=["ring"], node_set="zone=a"))
    assert not needs_nodes(settings(nad=["a/b"], nodes=["mesh"], node_set="w1,w2"))
    assert not needs_nodes(settings(nad=["a/b"], nodes=["w1:w2", "auto"]))


BLUE = NadRef(namespace="default", name="blue")
RED = NadRef(namespace="default", name="red")
ALPINE = GuestSpec()


def check(source: str | None, target: str | None, nad: NadRef = BLUE, guest: GuestSpec = ALPINE) -> Check:
    return Check(nad=nad, pair=NodePair(source=source, target=target), guest=guest)


def test_a_vmi_is_shared_by_all_pairs_that_need_its_network_and_node() -> None:
    pairs = [("w1", "w2"), ("w2", "w1"), ("w1", "w3"), ("w2", "w3")]
    keys = {key for pair in pairs for key in vmi_keys(check(*pair))}
    assert sorted(str(key) for key in keys) == [f"guest on w{number}, default/blue" for number in (1, 2, 3)]


def test_other_networks_and_other_guests_are_other_vmis() -> None:
    fedora = GuestSpec(profile="fedora")
    found = {
        key
        for one in (check("w1", "w2"), check("w1", "w2", RED), check("w1", "w2", guest=fedora))
        for key in vmi_keys(one)
    }
    assert len(found) == 6


def test_E65_a_pair_on_one_node_has_two_guests_of_which_one_is_shared() -> None:
    source, target = vmi_keys(check("w1", "w1"))
    assert source != target
    assert source in vmi_keys(check("w1", "w2"))
    assert target.slot == "twin"


def test_E69_an_auto_pair_has_two_guests_of_its_own_per_network() -> None:
    source, target = vmi_keys(check(None, None))
    assert source.is_auto
    assert target.is_auto
    assert source != target
    assert not set(vmi_keys(check(None, None, RED))) & {source, target}
    assert vmi_keys(Check(nad=BLUE, pair=AUTO, ping=PingParameters(warmup=2))) == (source, target)


def test_one_by_one_each_round_is_one_check_in_order() -> None:
    given = [check("a", "b"), check("c", "d"), check(None, None)]
    assert rounds(given, parallel=1) == tuple((one,) for one in given)
    assert rounds([], parallel=1) == ()
