"""Reads what the lab's switch has captured: pings as they were on the wire."""

from __future__ import annotations

import itertools
import struct

ECHO_REQUEST, ECHO_REPLY = 8, 0


def frames(path):
    """Each frame of a pcap file with nanoseconds, and when it came."""
    data = path.read_bytes()
    magic, major, minor, _zone, _accuracy, _limit, kind = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, kind) == (0xA1B23C4D, 2, 4, 1)
    at = 24
    while at < len(data):
        seconds, nanoseconds, length, whole = struct.unpack_from("<IIII", data, at)
        assert length == whole
        yield seconds * 1_000_000_000 + nanoseconds, data[at + 16 : at + 16 + length]
        at += 16 + length


def pings(path, kind):
    """When each ICMP echo message of ``kind`` came, and its identifier and sequence number."""
    for when, frame in frames(path):
        if frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == kind:
            identifier, number = struct.unpack_from(">HH", frame, 38)
            yield when, identifier, number


def gaps(path, identifier=None):
    """The times between two replies, longest first: how long, and when the first of the two came."""
    times = [
        when for when, owner, _number in pings(path, ECHO_REPLY) if identifier is None or owner == identifier
    ]
    return sorted(((after - before, before) for before, after in itertools.pairwise(times)), reverse=True)
