from __future__ import annotations

import pytest

from pytest_kvlatency.model import AUTO, Check, GuestSpec, NadRef, NodePair, PingParameters
from pytest_kvlatency.parsers import Mesh
from pytest_kvlatency.plan import checks, ping_parameters, rounds, vmi_keys
from pytest_kvlatency.settings import Layer, Settings, resolve


def settings(**values: object) -> Settings:
    return resolve([Layer(kind="command line", values=values)])


def ids(**values: object) -> list[str]:
    return [check.id for check in checks(settings(**values), namespace="own")]


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
    assert [check.id for check in checks(settings(nad=["blue"]), namespace="")] == ["blue-auto"]


def test_a_check_carries_limits_ping_and_guest() -> None:
    given = settings(nad=["a/b"], max_latency="10ms", interval="1s", guest="fedora", subnet="192.0.2.0/24")
    (check,) = checks(given, namespace="own")
    assert check.limits.max_latency_ns == 10_000_000
    assert check.ping == PingParameters(interval_ns=1_000_000_000) == ping_parameters(given)
    assert check.guest == GuestSpec(profile="fedora", subnet="192.0.2.0/24")


def test_a_shape_needs_its_nodes_first() -> None:
    shaped = object.__new__(Settings)
    given = settings(nad=["a/b"])
    shaped.__dict__.update(given.__dict__, nodes=(Mesh(),))
    with pytest.raises(ValueError, match="mesh needs a node set"):
        checks(shaped, namespace="own")


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
