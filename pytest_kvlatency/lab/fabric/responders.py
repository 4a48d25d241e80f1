"""What answers a guest at its port of the switch: KubeVirt's DHCP server, and a machine that has its address."""

from __future__ import annotations

import ipaddress
import struct

_ARP, _IPV4 = 0x0806, 0x0800
_SERVER_MAC = bytes.fromhex("02000000fe01")
_OTHER_MAC = bytes.fromhex("02000000fe02")
_COOKIE = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK = 1, 2, 3, 5, 6
_LEASE_SECONDS = 86_400


class DhcpServer:
    """Leases one address to any client at this port (RFC 2131), as KubeVirt does for the bridge binding.

    ``lease`` is the address in CIDR form. The server's address is the first of the network, or the second where the
    guest has the first; a router is not given, for secondary networks have none.
    """

    def __init__(self, lease: str, mtu: int = 1500) -> None:
        self._interface = ipaddress.IPv4Interface(lease)
        self._mtu = mtu
        first = self._interface.network.network_address + 1
        self._server = first if first != self._interface.ip else first + 1

    def __call__(self, frame: bytes) -> list[bytes]:
        """Answer a DISCOVER or REQUEST; nothing else."""
        if len(frame) < 14 + 20 + 8 + 240 or frame[12:14] != _IPV4.to_bytes(2, "big"):
            return []
        ip = frame[14:]
        start = (ip[0] & 0x0F) * 4
        if ip[9] != 17 or ip[start + 2 : start + 4] != (67).to_bytes(2, "big"):
            return []
        bootp = ip[start + 8 :]
        if len(bootp) < 240 or bootp[0] != 1 or bootp[236:240] != _COOKIE:
            return []
        options = _options(bootp[240:])
        kind = options.get(53, b"\0")[0]
        if kind == _DISCOVER:
            return [self._answer(frame, bootp, _OFFER)]
        if kind == _REQUEST:
            wanted = options.get(50, bootp[12:16])
            server = options.get(54)
            if server is not None and server != self._server.packed:
                return []
            granted = wanted == self._interface.ip.packed
            return [self._answer(frame, bootp, _ACK if granted else _NAK)]
        return []

    def _answer(self, frame: bytes, request: bytes, kind: int) -> bytes:
        client = frame[6:12]
        given = b"\0\0\0\0" if kind == _NAK else self._interface.ip.packed
        header = struct.pack(">BBBB4sHH4s4s4s4s", 2, 1, 6, 0, request[4:8], 0, 0x8000, b"", given, b"", b"")
        body = header + request[28:44] + bytes(192) + _COOKIE
        body += bytes([53, 1, kind, 54, 4]) + self._server.packed
        if kind != _NAK:
            body += bytes([51, 4]) + _LEASE_SECONDS.to_bytes(4, "big")
            body += bytes([1, 4]) + self._interface.netmask.packed
            body += bytes([26, 2]) + self._mtu.to_bytes(2, "big")
        body += b"\xff"
        udp = struct.pack(">HHHH", 67, 68, 8 + len(body), 0) + body
        head = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, self._server.packed, b"\xff\xff\xff\xff"
        )
        head = head[:10] + _checksum(head).to_bytes(2, "big") + head[12:]
        return client + _SERVER_MAC + _IPV4.to_bytes(2, "big") + head + udp


class AddressTaken:
    """Answers the guest's probes for an address (RFC 5227: ARP requests with no sender address) as its owner would.

    ``times`` bounds for how many different addresses; ``None``: for all. IPv4 only.
    """

    def __init__(self, times: int | None) -> None:
        self._times = times
        self._taken: set[bytes] = set()

    def __call__(self, frame: bytes) -> list[bytes]:
        """Answer an ARP probe; nothing else."""
        if len(frame) < 42 or frame[12:14] != _ARP.to_bytes(2, "big") or frame[20:22] != b"\0\1":
            return []
        sender, wanted = frame[28:32], frame[38:42]
        if sender not in (b"\0\0\0\0", wanted):
            return []
        if wanted not in self._taken:
            if self._times is not None and len(self._taken) >= self._times:
                return []
            self._taken.add(wanted)
        client = frame[6:12]
        arp = bytes.fromhex("0001080006040002") + _OTHER_MAC + wanted + client + sender
        return [client + _OTHER_MAC + _ARP.to_bytes(2, "big") + arp]


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return {code: value for code, value in found.items() if value}


def _checksum(header: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of a header of even length."""
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
