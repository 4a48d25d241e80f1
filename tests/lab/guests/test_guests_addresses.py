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
  default/sriov: {type: sriov, ipam: 192.168.12.0/24}
  default/sriov-list: {config: {plugins: [{type: tuning}, {type: sriov}]}}
  default/macvlan: {type: macvlan}
  default/tap: {type: tap}
  default/vlan: {config: {type: vlan, master: eth1, vlanId: 5}}
  default/ib-sriov: {config: {cniVersion: 0.3.1, name: n, type: ib-sriov, pkey: "0x6"}}
  default/accelerated: {config: {type: accelerated-bridge, bridge: b1}}
  default/no-addresses: {config: {type: bridge, bridge: br1, capabilities: {ips: true}, ipam: {type: static}}}
  default/no-ipam-type: {config: {type: bridge, bridge: br1, ipam: {type: ""}}}
  default/of-the-node: {config: ""}
  default/no-agent: {}
  default/no-cloud-init: {}
  default/mac-changed: {}
  default/noisy: {}
  default/failed-once: {}
  default/refused-once: {}
faults:
  - {fault: vmi-failed, network: default/failed-once, times: 1}
  - {fault: quota, network: default/refused-once, times: 1}
  - {fault: address-taken, network: default/taken, times: 1}
  - {fault: address-taken, network: default/taken6, times: 1}
  - {fault: address-taken, network: default/all-taken}
  - {fault: no-dhcp, network: default/no-lease}
  - {fault: lease-unused, network: default/unused}
  - {fault: no-agent, network: default/no-agent}
  - {fault: no-cloud-init, network: default/no-cloud-init}
  - {fault: mac-changed, network: default/mac-changed}
  - {fault: kernel-noise, network: default/noisy, every: 1}
"""
BENCHMARKING = ip_network("198.18.0.0/15")


def both(measurement):
    return ip_address(measurement["sourceAddress"]), ip_address(measurement["targetAddress"])


def notes(measurement):
    return " ".join(measurement["notes"])


def test_E20_addresses_are_two_of_one_block_and_neither_network_nor_broadcast(check):
    run = check("plain")
    run.result.assert_outcomes(passed=1)
    source, target = both(run.only)
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
def test_E20_an_address_that_a_stranger_answers_for_is_replaced(check):
    run = check("taken")
    run.result.assert_outcomes(passed=1)
    assert "already in use on this network: using another address" in notes(run.only)
    source, target = both(run.only)
    assert source != target


@pytest.mark.edge_case(
    "E20",
    happens="Another machine answers for each address that is tried.",
    does="Fails with the kind `guest`, and names `--kv-subnet`:",
    says="are already in use on this network",
)
def test_E20_strangers_on_every_address_are_a_cause(check):
    run = check("all-taken")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert "are already in use on this network" in run.only["failureReason"]
    assert "--kv-subnet" in run.stdout


TWO_ADDRESSES = ("--kv-subnet", "192.0.2.0/30")


@pytest.mark.edge_case(
    "E91",
    happens="A check is run again in a subnet that has room for two guests.",
    does="The new guests take the addresses of those that are gone.",
)
def test_E91_a_rerun_takes_the_addresses_of_the_guests_that_are_gone(check):
    pytest.importorskip("pytest_rerunfailures")
    run = check("plain", args=(*TWO_ADDRESSES, "--kv-max-latency", "1us", "--reruns", "3"))
    assert [one["failureKind"] for one in run.measurements] == ["latency"] * 4
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

        @pytest.mark.flaky(reruns=2)
        @pytest.mark.kvlatency(subnet="192.0.2.0/30")
        def test_first(kv_latency):
            tries.append(kv_latency)
            assert len(tries) == 3

        def test_second(kv_latency): ...
        """
    )
    run = check()
    assert [one["outcome"] for one in run.measurements] == ["failed", "failed", "passed", "passed"]
    assert len(run.requested("create")) == 8


@pytest.mark.edge_case(
    "E21", happens="The NAD has IPAM.", does="The guest gets its address by DHCP, and that address is pinged."
)
@pytest.mark.parametrize(
    ("network", "subnet"),
    [
        pytest.param("ipam", "192.168.10.0/24", id="E21-ipam-and-bridge"),
        pytest.param("ovn", "10.200.0.0/16", id="E21-ovn-with-subnets"),
    ],
)
def test_the_guest_asks_by_dhcp(check, network, subnet):
    run = check(network)
    run.result.assert_outcomes(passed=1)
    assert all(one in ip_network(subnet) for one in both(run.only))
    assert run.only["binding"] == "bridge"


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
def test_E21_no_lease_and_a_lease_that_the_guest_does_not_use(check):
    run = check("no-lease", "unused")
    run.result.assert_outcomes(errors=2)
    unanswered, unused = run.measurements
    assert (unanswered["failureKind"], unused["failureKind"]) == ("guest", "guest")
    assert "got no lease on eth0 within 20 s" in unanswered["failureReason"]
    assert "got 192.168.14." in unused["failureReason"]
    assert "by DHCP on eth0, but did not configure it" in unused["failureReason"]


@pytest.mark.edge_case(
    "E21",
    happens="The IPAM gives the same address on two nodes.",
    does="Fails with the kind `config`:",
    says="the IPAM of NAD … gave the address … twice: to VMI …",
)
def test_E21_an_ipam_that_gives_each_node_the_same_addresses_hides_no_broken_network(check):
    run = check("host-local")
    assert run.result.ret == 1, run.stdout
    assert run.only["failureKind"] == "config"
    reason = run.only["failureReason"]
    assert "the IPAM of NAD default/host-local gave the address 192.168.13.2 twice: to VMI " in reason
    assert " on worker1" in reason
    assert " on worker2" in reason
    assert "host-local IPAM only knows the addresses of its own node" in run.stdout


def test_E21_sriov_with_ipam_is_static(check):
    run = check("sriov")
    run.result.assert_outcomes(passed=1)
    assert run.only["binding"] == "sriov"
    assert all(one in BENCHMARKING for one in both(run.only))


@pytest.mark.parametrize(
    ("network", "args", "reason"),
    [
        pytest.param("ovn-primary", (), "role primary", id="E21-ovn-primary"),
        pytest.param("ipam", ("--kv-subnet", "fd00::/64"), "IPv6", id="E21-ipv6-wanted-where-dhcp-rules"),
        pytest.param("macvlan", (), "--kv-binding", id="E21-macvlan"),
        pytest.param("tap", (), "--kv-binding", id="E87-tap"),
        pytest.param("of-the-node", (), "has no spec.config", id="E87-no-spec"),
    ],
)
def test_a_network_that_cannot_be_served_costs_no_vmi(check, network, args, reason):
    run = check(network, args=args)
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "config"
    assert reason in run.only["failureReason"]
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
def test_E87_unusual_networks_are_measured(check):
    run = check("accelerated", "ib-sriov", "no-addresses", "no-ipam-type", "vlan")
    run.result.assert_outcomes(passed=5)
    found = {one["nad"]: one for one in run.measurements}
    bindings = {name.removeprefix("default/"): one["binding"] for name, one in found.items()}
    assert bindings == {
        "accelerated": "sriov",
        "ib-sriov": "sriov",
        "no-addresses": "bridge",
        "no-ipam-type": "bridge",
        "vlan": "bridge",
    }
    assert all(address in BENCHMARKING for one in found.values() for address in both(one))
    assert "using bridge. If no reply arrives, choose another with --kv-binding" in notes(
        found["default/vlan"]
    )


@pytest.mark.edge_case(
    "E87",
    happens="The NAD has no `spec.config`, because Multus reads it from a file of each node; `--kv-binding` is given.",
    does="Measures as without IPAM, and adds a note:",
    says="has no spec.config: Multus reads the file of network … on each node",
)
def test_E87_a_nad_without_spec_is_measured_with_a_binding(check):
    run = check("of-the-node", args=("--kv-binding", "bridge"))
    run.result.assert_outcomes(passed=1)
    assert all(one in BENCHMARKING for one in both(run.only))
    note = "NAD default/of-the-node has no spec.config: Multus reads the file of network 'of-the-node' on each node"
    assert note in notes(run.only)


@pytest.mark.edge_case(
    "E25",
    happens="The NAD is a list of plugins, and one of them is `sriov`.",
    does="Uses the binding `sriov`.",
)
def test_E25_a_list_of_plugins_with_sriov(check):
    run = check("sriov-list")
    run.result.assert_outcomes(passed=1)
    assert run.only["binding"] == "sriov"


@pytest.mark.edge_case(
    "E22",
    happens="The guest has no guest agent, so its address is not in the VMI's status.",
    does="Measures: the status is not needed.",
)
def test_E22_without_an_agent(check):
    check("no-agent").result.assert_outcomes(passed=1)


@pytest.mark.edge_case(
    "E23",
    happens="cloud-init did not configure the guest's interface.",
    does="Configures it, measures, and adds a note:",
    says="did not configure eth0: configured it over the console",
)
def test_E23_cloud_init_did_nothing(check):
    run = check("no-cloud-init")
    run.result.assert_outcomes(passed=1)
    assert "did not configure eth0: configured it over the console" in notes(run.only)


@pytest.mark.edge_case(
    "E23",
    happens="The interface in the guest has another MAC address than the VMI.",
    does="Finds the interface, measures, and adds a note:",
    says="no interface has the MAC",
)
def test_E23_the_mac_is_another_than_the_vmi_says(check):
    run = check("mac-changed")
    run.result.assert_outcomes(passed=1)
    assert "no interface has the MAC" in notes(run.only)


def test_E12_a_kernel_that_never_is_silent_while_addresses_are_looked_at(check):
    run = check("noisy")
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == 10


@pytest.mark.edge_case(
    "E26",
    happens="Duplicate address detection delays an IPv6 address.",
    does="Waits for it, and pings over IPv6.",
)
def test_E26_ipv6_waits_for_duplicate_address_detection(check):
    run = check("plain", args=("--kv-subnet", "fd00:18::/64"))
    run.result.assert_outcomes(passed=1)
    assert all(one in ip_network("fd00:18::/64") for one in both(run.only))
    assert run.only["received"] == 10


def test_E26_an_ipv6_address_that_a_stranger_has_is_replaced(check):
    run = check("taken6", args=("--kv-subnet", "fd00:18::/64"))
    run.result.assert_outcomes(passed=1)
    assert "already in use on this network: using another address" in notes(run.only)


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
