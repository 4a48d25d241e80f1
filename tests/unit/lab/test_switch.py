from __future__ import annotations

import random
import resource
import select
import signal
import time

import pcap
import pytest

from pytest_kvlatency.lab.fabric.capture import Capture
from pytest_kvlatency.lab.fabric.impairment import Packet, impair, inspect
from pytest_kvlatency.lab.fabric.switch import Switch
from pytest_kvlatency.lab.spec.labspec import LinkQuality

BROADCAST = b"\xff" * 6
ONE, TWO, THREE = (bytes([2, 0, 0, 0, 0, number]) for number in (1, 2, 3))


class Everywhere:
    """The same quality between different nodes, none within a node."""

    def __init__(self, quality=None):
        self.between = quality or LinkQuality()

    def quality(self, network, a, b):
        return LinkQuality() if a == b else self.between


@pytest.fixture
def make():
    made = []

    def start(quality=None, seed=1, captures=None):
        switch = Switch(Everywhere(quality), seed=seed, captures=captures)
        switch.start()
        made.append(switch)
        return switch

    yield start
    for switch in made:
        switch.close()


def plug(switch, node, network="default/blue", responder=None):
    _port, end = switch.plug(network, node, responder)
    end.settimeout(60)
    return end


def frame(destination, source, kind=0x88B5, payload=b"x" * 46):
    return destination + source + kind.to_bytes(2, "big") + payload


def ipv4(protocol, payload, *, length=None, fragment=0):
    total = 20 + len(payload) if length is None else length
    head = bytes([0x45, 0]) + total.to_bytes(2, "big") + bytes(2) + fragment.to_bytes(2, "big")
    return head + bytes([64, protocol]) + bytes(10) + payload


def ipv6(following, payload):
    return b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([following, 64]) + bytes(32) + payload


def pending(end):
    return bool(select.select([end], [], [], 0)[0])


def closed(*ends):
    for end in ends:
        end.close()


def test_a_broadcast_reaches_all_others_of_its_network_only(make):
    switch = make()
    one, two, three = (plug(switch, node) for node in ("a", "b", "a"))
    stranger = plug(switch, "b", "default/red")
    sent = frame(BROADCAST, ONE)
    one.send(sent)
    assert two.recv(2000) == sent
    assert three.recv(2000) == sent
    assert not pending(one)
    assert not pending(stranger)
    closed(one, two, three, stranger)


def test_a_learned_address_is_no_longer_flooded(make):
    switch = make()
    one, two, three = (plug(switch, node) for node in ("a", "b", "c"))
    two.send(frame(BROADCAST, TWO))
    one.recv(2000)
    three.recv(2000)
    one.send(frame(TWO, ONE))
    assert two.recv(2000) == frame(TWO, ONE)
    # What comes later on the same way proves that nothing was sent before it.
    one.send(frame(BROADCAST, ONE))
    assert three.recv(2000)[:6] == BROADCAST
    closed(one, two, three)


def test_a_frame_is_never_early_and_order_is_kept(make):
    switch = make(LinkQuality(latency_ns=20_000_000))
    one, two = plug(switch, "a"), plug(switch, "b")
    begin = time.monotonic()
    for number in range(5):
        one.send(frame(BROADCAST, ONE, payload=bytes([number]) * 46))
    assert [two.recv(2000)[14] for _ in range(5)] == list(range(5))
    assert time.monotonic() - begin >= 0.02
    closed(one, two)


def test_within_a_node_nothing_is_impaired(make):
    switch = make(LinkQuality(partition=True))
    one, two, far = plug(switch, "a"), plug(switch, "a"), plug(switch, "b")
    one.send(frame(BROADCAST, ONE))
    assert two.recv(2000)
    assert not pending(far)
    closed(one, two, far)


def test_losses_are_the_same_for_the_same_seed(make):
    def arrived(seed):
        switch = make(LinkQuality(loss=0.5), seed=seed)
        one, two, near = plug(switch, "a"), plug(switch, "b"), plug(switch, "a")
        seen = []
        for number in range(61):
            one.send(frame(BROADCAST, ONE, payload=bytes([number]) * 46))
            # On its own node nothing is lost: once this frame is there, the one before it is wherever it is to be.
            assert near.recv(2000)[14] == number
            while pending(two):
                seen.append(two.recv(2000)[14])
        closed(one, two, near)
        return [number for number in seen if number < 60]

    first = arrived(3)
    assert 10 < len(first) < 50
    assert arrived(3) == first
    assert arrived(4) != first


def test_a_port_that_is_gone_loses_its_frames_and_harms_nobody(make):
    switch = make(LinkQuality(latency_ns=1_000_000))
    one, three = plug(switch, "a"), plug(switch, "c")
    port, two = switch.plug("default/blue", "b")
    one.send(frame(BROADCAST, ONE))
    switch.unplug(port)
    switch.unplug(port)
    two.close()
    assert three.recv(2000)
    one.close()
    three.send(frame(BROADCAST, THREE))
    late = plug(switch, "d")
    three.send(frame(BROADCAST, THREE))
    assert late.recv(2000)
    closed(three, late)


def test_a_port_that_does_not_listen_yet_hears_nothing_and_is_learned(make):
    switch = make()
    one, three = plug(switch, "a"), plug(switch, "c")
    port, two = switch.plug("default/blue", "b", listening=False)
    one.send(frame(BROADCAST, ONE))
    assert three.recv(2000)
    two.send(frame(ONE, TWO))
    assert one.recv(2000) == frame(ONE, TWO)
    one.send(frame(TWO, ONE))
    one.send(frame(BROADCAST, ONE, payload=b"y" * 46))
    assert three.recv(2000) == frame(BROADCAST, ONE, payload=b"y" * 46)
    switch.listen(port)
    one.send(frame(TWO, ONE, payload=b"z" * 46))
    two.settimeout(60)
    assert two.recv(2000) == frame(TWO, ONE, payload=b"z" * 46)
    closed(one, two, three)


def test_a_switch_that_is_misled_sends_elsewhere_for_so_long_even_if_the_guest_speaks(make):
    switch = make()
    one, two = plug(switch, "a"), plug(switch, "b")
    port, three = switch.plug("default/blue", "c")
    three.settimeout(60)
    one.send(frame(BROADCAST, ONE))
    assert two.recv(2000)
    assert three.recv(2000)
    two.send(frame(ONE, TWO))
    assert one.recv(2000)
    switch.mislead(port, TWO, 600)
    two.send(frame(ONE, TWO))
    assert one.recv(2000)
    one.send(frame(TWO, ONE))
    assert three.recv(2000) == frame(TWO, ONE)
    begin = time.monotonic()
    switch.mislead(port, TWO, 0.3)
    while not pending(two):
        one.send(frame(TWO, ONE))
        time.sleep(0.01)
    assert time.monotonic() - begin >= 0.3
    switch.mislead(port, TWO, 600)
    switch.unplug(port)
    while pending(two):
        two.recv(2000)
    one.send(frame(TWO, ONE))
    assert two.recv(2000) == frame(TWO, ONE)
    closed(one, two, three)


def test_a_capture_has_each_frame_that_is_sent_while_the_switch_runs(make, tmp_path):
    path = tmp_path / "blue.pcap"
    switch = make(LinkQuality(partition=True), captures={"default/blue": Capture(path)})
    before = time.time_ns()
    one, two, other = plug(switch, "a"), plug(switch, "a"), plug(switch, "a", "default/red")
    other.send(frame(BROADCAST, THREE))
    for payload in (b"x" * 46, b"y" * 1500):
        one.send(frame(BROADCAST, ONE, payload=payload))
        assert two.recv(2000)
    written = list(pcap.frames(path))
    assert [sent for _, sent in written] == [
        frame(BROADCAST, ONE),
        frame(BROADCAST, ONE, payload=b"y" * 1500),
    ]
    times = [when for when, _ in written]
    assert before <= times[0] <= times[1] <= time.time_ns()
    closed(one, two, other)


def test_a_capture_that_cannot_be_written_any_more_ends_and_the_network_goes_on(make, tmp_path, caplog):
    path = tmp_path / "blue.pcap"
    switch = make(captures={"default/blue": Capture(path)})
    one, two = plug(switch, "a"), plug(switch, "b")
    # A file that reaches its size limit is refused more, as one on a full disk is (setrlimit(2)).
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24, limits[1]))
    try:
        for _ in range(2):
            one.send(frame(BROADCAST, ONE))
            assert two.recv(2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    (record,) = caplog.records
    assert f"the capture {path} ends here: " in record.getMessage()
    closed(one, two)


def test_a_responder_answers_at_the_guests_own_port(make):
    switch = make(LinkQuality(partition=True))
    one = plug(switch, "a", responder=lambda sent: [frame(sent[6:12], THREE)])
    one.send(frame(BROADCAST, ONE))
    assert one.recv(2000) == frame(ONE, THREE)
    closed(one)


def test_after_closing_the_guests_end_is_disconnected(make):
    switch = make()
    one = plug(switch, "a")
    switch.close()
    with pytest.raises(OSError, match=r"refused|not connected|reset"):
        one.send(frame(BROADCAST, ONE))
    closed(one)


def test_a_perfect_link_delivers_one_copy_at_once_and_draws_nothing():
    rng = random.Random(1)
    before = rng.getstate()
    assert impair(LinkQuality(), Packet(), rng) == (0,)
    assert rng.getstate() == before


@pytest.mark.parametrize(
    ("quality", "packet", "copies"),
    [
        (LinkQuality(partition=True), Packet(), 0),
        (LinkQuality(loss=1.0), Packet(), 0),
        (LinkQuality(duplicate=1.0), Packet(), 2),
        (LinkQuality(block_icmp=True), Packet(ip_length=84, echo=True), 0),
        (LinkQuality(block_icmp=True), Packet(ip_length=84), 1),
        (LinkQuality(mtu=1400), Packet(ip_length=1400), 1),
        (LinkQuality(mtu=1400), Packet(ip_length=1401), 0),
    ],
)
def test_what_becomes_of_a_frame(quality, packet, copies):
    assert len(impair(quality, packet, random.Random(1))) == copies


def test_delay_has_the_configured_mean_and_spread_and_is_never_negative():
    rng = random.Random(5)
    quality = LinkQuality(latency_ns=1_000_000, jitter_ns=200_000)
    delays = [delay for _ in range(2000) for delay in impair(quality, Packet(), rng)]
    assert sum(delays) / len(delays) == pytest.approx(1_000_000, rel=0.02)
    wild = LinkQuality(latency_ns=10, jitter_ns=1_000_000)
    assert min(delay for _ in range(200) for delay in impair(wild, Packet(), rng)) == 0


def test_loss_is_a_probability_per_frame():
    rng = random.Random(7)
    lost = sum(not impair(LinkQuality(loss=0.1), Packet(), rng) for _ in range(5000))
    assert lost == pytest.approx(500, rel=0.15)


@pytest.mark.parametrize(
    ("sent", "packet"),
    [
        (frame(TWO, ONE, 0x0800, ipv4(1, b"\x08\0")), Packet(ip_length=22, echo=True)),
        (frame(TWO, ONE, 0x0800, ipv4(1, b"\0\0")), Packet(ip_length=22, echo=True)),
        (frame(TWO, ONE, 0x0800, ipv4(1, b"\x03\4")), Packet(ip_length=22)),
        (frame(TWO, ONE, 0x0800, ipv4(1, b"data", fragment=185)), Packet(ip_length=24, echo=True)),
        (frame(TWO, ONE, 0x0800, ipv4(17, b"\x08\0")), Packet(ip_length=22)),
        (frame(TWO, ONE, 0x0806), Packet()),
        (frame(TWO, ONE, 0x86DD, ipv6(58, b"\x80\0")), Packet(ip_length=42, echo=True)),
        (frame(TWO, ONE, 0x86DD, ipv6(58, b"\x87\0")), Packet(ip_length=42)),
        (
            frame(TWO, ONE, 0x86DD, ipv6(44, bytes([58, 0, 0, 1, 0, 0, 0, 0, 0x81, 0]))),
            Packet(ip_length=50, echo=True),
        ),
        (frame(TWO, ONE, 0x8100, b"\0\5\x08\0" + ipv4(1, b"\x08\0")), Packet(ip_length=22, echo=True)),
        (frame(TWO, ONE, 0x0800, b"\x45"), Packet()),
        (b"short", Packet()),
    ],
)
def test_frames_are_told_apart(sent, packet):
    assert inspect(sent) == packet
