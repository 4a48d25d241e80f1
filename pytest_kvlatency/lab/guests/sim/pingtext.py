"""The words of ping: BusyBox 1.30 to 1.36 and iputils.

BusyBox's are those that 1.35 prints; iputils' follow its sources (20221126).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_kvlatency.lab.guests.sim.network import IPAddress

BUSYBOX_BANNER = "BusyBox v1.36.1 (2023-11-07 18:53:09 UTC) multi-call binary."
OLD_BUSYBOX_BANNER = "BusyBox v1.22.1 (2014-05-23 01:24:27 UTC) multi-call binary."

_USAGE = """
Usage: ping [OPTIONS] HOST

Send ICMP ECHO_REQUESTs to HOST

\t-4,-6\t\tForce IP or IPv6 name resolution
\t-c CNT\t\tSend only CNT pings
\t-s SIZE\t\tSend SIZE data bytes in packets (default 56){new}
\t-t TTL\t\tSet TTL
\t-I IFACE/IP\tSource interface or IP address
\t-W SEC\t\tSeconds to wait for the first response (default 10)
\t\t\t(after all -c CNT packets are sent)
\t-w SEC\t\tSeconds until ping exits (default:infinite)
\t\t\t(can exit earlier with -c CNT)
\t-q\t\tQuiet, only display output at start/finish
\t-p HEXBYTE\tPayload pattern"""
BUSYBOX_USAGE = (
    BUSYBOX_BANNER
    + "\n"
    + _USAGE.format(new="\n\t-i SECS\t\tInterval\n\t-A\t\tPing as soon as reply is received")
)
OLD_BUSYBOX_USAGE = OLD_BUSYBOX_BANNER + "\n" + _USAGE.format(new="")
IPUTILS_USAGE = """
Usage
  ping [options] <destination>

Options:
  <destination>      DNS name or IP address
  -A                 use adaptive ping
  -c <count>         stop after <count> replies
  -D                 print timestamps
  -h                 print help and exit
  -I <interface>     either interface name or address
  -i <interval>      seconds between sending each packet
  -M <pmtud opt>     define mtu discovery, can be one of <do|dont|want|probe>
  -n                 no reverse DNS name resolution
  -O                 report outstanding replies
  -q                 quiet output
  -s <size>          use <size> as number of data bytes to be sent
  -t <ttl>           define time to live
  -V                 print version and exit
  -W <timeout>       time to wait for response
  -w <deadline>      reply wait <deadline> in seconds

IPv4 options:
  -4                 use IPv4

IPv6 options:
  -6                 use IPv6

For more details see ping(8)."""


@dataclass(kw_only=True)
class Counters:
    """What a ping counted. RTTs in microseconds, with those of duplicates."""

    transmitted: int = 0
    received: int = 0
    duplicates: int = 0
    errors: int = 0
    pipe: int = 0
    elapsed_ms: int = 0
    rtts_us: list[int] = field(default_factory=list)


class Words(Protocol):
    """One dialect."""

    first_sequence: int

    def header(self, host: str, address: IPAddress, size: int, source: str | None) -> str:
        """The first line. ``source`` is what ``-I`` made of it."""

    def reply(
        self, address: IPAddress, size: int, sequence: int, rtt_us: int | None, *, duplicate: bool
    ) -> str:
        """One reply; no RTT when the payload is too small for a time stamp."""

    def statistics(self, host: str, counters: Counters) -> str:
        """The last lines."""


class BusyBoxWords:
    """BusyBox counts from 0 and calls it ``seq``; it cuts the loss to whole percents."""

    first_sequence = 0

    def header(self, host: str, address: IPAddress, size: int, source: str | None) -> str:
        """See ``Words``."""
        return f"PING {host} ({address}){f' from {source}' if source else ''}: {size} data bytes"

    def reply(
        self, address: IPAddress, size: int, sequence: int, rtt_us: int | None, *, duplicate: bool
    ) -> str:
        """See ``Words``."""
        time = "" if rtt_us is None else f" time={rtt_us // 1000}.{rtt_us % 1000:03} ms"
        return f"{size + 8} bytes from {address}: seq={sequence} ttl=64{time}{' (DUP!)' if duplicate else ''}"

    def statistics(self, host: str, counters: Counters) -> str:
        """See ``Words``."""
        sent = counters.transmitted or 1
        duplicates = f"{counters.duplicates} duplicates, " if counters.duplicates else ""
        text = (
            f"\n--- {host} ping statistics ---\n"
            f"{counters.transmitted} packets transmitted, {counters.received} packets received, "
            f"{duplicates}{(sent - counters.received) * 100 // sent}% packet loss"
        )
        if counters.rtts_us:
            average = sum(counters.rtts_us) // len(counters.rtts_us)
            values = (min(counters.rtts_us), average, max(counters.rtts_us))
            text += f"\nround-trip min/avg/max = {_thousandths(values)} ms"
        return text


class IputilsWords:
    """iputils counts from 1; the precision of a time shrinks as it grows. An old one says ``icmp_req``."""

    first_sequence = 1

    def __init__(self, *, old: bool = False) -> None:
        self._number = "icmp_req" if old else "icmp_seq"

    def header(self, host: str, address: IPAddress, size: int, source: str | None) -> str:
        """See ``Words``."""
        text = f"PING {host} ({address}) {f'from {source}: ' if source else ''}"
        return text + (
            f"{size}({size + 28}) bytes of data." if address.version == 4 else f"{size} data bytes"
        )

    def reply(
        self, address: IPAddress, size: int, sequence: int, rtt_us: int | None, *, duplicate: bool
    ) -> str:
        """See ``Words``."""
        time = "" if rtt_us is None else f" time={_iputils_time(rtt_us)} ms"
        mark = " (DUP!)" if duplicate else ""
        return f"{size + 8} bytes from {address}: {self._number}={sequence} ttl=64{time}{mark}"

    def statistics(self, host: str, counters: Counters) -> str:
        """See ``Words``."""
        text = (
            f"\n--- {host} ping statistics ---\n"
            f"{counters.transmitted} packets transmitted, {counters.received} received"
        )
        if counters.duplicates:
            text += f", +{counters.duplicates} duplicates"
        if counters.errors:
            text += f", +{counters.errors} errors"
        if counters.transmitted:
            lost = (counters.transmitted - counters.received) * 100 / counters.transmitted
            text += f", {lost:g}% packet loss, time {counters.elapsed_ms}ms"
        last = []
        if counters.rtts_us:
            count = len(counters.rtts_us)
            mean = sum(counters.rtts_us) / count
            deviation = math.sqrt(max(0.0, sum(rtt * rtt for rtt in counters.rtts_us) / count - mean * mean))
            values = (min(counters.rtts_us), int(mean), max(counters.rtts_us), int(deviation))
            last.append(f"rtt min/avg/max/mdev = {_thousandths(values)} ms")
        if counters.pipe > 1:
            last.append(f"pipe {counters.pipe}")
        return text + "\n" + ", ".join(last)


def _thousandths(values: tuple[int, ...]) -> str:
    return "/".join(f"{value // 1000}.{value % 1000:03}" for value in values)


def _iputils_time(microseconds: int) -> str:
    if microseconds >= 99_950:
        return f"{(microseconds + 500) // 1000}"
    if microseconds >= 9_995:
        tenths = (microseconds + 50) // 100
        return f"{tenths // 10}.{tenths % 10}"
    if microseconds >= 1_000:
        hundredths = (microseconds + 5) // 10
        return f"{hundredths // 100}.{hundredths % 100:02}"
    return f"0.{microseconds:03}"
