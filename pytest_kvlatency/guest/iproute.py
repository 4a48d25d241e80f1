"""Reads ``ip -o link``, ``ip -o addr`` and ``ip neigh`` of iproute2 and BusyBox. Pure.

Lines that do not read as a whole are skipped: the kernel may print between them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_LINK: Final = re.compile(
    r"^\d+: (?P<name>[^\s:@]+)(?:@\S+)?: <(?P<flags>[^>]*)> mtu (?P<mtu>\d+) .*?"
    r"link/(?P<type>\S+)(?: (?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5}))?"
)
_ADDRESS: Final = re.compile(r"^\d+: (?P<name>[^\s:@]+)(?:@\S+)?\s+inet6? (?P<address>\S+)(?P<rest>.*)$")
_UNANSWERED: Final = re.compile(r"\b(?:FAILED|INCOMPLETE)\b")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A network interface of the guest; ``mac`` in lower case."""

    name: str
    mac: str
    mtu: int
    is_up: bool
    is_loopback: bool


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address on an interface. ``tentative``: duplicate address detection is not over, or found a duplicate."""

    interface: str
    value: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    tentative: bool
    duplicate: bool

    @property
    def is_link_local(self) -> bool:
        """Whether it is one that a guest gives itself."""
        return self.value.ip.is_link_local


def links(text: str) -> list[Link]:
    """Return the interfaces in the output of ``ip -o link``."""
    found = []
    for line in text.splitlines():
        match = _LINK.match(line.strip())
        if match is not None:
            flags = match["flags"].split(",")
            found.append(
                Link(
                    name=match["name"],
                    mac=(match["mac"] or "").lower(),
                    mtu=int(match["mtu"]),
                    is_up="UP" in flags,
                    is_loopback="LOOPBACK" in flags,
                )
            )
    return found


def addresses(text: str) -> list[Address]:
    """Return the addresses in the output of ``ip -o addr``."""
    found = []
    for line in text.splitlines():
        match = _ADDRESS.match(line.strip())
        if match is None:
            continue
        try:
            value = ipaddress.ip_interface(match["address"])
        except ValueError:
            continue
        words = match["rest"].replace("\\", " ").split()
        found.append(
            Address(
                interface=match["name"],
                value=value,
                tentative="tentative" in words,
                duplicate="dadfailed" in words,
            )
        )
    return found


def neighbour_answers(text: str, address: str) -> bool | None:
    """Whether the neighbour table (``ip neigh``) knows a MAC for ``address``; None when it says nothing of it."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == [address]:
            if "lladdr" in words:
                return True
            if _UNANSWERED.search(line):
                return False
    return None


def arp_answers(text: str, address: str) -> bool | None:
    """As ``neighbour_answers``, from ``/proc/net/arp``, whose flag 0x2 says that the MAC is known."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and words[0] == address:
            return words[2] != "0x0"
    return None
