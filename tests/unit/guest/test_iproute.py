from ipaddress import ip_interface

from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.guest import iproute

IPROUTE2 = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
2: enp1s0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc fq_codel state UP mode DEFAULT group default qlen 1000\\    link/ether 02:AB:cd:00:00:01 brd ff:ff:ff:ff:ff:ff\\    altname enx02abcd000001
[   12.345678] IPv6: ADDRCONF(NETDEV_CHANGE): enp1s0: link becomes ready
3: eth1@if7: <BROADCAST,MULTICAST> mtu 9000 qdisc noop state DOWN qlen 1000\\    link/ether 02:ab:cd:00:00:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: enp1s0    inet 198.18.0.7/24 brd 198.18.0.255 scope global enp1s0\\       valid_lft forever preferred_lft forever
2: enp1s0    inet6 fd00::7/64 scope global tentative dadfailed \\       valid_lft forever preferred_lft forever
2: enp1s0    inet6 fe80::1/64 scope link tentative \\       valid_lft forever preferred_lft forever
"""


def test_links_are_read_past_kernel_messages():
    found = {link.name: link for link in iproute.links(IPROUTE2.replace("AB", "ab"))}
    assert set(found) == {"lo", "enp1s0", "eth1"}
    assert found["enp1s0"].mac == "02:ab:cd:00:00:01"
    assert found["enp1s0"].mtu == 1450
    assert found["lo"].is_loopback
    assert not found["eth1"].is_up


def test_addresses_and_their_flags_are_read():
    found = {str(one.value): one for one in iproute.addresses(IPROUTE2)}
    assert found["198.18.0.7/24"].value == ip_interface("198.18.0.7/24")
    assert not found["198.18.0.7/24"].tentative
    assert found["fd00::7/64"].tentative
    assert found["fd00::7/64"].duplicate
    assert found["fe80::1/64"].is_link_local


def test_E28_neighbours_that_answered_and_those_that_did_not():
    table = (
        "198.18.0.1 dev eth0 lladdr 02:00:00:00:00:02 ref 1 used 0/0/0 probes 1 REACHABLE\n"
        "198.18.0.2 dev eth0  used 0/0/0 probes 6 FAILED\n198.18.0.3 dev eth0 INCOMPLETE\n"
    )
    answers = [iproute.neighbour_answers(table, f"198.18.0.{last}") for last in (1, 2, 3, 4)]
    assert answers == [True, False, False, None]
    arp = "IP address  HW type  Flags  HW address\n198.18.0.1 0x1 0x2 02:00:00:00:00:02 * eth0\n198.18.0.2 0x1 0x0 00:00:00:00:00:00 * eth0\n"
    assert [iproute.arp_answers(arp, f"198.18.0.{last}") for last in (1, 2, 3)] == [True, False, None]


@given(st.text(max_size=300))
def test_no_text_breaks_the_readers(text):
    iproute.links(text)
    iproute.addresses(text)
    iproute.neighbour_answers(text, "198.18.0.1")
    iproute.arp_answers(text, "198.18.0.1")
