"""Addresses: assigned, leased, taken by strangers, and mended in the guest, from end to end."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 2
time_scale: 20
boot: 100ms
networks:
  default/plain: {}
  default/taken: {}
  default/taken6: {}
  default/all-taken: {}
  default/ipam: {ipam: 192.168.10.0/24}
  default/host-local:
    partition: true
    config: {type: bridge, bridge: br-local, ipam: {type: host-local, subnet: 192.168.13.0/24}}
    ipam: 192.168.13.0/24
  default/no-lease: {ipam: 192.168.11.0/24}
  default/unused: {ipam: 192.168.14.0/24}
  default/ovn: {config: {type: ovn-k8s-cni-overlay, topology: layer2, subnets: 10.200.0.0/16}, ipam: 10.200.0.0/16}
  default/ovn-primary: {config: {type: ovn-k8s-cni-overlay, role: primary, subnets: 10.201.0.0/16}}
  default/sriov: {config: {plugins: [{type: tuning}, {type: sriov, ipam: {type: dhcp}}]}, ipam: 192.168.12.0/24}
  default/macvlan: {type: macvlan}
  default/tap: {type: tap}
  default/vlan: {config: {type: vlan, master: eth1, vlanId: 5, capabilities: {ips: true}, ipam: {type: static}}}
  default/of-the-node: {config: ""}
  default/unhelpful: {}
  default/failed-once: {}
  default/refused-once: {}
faults:
  - {fault: vmi-failed, network: default/failed-once, times: 1}
  - {fault: quota, network: default/refused-once, times: 1}
  - {fault: address-taken, network: default/taken, times: 1}
  - {fault: address-taken, network: default/taken6, times: 1}
  - {fault: address-taken, network: default/all-taken}
  - {fault: no-dhcp, network: default/no-lease, node: worker1}
  - {fault: lease-unused, network: default/unused, node: worker1}
  - {fault: no-agent, network: default/unhelpful}
  - {fault: no-cloud-init, network: default/unhelpful, node: worker1}
  - {fault: mac-changed, network: default/unhelpful, node: worker2}
  - {fault: kernel-noise, network: default/unhelpful, every: 1}
"""
BENCHMARKING = ip_network("198.18.0.0/15")


def both(measurement):
    return ip_address(measurement["sourceAddress"]), ip_address(measurement["targetAddress"])


def notes(measurement):
    return " ".join(measurement["notes"])


NETWORKS = """
import pytest

def on(network, **settings):
    return pytest.mark.kvlatency(nad=f"default/{network}", **settings)

@on("unhelpful")
def test_unhelpful(kv_latency): ...

@on("taken")
def test_taken(kv_latency): ...

@on("taken6", subnet="fd00:18::/64")
def test_taken_by_ipv6(kv_latency): ...

@on("all-taken")
def test_all_taken(kv_latency): ...

@on("ipam")
def test_ipam(kv_latency): ...

@on("ovn")
def test_ovn(kv_latency): ...

@on("no-lease")
def test_no_lease(kv_latency): ...

@on("unused")
def test_unused(kv_latency): ...

@on("host-local")
def test_host_local(kv_latency): ...

@on("sriov")
def test_sriov(kv_latency): ...

@on("vlan")
def test_vlan(kv_latency): ...

@on("of-the-node", binding="bridge")
def test_of_the_node(kv_latency): ...
"""


@pytest.fixture(scope="module")
def found(measured):
    """What came of each network, by test."""
    return measured(args=("--kv-nodes", "worker1:worker2"), tests=NETWORKS)


def test_E20_addresses_are_two_of_one_block_and_neither_network_nor_broadcast(found):
    source, target = both(found["vlan"])
    assert source != target
    assert source in BENCHMARKING
    assert target in BENCHMARKING
    assert not {0, 255} & {int(source) % 256, int(target) % 256}


@pytest.mark.edge_case(
    "E20",
    happens="Another machine on the network has the address of a guest.",
    does="Takes another address, measures, and adds a note:",
    says="already in use on this network: using another address",
)
def test_E20_an_address_that_a_stranger_answers_for_is_replaced(found):
    one = found["taken"]
    assert one["outcome"] == "passed"
    assert "already in use on this network: using another address" in notes(one)
    source, target = both(one)
    assert source != target


@pytest.mark.edge_case(
    "E20",
    happens="Another machine answers for each address that is tried.",
    does="Fails with the kind `guest`, and names `--kv-subnet`:",
    says="are already in use on this network",
)
def test_E20_strangers_on_every_address_are_a_cause(found):
    one = found["all_taken"]
    assert (one["outcome"], one["failureKind"]) == ("error", "guest")
    assert "are already in use on this network" in one["failureReason"]
    assert "--kv-subnet" in one["advice"]


TWO_ADDRESSES = ("--kv-subnet", "192.0.2.0/30")


@pytest.mark.edge_case(
    "E91",
    happens="A check is run again in a subnet that has room for two guests.",
    does="The new guests take the addresses of those that are gone.",
)
def test_E91_a_rerun_takes_the_addresses_of_the_guests_that_are_gone(check):
    pytest.importorskip("pytest_rerunfailures")
    run = check("plain", args=(*TWO_ADDRESSES, "--kv-max-latency", "1us", "--reruns", "1"))
    assert [one["failureKind"] for one in run.measurements] == ["latency"] * 2
    for one in run.measurements:
        assert {str(address) for address in both(one)} == {"192.0.2.1", "192.0.2.2"}
        # A neighbour's MAC that is out of date is no loss.
        assert one["received"] == one["transmitted"]


@pytest.mark.parametrize("network", ["failed-once", "refused-once"])
def test_E91_the_address_of_a_guest_that_never_came_up_is_given_back(check, network):
    pytest.importorskip("pytest_rerunfailures")
    run = check(network, args=(*TWO_ADDRESSES, "--reruns", "1"))
    assert [one["outcome"] for one in run.measurements] == ["error", "passed"], run.stdout
    assert run.measurements[0]["failureKind"] == "provision"


@pytest.mark.keeps("rerunfailures")
def test_E91_a_rerun_among_other_tests_waits_for_the_guests_that_are_going(pytester, check):
    pytest.importorskip("pytest_rerunfailures")
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/plain", nodes="worker1:worker2")
        tries = []

        @pytest.mark.flaky(reruns=1)
        @pytest.mark.kvlatency(subnet="192.0.2.0/30")
        def test_first(kv_latency):
            tries.append(kv_latency)
            assert len(tries) == 2

        def test_second(kv_latency): ...
        """
    )
    run = check()
    assert [one["outcome"] for one in run.measurements] == ["failed", "passed", "passed"]
    assert len(run.requested("create")) == 6


@pytest.mark.edge_case(
    "E21", happens="The NAD has IPAM.", does="The guest gets its address by DHCP, and that address is pinged."
)
@pytest.mark.parametrize(
    ("test", "subnet"),
    [
        pytest.param("ipam", "192.168.10.0/24", id="E21-ipam-and-bridge"),
        pytest.param("ovn", "10.200.0.0/16", id="E21-ovn-with-subnets"),
    ],
)
def test_the_guest_asks_by_dhcp(found, test, subnet):
    one = found[test]
    assert one["outcome"] == "passed"
    assert all(address in ip_network(subnet) for address in both(one))
    assert one["binding"] == "bridge"


@pytest.mark.edge_case(
    "E21",
    happens="The NAD has IPAM, and nothing answers the guest's DHCP requests.",
    does="Fails with the kind `guest`:",
    says="got no lease on eth0 within 20 s",
)
@pytest.mark.edge_case(
    "E21",
    happens="DHCP gives an address, and the guest does not configure it.",
    does="Fails with the kind `guest`, and says so:",
    says="by DHCP on eth0, but did not configure it",
)
def test_E21_no_lease_and_a_lease_that_the_guest_does_not_use(found):
    unanswered, unused = found["no_lease"], found["unused"]
    assert [(one["outcome"], one["failureKind"]) for one in (unanswered, unused)] == [("error", "guest")] * 2
    assert "got no lease on eth0 within 20 s" in unanswered["failureReason"]
    assert "got 192.168.14." in unused["failureReason"]
    assert "by DHCP on eth0, but did not configure it" in unused["failureReason"]


@pytest.mark.edge_case(
    "E21",
    happens="The IPAM gives the same address on two nodes.",
    does="Fails with the kind `config`:",
    says="the IPAM of NAD … gave the address … twice: to VMI …",
)
def test_E21_an_ipam_that_gives_each_node_the_same_addresses_hides_no_broken_network(found):
    one = found["host_local"]
    assert one["failureKind"] == "config"
    reason = one["failureReason"]
    assert "the IPAM of NAD default/host-local gave the address 192.168.13.2 twice: to VMI " in reason
    assert " on worker1" in reason
    assert " on worker2" in reason
    assert "host-local IPAM only knows the addresses of its own node" in one["advice"]


def test_E21_sriov_with_ipam_is_static(found):
    one = found["sriov"]
    assert (one["outcome"], one["binding"]) == ("passed", "sriov")
    assert all(address in BENCHMARKING for address in both(one))


UNSERVED = """
import pytest

def on(network, **settings):
    return pytest.mark.kvlatency(nad=f"default/{network}", **settings)

@on("ovn-primary")
def test_ovn_primary(kv_latency): ...

@on("ipam", subnet="fd00::/64")
def test_ipv6_where_dhcp_rules(kv_latency): ...

@on("macvlan")
def test_macvlan(kv_latency): ...

@on("tap")
def test_tap(kv_latency): ...

@on("of-the-node")
def test_no_spec(kv_latency): ...
"""


def test_E21_E87_networks_that_cannot_be_served_cost_no_vmi(check, pytester):
    pytester.makepyfile(UNSERVED)
    run = check()
    run.result.assert_outcomes(errors=5)
    reasons = ("role primary", "IPv6", "--kv-binding", "--kv-binding", "has no spec.config")
    for one, reason in zip(run.measurements, reasons, strict=True):
        assert one["failureKind"] == "config"
        assert reason in one["failureReason"]
    assert run.requested("create") == []


@pytest.mark.edge_case(
    "E87",
    happens="The NAD has an `ipam` without a type, or a `static` one without addresses.",
    does="Takes it for a network without IPAM: the guests get addresses of this tool.",
)
@pytest.mark.edge_case(
    "E87",
    happens="The NAD is of a type that KubeVirt does not document, such as `vlan`.",
    does="Uses the binding `bridge`, measures, and adds a note:",
    says="using bridge. If no reply arrives, choose another with --kv-binding",
)
def test_E87_an_unusual_network_is_measured(found):
    one = found["vlan"]
    assert (one["outcome"], one["binding"]) == ("passed", "bridge")
    assert all(address in BENCHMARKING for address in both(one))
    assert "using bridge. If no reply arrives, choose another with --kv-binding" in notes(one)


@pytest.mark.edge_case(
    "E87",
    happens="The NAD has no `spec.config`, because Multus reads it from a file of each node; `--kv-binding` is given.",
    does="Measures as without IPAM, and adds a note:",
    says="has no spec.config: Multus reads the file of network … on each node",
)
def test_E87_a_nad_without_spec_is_measured_with_a_binding(found):
    one = found["of_the_node"]
    assert one["outcome"] == "passed"
    assert all(address in BENCHMARKING for address in both(one))
    note = "NAD default/of-the-node has no spec.config: Multus reads the file of network 'of-the-node' on each node"
    assert note in notes(one)


@pytest.mark.edge_case(
    "E25",
    happens="The NAD is a list of plugins, and one of them is `sriov`.",
    does="Uses the binding `sriov`.",
)
def test_E25_a_list_of_plugins_with_sriov(found):
    one = found["sriov"]
    assert (one["outcome"], one["binding"]) == ("passed", "sriov")


@pytest.mark.edge_case(
    "E22",
    happens="The guest has no guest agent, so its address is not in the VMI's status.",
    does="Measures: the status is not needed.",
)
def test_E22_without_an_agent(found):
    assert found["unhelpful"]["outcome"] == "passed"


@pytest.mark.edge_case(
    "E23",
    happens="cloud-init did not configure the guest's interface.",
    does="Configures it, measures, and adds a note:",
    says="did not configure eth0: configured it over the console",
)
def test_E23_cloud_init_did_nothing(found):
    assert found["unhelpful"]["outcome"] == "passed"
    assert "did not configure eth0: configured it over the console" in notes(found["unhelpful"])


@pytest.mark.edge_case(
    "E23",
    happens="The interface in the guest has another MAC address than the VMI.",
    does="Finds the interface, measures, and adds a note:",
    says="no interface has the MAC",
)
def test_E23_the_mac_is_another_than_the_vmi_says(found):
    assert found["unhelpful"]["outcome"] == "passed"
    assert "no interface has the MAC" in notes(found["unhelpful"])


def test_E12_a_kernel_that_never_is_silent_while_addresses_are_looked_at(found):
    one = found["unhelpful"]
    assert (one["outcome"], one["received"]) == ("passed", 10)


@pytest.mark.edge_case(
    "E26",
    happens="Duplicate address detection delays an IPv6 address.",
    does="Waits for it, and pings over IPv6.",
)
def test_E26_ipv6_waits_for_duplicate_address_detection(found):
    one = found["taken_by_ipv6"]
    assert (one["outcome"], one["received"]) == ("passed", 10)
    assert all(address in ip_network("fd00:18::/64") for address in both(one))


def test_E26_an_ipv6_address_that_a_stranger_has_is_replaced(found):
    one = found["taken_by_ipv6"]
    assert one["outcome"] == "passed"
    assert "already in use on this network: using another address" in notes(one)


SUBNETS = """
import ipaddress
import pytest

@pytest.mark.kvlatency(nad="default/plain", nodes=["worker1:worker2", "worker2:worker1"], subnet="192.0.2.0/30")
def test_small(kv_pair):
    assert ipaddress.ip_address(kv_pair.source.address) in ipaddress.ip_network("192.0.2.0/30")

@pytest.mark.kvlatency(nad="default/plain", nodes=["worker1:worker2", "worker1:worker1"])
def test_others(kv_latency): ...

@pytest.mark.kvlatency(nad="default/plain", nodes=["worker1:worker2", "worker1:worker1"], subnet="198.51.100.0/30")
def test_too_small(): ...
"""


def test_a_markers_subnet_holds_the_guests_of_its_own_tests_only(check, pytester):
    pytester.makepyfile(SUBNETS)
    run = check()
    run.result.assert_outcomes(passed=4, errors=2)
    reasons = {one["failureReason"] for one in run.measurements if one["outcome"] == "error"}
    assert reasons == {
        "config: the subnet 198.51.100.0/30 has 2 addresses for guests, but this run needs 3",
    }
