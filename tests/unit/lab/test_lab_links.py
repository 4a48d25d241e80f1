from __future__ import annotations

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.spec.labspec import LabSpec, LinkQuality, LinkSpec, NetworkSpec

BLUE = NetworkSpec(name="default/blue", quality=LinkQuality(latency_ns=200, loss=0.1))
RED = NetworkSpec(name="default/red")


def table(*links):
    return LinkTable(LabSpec(networks=(BLUE, RED), links=links))


def test_between_nodes_the_network_decides():
    assert table().quality("default/blue", "worker1", "worker2") == BLUE.quality


def test_E65_within_a_node_the_network_is_perfect_unless_a_link_says_so():
    link = LinkSpec(between=("worker2", "worker2"), overrides={"latency_ns": 5})
    assert table(link).quality("default/blue", "worker1", "worker1") == LinkQuality()
    assert table(link).quality("default/blue", "worker2", "worker2") == LinkQuality(latency_ns=5)


def test_a_link_overrides_only_what_it_gives_and_both_ways():
    link = LinkSpec(between=("worker3", "worker1"), network="default/blue", overrides={"latency_ns": 12})
    for pair in (("worker1", "worker3"), ("worker3", "worker1")):
        assert table(link).quality("default/blue", *pair) == LinkQuality(latency_ns=12, loss=0.1)
    assert table(link).quality("default/red", "worker1", "worker3") == LinkQuality()
    assert table(link).quality("default/blue", "worker1", "worker2") == BLUE.quality


def test_of_several_links_the_last_one_that_gives_a_field_wins():
    pair = ("worker1", "worker2")
    links = (
        LinkSpec(between=pair, overrides={"latency_ns": 1, "partition": True}),
        LinkSpec(between=pair, network="default/blue", overrides={"latency_ns": 2}),
    )
    assert table(*links).quality("default/blue", *pair) == LinkQuality(latency_ns=2, loss=0.1, partition=True)


def test_a_network_that_the_lab_does_not_have_is_perfect():
    assert table().quality("other/nad", "worker1", "worker2") == LinkQuality()
