"""The guests' addresses: one block for a run, a disjoint part of it for each of its processes. Pure.

Without a subnet of the user's the block lies in 198.18.0.0/15, which is reserved for benchmarks (RFC 2544).
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from pytest_kvlatency.config.parsers import Network

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
POOL: Final = ipaddress.IPv4Network("198.18.0.0/15")
_SMALLEST_BLOCK: Final = 24


@dataclass(frozen=True, kw_only=True)
class AddressShare:
    """What part of which block of addresses the run takes; see ``AddressPlan``, whose arguments these are."""

    run_id: str
    guests: int
    part: tuple[int, int] = (0, 1)


class AddressPlan:
    """Hands out addresses with their prefix length, each once. Thread-safe.

    ``run_id`` is shared by all processes of a run, of which this is ``part`` = (I, N), counted from 0: equal ids give
    the same block, different parts give different addresses. ``guests`` is how many the whole run has. Two runs with
    different ids start at different places, so that they seldom meet in one subnet.

    Raises ``ConfigError`` when the subnet cannot hold the guests.
    """

    def __init__(
        self, *, run_id: str, guests: int, subnet: Network | None = None, part: tuple[int, int] = (0, 1)
    ) -> None:
        index, count = part
        if not 0 <= index < count:
            raise ValueError(f"part {index} of {count} does not exist")
        digest = int.from_bytes(hashlib.sha256(run_id.encode()).digest(), "big")
        needed = count * -(-guests // count)
        self._is_given = subnet is not None
        self.network = _block(digest, needed) if subnet is None else subnet
        self._first, self._usable = _usable(self.network)
        if self._usable < needed:
            raise ConfigError(
                f"the subnet {self.network} has {self._usable} addresses for guests, but this run needs {needed}",
                hint=f"Use a prefix length of at most /{_prefix_for(needed, self.network)}",
            )
        self._start = digest % self._usable
        self._next = index
        self._step = count
        self._returned: deque[Interface] = deque()
        self._lock = threading.Lock()

    def take(self) -> Interface:
        """Return an address that no guest of this run has. Raises ``ConfigError`` when none is left."""
        with self._lock:
            if self._next < self._usable:
                offset = (self._start + self._next) % self._usable
                self._next += self._step
                return ipaddress.ip_interface(f"{self._first + offset}/{self.network.prefixlen}")
            if self._returned:
                return self._returned.popleft()
        raise ConfigError(
            f"no address is left in {self.network} for another guest",
            hint="Use a larger subnet" if self._is_given else "Choose a larger network: --kv-subnet CIDR",
        )

    def give_back(self, address: Interface) -> None:
        """Let another guest have the address of one that is gone (never one that was in use on the network)."""
        with self._lock:
            self._returned.append(address)


def _usable(network: Network) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """The first address for guests, and how many there are.

    Left out are IPv4's network and broadcast address, and IPv6's subnet-router anycast address.
    """
    reserved = 2 if network.version == 4 else 1
    return network.network_address + 1, network.num_addresses - reserved


def _prefix_for(guests: int, network: Network) -> int:
    """The longest prefix length whose network holds so many guests."""
    reserved = 2 if network.version == 4 else 1
    return network.max_prefixlen - (guests + reserved - 1).bit_length()


def _block(digest: int, guests: int) -> ipaddress.IPv4Network:
    prefix = max(POOL.prefixlen, min(_SMALLEST_BLOCK, _prefix_for(guests, POOL)))
    blocks = 1 << (prefix - POOL.prefixlen)
    # Other bits than those of the starting place: both are spread by them alone.
    number = (digest >> 128) % blocks
    return ipaddress.IPv4Network((int(POOL.network_address) + (number << (32 - prefix)), prefix))
