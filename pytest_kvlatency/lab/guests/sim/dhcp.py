"""DHCP clients. What answers is KubeVirt's server in front of a bridge binding whose NAD has IPAM."""

from __future__ import annotations

import getopt
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.clock import Timeline

if TYPE_CHECKING:
    from pytest_kvlatency.lab.guests.sim.machine import Call, Machine
    from pytest_kvlatency.lab.guests.sim.network import SimInterface

_LEASE_SECONDS = 86313600


def lease(machine: Machine, interface: SimInterface) -> IPv4Interface | None:
    """The address that a DHCP request on ``interface`` is answered with, if it is answered."""
    if interface.lease is None or machine.fault("no-dhcp") is not None or interface.mac != interface.vmi_mac:
        return None
    return IPv4Interface(interface.lease)


def apply(machine: Machine, interface: SimInterface, value: IPv4Interface) -> None:
    """Configure what DHCP gave, as a client's script does."""
    if machine.fault("lease-unused") is None:
        machine.stack.configure(interface, value, machine.clock.now())


def udhcpc(call: Call, machine: Machine) -> None:
    """BusyBox's client: ``-i IFACE``, ``-n`` (give up without a lease), ``-t`` tries, ``-T`` seconds between."""
    try:
        options, _ = getopt.gnu_getopt(list(call.arguments), "fbqRSBOaCni:s:p:t:T:A:r:V:F:x:o")
        values = dict(options)
        tries, pause = int(values.get("-t", 3)), float(values.get("-T", 3))
    except (getopt.GetoptError, ValueError) as error:
        call.err(f"udhcpc: {error}")
        call.exit(1)
        return
    name = values.get("-i", "eth0")
    interface = machine.stack.find(name)
    if interface is None:
        call.err(f"udhcpc: SIOCGIFINDEX: No such device {name}")
        call.exit(1)
        return
    call.err("udhcpc: started, v1.36.1")
    value = lease(machine, interface)
    if value is not None:
        server = next(iter(value.network.hosts()), value.ip)
        apply(machine, interface, value)
        call.err("udhcpc: broadcasting discover")
        call.err(f"udhcpc: broadcasting select for {value.ip}, server {server}")
        call.err(f"udhcpc: lease of {value.ip} obtained from {server}, lease time {_LEASE_SECONDS}")
        call.exit(0)
        return
    _give_up(call, machine, "udhcpc: broadcasting discover", tries, pause, stay="-n" not in values)


def dhclient(call: Call, machine: Machine) -> None:
    """ISC's client: silent, ``-v`` or not."""
    names = [argument for argument in call.arguments if machine.stack.find(argument) is not None]
    interface = machine.stack.find(names[0] if names else "eth0")
    value = None if interface is None else lease(machine, interface)
    if interface is not None and value is not None:
        apply(machine, interface, value)
        call.exit(0)
        return
    _give_up(call, machine, "No DHCPOFFERS received.", 1, 60.0, stay=False)


def _give_up(call: Call, machine: Machine, text: str, tries: int, pause: float, *, stay: bool) -> None:
    timeline = Timeline(machine.clock, call.flush)
    call.on_end = timeline.stop
    now = machine.clock.now()

    def end(_due: float) -> None:
        if call.name == "udhcpc":
            call.err("udhcpc: no lease, forking to background" if stay else "udhcpc: no lease, failing")
        call.exit(0 if stay else 1)

    for attempt in range(max(1, tries)):
        timeline.at(now + attempt * pause, lambda _due: call.err(text))
    timeline.at(now + max(1, tries) * pause, end)
