"""Reads what the guest's agent tells: blocks of ``ip -o link`` and ``ip -o addr`` lines, each ended by a lone dot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LINK = re.compile(r"^\d+: ([^:@\s]+)[^:]*: <.*link/ether ([0-9a-f:]{17})")
_ADDRESS = re.compile(r"^\d+: (\S+)\s+inet6? ([0-9a-fA-F.:]+)/\d+ (.*)$")
_BLOCK_LIMIT = 64 * 1024


def parse(block: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses (without prefix length) by MAC; addresses that are tentative or failed do not count yet."""
    macs: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for line in block.splitlines():
        link = _LINK.match(line)
        if link:
            macs[link[1]] = link[2]
            found[link[2]] = []
            continue
        address = _ADDRESS.match(line)
        if address and address[1] in macs and not {"tentative", "dadfailed"} & set(address[3].split()):
            found[macs[address[1]]].append(address[2])
    return {mac: tuple(addresses) for mac, addresses in found.items()}


class Report:
    """Collects the agent's bytes; ``addresses`` are those of the last whole block."""

    def __init__(self) -> None:
        self.addresses: Mapping[str, Sequence[str]] = {}
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer = (self._buffer + data.replace(b"\r", b""))[-_BLOCK_LIMIT:]
        while b"\n.\n" in self._buffer:
            block, self._buffer = self._buffer.split(b"\n.\n", 1)
            self.addresses = parse(block.decode(errors="replace"))
