"""arping, as BusyBox and iputils have it: who answers ARP for an address."""

from __future__ import annotations

import getopt
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.clock import Timeline
from pytest_kvlatency.lab.guests.sim.network import parse_address
from pytest_kvlatency.lab.guests.sim.pingtext import BUSYBOX_BANNER

if TYPE_CHECKING:
    from pytest_kvlatency.lab.guests.sim.machine import Call, Machine
    from pytest_kvlatency.lab.guests.sim.network import IPAddress, SimInterface

_USAGE = f"""{BUSYBOX_BANNER}

Usage: arping [-fqbDUA] [-c CNT] [-w TIMEOUT] [-I IFACE] [-s SRC_IP] DST_IP

Send ARP requests/replies"""


def arping(call: Call, machine: Machine) -> None:
    """Run ``arping``."""
    failure = 1 if machine.busybox else 2
    try:
        options, hosts = getopt.gnu_getopt(list(call.arguments), "fqbDUAc:w:I:s:i:")
        values = dict(options)
        count = int(values.get("-c", 0))
        deadline = float(values["-w"]) if "-w" in values else None
    except (getopt.GetoptError, ValueError) as error:
        call.err(f"arping: {error}\n{_USAGE}")
        call.exit(failure)
        return
    if not hosts:
        call.err(_USAGE)
        call.exit(failure)
        return
    address = parse_address(hosts[0])
    name = values.get("-I", "eth0")
    interface = machine.stack.find(name)
    if address is None or address.version != 4:
        call.err(
            f"arping: bad address '{hosts[0]}'"
            if machine.busybox
            else f"arping: {hosts[0]}: Name or service not known"
        )
        call.exit(failure)
        return
    if interface is None or not interface.up:
        what = "not found: No such device" if interface is None else "is down"
        call.err(
            f"arping: interface {name} {what}" if machine.busybox else f"arping: Device {name} not available."
        )
        call.exit(failure)
        return
    _RunningArping(call, machine, interface, address, count, deadline, values).start()


class _RunningArping:
    """An arping under way: a request each second."""

    def __init__(
        self,
        call: Call,
        machine: Machine,
        interface: SimInterface,
        address: IPAddress,
        count: int,
        deadline: float | None,
        values: dict[str, str],
    ) -> None:
        self._call = call
        self._machine = machine
        self._interface = interface
        self._address = address
        self._count = count
        self._deadline = deadline
        self._detect = "-D" in values
        self._announce = "-U" in values or "-A" in values
        self._first_only = "-f" in values or self._detect
        self._quiet = "-q" in values
        self._source = values.get("-s")
        self._timeline = Timeline(machine.clock, call.flush)
        self._sent = self._received = 0
        self._done = False

    def start(self) -> None:
        """Send the first request."""
        own = next((a.value.ip for a in self._interface.addresses if a.value.version == 4), None)
        source = self._source or ("0.0.0.0" if self._detect or own is None else str(own))  # noqa: S104 - printed only
        self._say(f"ARPING {self._address} from {source} {self._interface.name}")
        now = self._machine.clock.now()
        self._call.on_end = self._timeline.stop
        self._call.on_interrupt = self._finish
        if self._deadline is not None:
            self._timeline.at(now + self._deadline, lambda _due: self._finish())
        self._send(now)
        self._call.flush()

    def _send(self, now: float) -> None:
        if self._done:
            return
        if self._count and self._sent >= self._count:
            self._finish()
            return
        self._sent += 1
        if not self._announce:
            answer = self._machine.stack.probe(self._interface, self._address, now)
            if answer is not None:
                mac, rtt = answer
                self._timeline.at(now + rtt, lambda _due: self._reply(mac, rtt))
        self._timeline.at(now + 1.0, self._send)

    def _reply(self, mac: str, rtt: float) -> None:
        if self._done:
            return
        self._received += 1
        shown_mac = mac if self._machine.busybox else mac.upper()
        space = " " if self._machine.busybox else "  "
        self._say(f"Unicast reply from {self._address} [{shown_mac}]{space}{rtt * 1000:.3f}ms")
        if self._first_only or (self._count and self._received >= self._count):
            self._finish()

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        broadcasts = self._sent - max(0, self._received - 1)
        if self._machine.busybox:
            # BusyBox 1.35 counts no broadcasts.
            self._say(
                f"Sent {self._sent} probe(s) (0 broadcast(s))\n"
                f"Received {self._received} response(s) (0 request(s), 0 broadcast(s))"
            )
        else:
            self._say(
                f"Sent {self._sent} probes ({broadcasts} broadcast(s))\nReceived {self._received} response(s)"
            )
        if self._announce:
            self._call.exit(0)
        else:
            self._call.exit(int(bool(self._received) is self._detect))

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._call.out(text)
