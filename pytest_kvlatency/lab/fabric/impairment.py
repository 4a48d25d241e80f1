"""What a link does to one frame: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from pytest_kvlatency.lab.spec.labspec import LinkQuality

ETHERNET_HEADER = 14
_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, 0x8100
_ICMP, _ICMPV6 = 1, 58
_ECHO_V4 = frozenset({0, 8})
_ECHO_V6 = frozenset({128, 129})


@dataclass(frozen=True, kw_only=True)
class Packet:
    """What the decision needs to know of a frame: the length of its IP packet (0: no IP), and whether it is an echo."""

    ip_length: int = 0
    echo: bool = False


def inspect(frame: bytes) -> Packet:
    """Read a frame's headers (IEEE 802.3, RFC 791, RFC 8200). Whatever is cut short or unknown is no IP.

    A fragment after the first counts as an echo when it is ICMP: it belongs to a large one.
    """
    if len(frame) < ETHERNET_HEADER:
        return Packet()
    offset = ETHERNET_HEADER
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _VLAN and len(frame) >= offset + 4:
        kind = int.from_bytes(frame[16:18], "big")
        offset += 4
    ip = frame[offset:]
    if kind == _IPV4 and len(ip) >= 20:
        length = int.from_bytes(ip[2:4], "big")
        start = (ip[0] & 0x0F) * 4
        fragment = int.from_bytes(ip[6:8], "big") & 0x1FFF
        echo = ip[9] == _ICMP and (fragment > 0 or (len(ip) > start and ip[start] in _ECHO_V4))
        return Packet(ip_length=length, echo=echo)
    if kind == _IPV6 and len(ip) >= 40:
        length = 40 + int.from_bytes(ip[4:6], "big")
        return Packet(ip_length=length, echo=_echo_v6(ip))
    return Packet()


def _echo_v6(ip: bytes) -> bool:
    following, start = ip[6], 40
    if following == 44 and len(ip) >= 48:
        if int.from_bytes(ip[42:44], "big") >> 3:
            return ip[40] == _ICMPV6
        following, start = ip[40], 48
    return following == _ICMPV6 and len(ip) > start and ip[start] in _ECHO_V6


def impair(quality: LinkQuality, packet: Packet, rng: random.Random) -> tuple[int, ...]:
    """Return the delay in nanoseconds of each copy that is to arrive; none means that the frame is lost.

    Draws from ``rng`` only what ``quality`` makes uncertain. A delay is never negative.
    """
    if quality.partition or (quality.block_icmp and packet.echo):
        return ()
    if quality.mtu is not None and packet.ip_length > quality.mtu:
        return ()
    if quality.loss > 0 and rng.random() < quality.loss:
        return ()
    copies = 2 if quality.duplicate > 0 and rng.random() < quality.duplicate else 1
    return tuple(_delay(quality, rng) for _ in range(copies))


def _delay(quality: LinkQuality, rng: random.Random) -> int:
    if quality.jitter_ns <= 0:
        return quality.latency_ns
    return max(0, round(rng.gauss(quality.latency_ns, quality.jitter_ns)))
