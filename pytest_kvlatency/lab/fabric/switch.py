"""A learning Ethernet switch between guests, over unix datagram sockets: a frame is a datagram.

One thread serves all networks. Delayed frames wait in a heap, and the thread sleeps until the next is due: in
``select``, which counts in microseconds, where ``epoll`` and asyncio's timers count in milliseconds.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pytest_kvlatency.lab.fabric.impairment import ETHERNET_HEADER, impair, inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.lab.fabric.capture import Capture
    from pytest_kvlatency.lab.spec.labspec import LinkQuality

_FRAME_LIMIT = 65_600
_SOCKET_BUFFER = 1 << 20


class Links(Protocol):
    """Where the switch asks what lies between two nodes."""

    def quality(self, network: str, a: str, b: str) -> LinkQuality:
        """Return what a frame meets on ``network`` between the nodes ``a`` and ``b``."""


@dataclass(eq=False, kw_only=True)
class Port:
    """Where a guest is plugged in: the network and the node it is on.

    What is sent to a port that is not ``listening`` is lost. ``responder`` sees each frame that the guest sends and
    returns the frames that answer it at once, as KubeVirt's DHCP server does right beside the guest.
    """

    network: str
    node: str
    responder: Callable[[bytes], list[bytes]] | None = None
    sock: socket.socket = field(repr=False)
    listening: bool = True
    closed: bool = False


class Switch:
    """Forwards frames between the ports of each network, as the links between their nodes allow.

    ``seed`` makes losses, duplicates and jitter reproducible for the same sequence of frames. Each of ``captures``
    gets the frames that guests send on its network, before anything becomes of them; the switch closes it.
    """

    def __init__(
        self, links: Links, *, seed: int | None = None, captures: Mapping[str, Capture] | None = None
    ) -> None:
        self._links = links
        self._captures = {} if captures is None else captures
        self._rng = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self._lock = threading.Lock()
        self._ports: dict[int, Port] = {}
        self._networks: dict[str, list[Port]] = {}
        self._macs: dict[tuple[str, bytes], Port] = {}
        self._misled: dict[tuple[str, bytes], tuple[Port, int]] = {}
        self._due: list[tuple[int, int, Port, bytes]] = []
        self._count = itertools.count()
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._epoll.register(self._wake_read, select.EPOLLIN)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="lab-switch", daemon=True)

    def start(self) -> None:
        """Start forwarding."""
        self._thread.start()

    def plug(
        self,
        network: str,
        node: str,
        responder: Callable[[bytes], list[bytes]] | None = None,
        *,
        listening: bool = True,
    ) -> tuple[Port, socket.socket]:
        """Make a port; the socket is the guest's end, one datagram a frame. The caller owns and closes it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        ours.settimeout(0)
        port = Port(network=network, node=node, responder=responder, sock=ours, listening=listening)
        with self._lock:
            self._ports[ours.fileno()] = port
            self._networks.setdefault(network, []).append(port)
            self._epoll.register(ours, select.EPOLLIN)
        return port, theirs

    def listen(self, port: Port) -> None:
        """Deliver to ``port`` from now on what is sent to it."""
        with self._lock:
            port.listening = True

    def mislead(self, port: Port, mac: bytes, seconds: float) -> None:
        """Send what is for ``mac`` to ``port`` for so long, as if it had been learned there.

        Frames from ``mac`` at other ports do not change that. Afterwards what was learned holds again.
        """
        with self._lock:
            self._misled[port.network, mac] = (port, time.monotonic_ns() + round(seconds * 1e9))

    def unplug(self, port: Port) -> None:
        """Take a port away; frames on their way to it are lost. Harmless when done twice."""
        with self._lock:
            if port.closed:
                return
            port.closed = True
            self._epoll.unregister(port.sock)
            del self._ports[port.sock.fileno()]
            self._networks[port.network].remove(port)
            self._macs = {key: known for key, known in self._macs.items() if known is not port}
            self._misled = {key: known for key, known in self._misled.items() if known[0] is not port}
            port.sock.close()

    def close(self) -> None:
        """Stop the thread and close all ports. May be called twice."""
        if self._stopping:
            return
        self._stopping = True
        with contextlib.suppress(OSError):
            self._wake_write.send(b"x")
        if self._thread.is_alive():
            self._thread.join()
        for port in list(self._ports.values()):
            self.unplug(port)
        self._epoll.close()
        self._wake_read.close()
        self._wake_write.close()
        for capture in self._captures.values():
            capture.close()

    def _run(self) -> None:
        while not self._stopping:
            # The epoll object is itself a descriptor that can be waited for: one, whatever the number of ports.
            select.select([self._epoll], [], [], self._timeout())
            for descriptor, _events in self._epoll.poll(0):
                self._receive(descriptor)
            self._deliver_due()

    def _timeout(self) -> float | None:
        """Say for how many seconds to sleep: until the next frame is due, or for good."""
        if not self._due:
            return None
        return max(0, self._due[0][0] - time.monotonic_ns()) / 1e9

    def _receive(self, descriptor: int) -> None:
        with self._lock:
            port = self._ports.get(descriptor)
            if port is None:
                return
            # Bounded, so that a guest that floods does not starve the others.
            for _ in range(64):
                try:
                    frame = port.sock.recv(_FRAME_LIMIT)
                except OSError:
                    # Nothing left, or the guest's end is closed: its hypervisor unplugs the port.
                    return
                if len(frame) >= ETHERNET_HEADER:
                    self._switch(port, frame)
                elif not frame:
                    return

    def _switch(self, source: Port, frame: bytes) -> None:
        capture = self._captures.get(source.network)
        if capture is not None:
            capture.add(frame)
        self._macs[source.network, frame[6:12]] = source
        if source.responder is not None:
            answers = source.responder(frame)
            for answer in answers:
                self._send(source, answer)
        known = None if frame[0] & 1 else self._known(source.network, frame[:6])
        targets = self._networks[source.network] if known is None else [known]
        packet = inspect(frame)
        for target in targets:
            if target is source:
                continue
            quality = self._links.quality(source.network, source.node, target.node)
            for delay in impair(quality, packet, self._rng):
                if delay <= 0:
                    self._send(target, frame)
                else:
                    due = time.monotonic_ns() + delay
                    heapq.heappush(self._due, (due, next(self._count), target, frame))

    def _known(self, network: str, mac: bytes) -> Port | None:
        misled = self._misled.get((network, mac))
        if misled is not None:
            port, until = misled
            if time.monotonic_ns() < until:
                return port
            del self._misled[network, mac]
        return self._macs.get((network, mac))

    def _deliver_due(self) -> None:
        now = time.monotonic_ns()
        while self._due and self._due[0][0] <= now:
            _due, _count, target, frame = heapq.heappop(self._due)
            with self._lock:
                self._send(target, frame)

    def _send(self, target: Port, frame: bytes) -> None:
        if target.closed or not target.listening:
            return
        # A full queue drops frames, as a real switch does; so does a guest that has just gone.
        with contextlib.suppress(OSError):
            target.sock.send(frame)
