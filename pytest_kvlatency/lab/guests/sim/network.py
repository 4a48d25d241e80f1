"""The networks between simulated guests: who owns which address, and what becomes of a packet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_kvlatency.lab.fabric.links import LinkTable
    from pytest_kvlatency.lab.guests.sim.clock import Clock
    from pytest_kvlatency.lab.spec.labspec import FaultSpec, LinkQuality

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface

#: Linux' defaults: three probes, a second apart.
_PROBES = 3
_PROBE_SECONDS = 1.0
_NEIGHBOUR_LIFETIME_SECONDS = 60.0
#: How long duplicate address detection keeps an IPv6 address tentative.
DAD_SECONDS = 1.0
OTHER_MAC = "02:00:5e:00:53:01"


@dataclass(kw_only=True)
class SimAddress:
    """An address on an interface; IPv6 ones are tentative at first, and stay so when they are taken."""

    value: IPInterface
    usable_at: float = 0.0
    dad_failed: bool = False

    @property
    def link_local(self) -> bool:
        """Whether it is an automatic address of the link."""
        return self.value.ip.is_link_local


@dataclass(kw_only=True)
class _Neighbour:
    ready_at: float
    failed: bool
    expires_at: float


@dataclass(kw_only=True)
class SimInterface:
    """A guest's interface. ``vmi_mac`` is what the VMI says, ``mac`` what the guest sees."""

    name: str
    mac: str
    vmi_mac: str
    network: str
    mtu: int
    lease: str | None
    up: bool = True
    addresses: list[SimAddress] = field(default_factory=list)
    neighbours: dict[IPAddress, _Neighbour] = field(default_factory=dict)


class Route(NamedTuple):
    """Where a packet leaves: ``interface`` is None for the guest itself."""

    interface: SimInterface | None
    source: IPAddress


class Echo(NamedTuple):
    """An echo request as it leaves, with times in seconds after it was sent.

    ``arrives`` is when it gets to its destination, ``returns`` when its replies are back if it is answered at once;
    there are none if it or they are lost by the way. ``unreachable`` is when ARP got no answer.
    """

    arrives: float = 0.0
    returns: tuple[float, ...] = ()
    unreachable: float | None = None


class Answered(NamedTuple):
    """A request that was answered on ``node``, guest ``held`` seconds after it arrived at a guest that was paused."""

    node: str
    held: float = 0.0


class Networks:
    """All addresses of all running guests."""

    def __init__(self, links: LinkTable, seed: int) -> None:
        self.links = links
        self.seed = seed
        self._owners: dict[tuple[str, IPAddress], list[tuple[Stack, SimInterface]]] = {}

    def add(self, stack: Stack, interface: SimInterface, address: IPAddress) -> None:
        """Let ``stack`` answer for ``address``."""
        self._owners.setdefault((interface.network, address), []).append((stack, interface))

    def remove(self, stack: Stack, interface: SimInterface, address: IPAddress) -> None:
        """Let ``stack`` no longer answer for ``address``."""
        key = (interface.network, address)
        owners = [owner for owner in self._owners.get(key, ()) if owner != (stack, interface)]
        if owners:
            self._owners[key] = owners
        else:
            self._owners.pop(key, None)

    def owner(self, network: str, address: IPAddress, asking: Stack) -> tuple[Stack, SimInterface] | None:
        """Who on ``network``, other than ``asking``, answers for ``address``."""
        for stack, interface in self._owners.get((network, address), ()):
            if stack is not asking and interface.up:
                return stack, interface
        return None


class Stack:
    """The network of one guest."""

    def __init__(
        self, *, networks: Networks, node: str, interfaces: list[SimInterface], taken: FaultSpec | None
    ) -> None:
        self._networks = networks
        self.node = node
        self.interfaces = interfaces
        self._taken = taken
        self._taken_addresses: set[IPAddress] = set()
        self._streams: dict[tuple[str, ...], Random] = {}
        self.clock: Clock | None = None
        self._deaf = self._held = (0.0, 0.0)

    def find(self, name: str) -> SimInterface | None:
        """The interface called ``name``."""
        return next((interface for interface in self.interfaces if interface.name == name), None)

    def configure(self, interface: SimInterface, value: IPInterface, now: float) -> bool:
        """Add an address; False if it is there already."""
        if any(address.value == value for address in interface.addresses):
            return False
        address = SimAddress(value=value)
        if isinstance(value, IPv6Interface):
            address.usable_at = now + DAD_SECONDS
            address.dad_failed = self.probe(interface, value.ip, now) is not None
        elif self._taken is not None:
            self._is_taken(value.ip)
        interface.addresses.append(address)
        self._networks.add(self, interface, value.ip)
        return True

    def deconfigure(self, interface: SimInterface, value: IPInterface) -> bool:
        """Remove an address; False if it is not there."""
        kept = [address for address in interface.addresses if address.value != value]
        if len(kept) == len(interface.addresses):
            return False
        interface.addresses = kept
        self._networks.remove(self, interface, value.ip)
        return True

    def clear(self) -> None:
        """Forget all addresses, as a power-off does."""
        for interface in self.interfaces:
            for address in list(interface.addresses):
                self.deconfigure(interface, address.value)
            interface.neighbours.clear()

    def route(
        self,
        destination: IPAddress,
        now: float,
        *,
        device: str | None = None,
        source: IPAddress | None = None,
    ) -> Route | None:
        """Find the way to ``destination``, or None: the network is unreachable."""
        if destination.is_loopback:
            return Route(None, destination)
        best: tuple[int, SimInterface, IPAddress] | None = None
        for interface in self.interfaces:
            for address in interface.addresses:
                if address.value.version != destination.version:
                    continue
                if address.value.ip == destination:
                    return Route(None, destination)
                if not interface.up or address.dad_failed or address.usable_at > now:
                    continue
                if device is not None and interface.name != device:
                    continue
                if source is not None and address.value.ip != source:
                    continue
                length = address.value.network.prefixlen
                if destination in address.value.network and (best is None or length > best[0]):
                    best = (length, interface, address.value.ip)
        return None if best is None else Route(best[1], best[2])

    def probe(self, interface: SimInterface, address: IPAddress, now: float) -> tuple[str, float] | None:
        """MAC and RTT (seconds) of what else has ``address``: another guest, or the machine of the fault.

        The fault address-taken answers for each address that the guest has or probes, up to ``times`` of them.
        """
        answer = self.resolve(interface, address, now)
        if answer is None and self._is_taken(address):
            return OTHER_MAC, 0.0002 + self._stream("taken").random() * 0.0002
        return answer

    def resolve(self, interface: SimInterface, address: IPAddress, now: float) -> tuple[str, float] | None:
        """Ask once at ``now`` by ARP or neighbour discovery: MAC and RTT (seconds), or None when no answer comes."""
        owner = self._networks.owner(interface.network, address, self)
        if owner is None or not interface.up:
            return None
        stack, other = owner
        quality = self._networks.links.quality(interface.network, self.node, stack.node)
        rtts = _exchange(self._stream("neighbour", interface.network, stack.node), quality, 1)
        if not rtts:
            return None
        clock, rtt = self._started_clock, rtts[0]
        if stack.is_deaf(clock.host_time(now + rtt / 2)) or self.is_deaf(clock.host_time(now + rtt)):
            return None
        return other.mac, rtt

    def echo(self, route: Route, destination: IPAddress, size: int, now: float) -> Echo:
        """Send one echo request with ``size`` bytes of payload at the guest time ``now``.

        All that is random is decided here, so that it depends on nothing that happens while the request is under way.
        """
        interface = route.interface
        if interface is None:
            rtt = 0.00004 + self._stream("loopback").random() * 0.00004
            return Echo(arrives=rtt / 2, returns=(rtt,))
        owner = self._networks.owner(interface.network, destination, self)
        node = "" if owner is None else owner[0].node
        quality = self._networks.links.quality(interface.network, self.node, node or self.node)
        frames, longest = fragments(size, interface.mtu, destination.version)
        stream = self._stream("echo", interface.network, node, str(destination.version))
        rtts = _exchange(stream, quality, frames)
        neighbour = self._resolve(interface, destination, now)
        if neighbour.failed:
            return Echo(unreachable=neighbour.ready_at - now)
        if not rtts or quality.block_icmp or (quality.mtu is not None and longest > quality.mtu):
            return Echo()
        wait = max(0.0, neighbour.ready_at - now)
        return Echo(arrives=wait + rtts[0] / 2, returns=tuple(wait + rtt for rtt in rtts))

    def answer(self, route: Route, destination: IPAddress, now: float) -> Answered | None:
        """What a request gets that reaches ``destination`` at the guest time ``now``; None is no answer."""
        interface = route.interface
        if interface is None:
            return Answered(node=self.node)
        owner = self._networks.owner(interface.network, destination, self)
        if owner is None:
            return None
        other, at = owner[0], self._started_clock.host_time(now)
        if other.has_lost(destination) or other.is_deaf(at) or self._is_apart(interface, other.node):
            return None
        return Answered(node=other.node, held=other.held_seconds(at) * self._started_clock.scale)

    def receives(self, route: Route, destination: IPAddress, answer: Answered, now: float) -> bool:
        """Whether a reply from ``destination`` that is back at the guest time ``now`` gets through."""
        interface = route.interface
        if interface is None:
            return True
        is_deaf = self.is_deaf(self._started_clock.host_time(now))
        if is_deaf or not interface.up or self._is_apart(interface, answer.node):
            return False
        neighbour = interface.neighbours.get(destination)
        if neighbour is not None and not neighbour.failed:
            neighbour.expires_at = now + _NEIGHBOUR_LIFETIME_SECONDS
        return True

    def _is_apart(self, interface: SimInterface, node: str) -> bool:
        return self._networks.links.quality(interface.network, self.node, node).partition

    @property
    def _started_clock(self) -> Clock:
        assert self.clock is not None  # noqa: S101 - set at power-on
        return self.clock

    def go_deaf(self, seconds: float) -> None:
        """Have what is sent to this guest go elsewhere, for guest ``seconds`` from now on."""
        self._deaf = self._span(seconds)

    def hold(self, seconds: float) -> None:
        """Have what is sent to this guest wait, for guest ``seconds`` from now on; then it is answered."""
        self._held = self._span(seconds)

    def _span(self, seconds: float) -> tuple[float, float]:
        """Return the present and the end of guest ``seconds`` from now on, on the host's clock."""
        clock = self._started_clock
        now = clock.loop.time()
        return now, now + seconds / clock.scale

    def is_deaf(self, host_time: float) -> bool:
        """Whether what is sent to this guest goes elsewhere at ``host_time``."""
        return self._deaf[0] <= host_time < self._deaf[1]

    def held_seconds(self, host_time: float) -> float:
        """How long (host seconds) what arrives at ``host_time`` waits for an answer."""
        return self._held[1] - host_time if self._held[0] <= host_time < self._held[1] else 0.0

    def draw(self, purpose: str, node: str, lowest: float, highest: float) -> float:
        """Return a number for a migration to ``node``: the same in each run of equal seed."""
        return self._stream(purpose, node).uniform(lowest, highest)

    def has_lost(self, address: IPAddress) -> bool:
        """Whether another machine took ``address``: packets for it go there, and are not answered."""
        return address in self._taken_addresses

    def neighbour_table(self, now: float) -> list[tuple[SimInterface, IPAddress, str | None]]:
        """What ``ip neigh`` shows: interface, address, and the MAC if it is known."""
        rows: list[tuple[SimInterface, IPAddress, str | None]] = []
        for interface in self.interfaces:
            for address, neighbour in interface.neighbours.items():
                owner = self._networks.owner(interface.network, address, self)
                known = owner is not None and not neighbour.failed and neighbour.ready_at <= now
                rows.append((interface, address, owner[1].mac if owner is not None and known else None))
        return rows

    def _resolve(self, interface: SimInterface, address: IPAddress, now: float) -> _Neighbour:
        known = interface.neighbours.get(address)
        if known is not None and now < (known.ready_at if known.failed else known.expires_at):
            return known
        for probe in range(_PROBES):
            asked = now + probe * _PROBE_SECONDS
            answer = self.resolve(interface, address, asked)
            if answer is not None:
                ready = asked + answer[1]
                found = _Neighbour(
                    ready_at=ready, failed=False, expires_at=ready + _NEIGHBOUR_LIFETIME_SECONDS
                )
                break
        else:
            found = _Neighbour(ready_at=now + _PROBES * _PROBE_SECONDS + 0.05, failed=True, expires_at=now)
        interface.neighbours[address] = found
        return found

    def _is_taken(self, address: IPAddress) -> bool:
        if self._taken is None:
            return False
        if address in self._taken_addresses:
            return True
        if address.is_link_local:
            return False
        if self._taken.times is not None and len(self._taken_addresses) >= self._taken.times:
            return False
        self._taken_addresses.add(address)
        return True

    def _stream(self, *purpose: str) -> Random:
        """Random numbers for one purpose: the same in each run of equal seed, whatever else happens."""
        stream = self._streams.get(purpose)
        if stream is None:
            name = "/".join((str(self._networks.seed), self.node, *purpose))
            stream = self._streams[purpose] = Random(name)  # noqa: S311 - a simulation, no secret
        return stream


def fragments(size: int, mtu: int, version: int) -> tuple[int, int]:
    """How many frames an echo of ``size`` payload bytes takes, and the length of the longest (IP packet)."""
    header = 20 if version == 4 else 40
    length = size + 8 + header
    if length <= mtu:
        return 1, length
    per_frame = (mtu - header - (0 if version == 4 else 8)) // 8 * 8
    return math.ceil((size + 8) / per_frame), per_frame + header


def parse_address(text: str) -> IPAddress | None:
    """``text`` as an address, or None."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _exchange(random: Random, quality: LinkQuality, frames: int) -> tuple[float, ...]:
    """RTTs (seconds) of the answers to one request of ``frames`` frames: none if it or its answer was lost.

    It always draws the same number of values, so that a fault does not shift the later ones.
    """
    base = 0.00015 + random.random() * 0.00015
    out, back, twice = random.random(), random.random(), random.random()
    jitter = (random.gauss(0, 1) + random.gauss(0, 1)) * quality.jitter_ns
    apart = 0.00003 + random.random() * 0.0001
    passes = (1 - quality.loss) ** frames
    if quality.partition or out >= passes or back >= passes:
        return ()
    rtt = max(base, base + (2 * quality.latency_ns + jitter) / 1e9)
    if twice < 1 - (1 - quality.duplicate) ** 2:
        return rtt, rtt + apart
    return (rtt,)
