"""A guest's interfaces as they are at power-on, and as cloud-init configures them."""

from __future__ import annotations

from ipaddress import IPv6Interface, ip_interface
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.cloudinit import read_network_data
from pytest_kvlatency.lab.guests.sim import dhcp
from pytest_kvlatency.lab.guests.sim.network import SimInterface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.lab.guests.base import Nic
    from pytest_kvlatency.lab.guests.cloudinit import InterfaceConfig
    from pytest_kvlatency.lab.guests.sim.machine import Machine
    from pytest_kvlatency.lab.guests.sim.network import IPInterface


def interfaces(nics: Sequence[Nic], *, changed: bool) -> list[SimInterface]:
    """eth0, eth1, …; with other MACs than the VMI's if ``changed``, as an SR-IOV VF may have."""
    return [
        SimInterface(
            name=f"eth{number}",
            mac=_other(nic.mac.lower()) if changed else nic.mac.lower(),
            vmi_mac=nic.mac.lower(),
            network=nic.network,
            mtu=nic.mtu,
            lease=nic.lease,
        )
        for number, nic in enumerate(nics)
    ]


def link_local(mac: str) -> IPv6Interface:
    """Return the address that the kernel makes of a MAC (EUI-64)."""
    octets = [int(octet, 16) for octet in mac.split(":")]
    host = bytes([octets[0] ^ 2, octets[1], octets[2], 0xFF, 0xFE, *octets[3:]])
    return IPv6Interface((b"\xfe\x80" + bytes(6) + host, 64))


def apply_network_data(machine: Machine, text: str) -> str | None:
    """Configure the interfaces that ``text`` names; return what cloud-init complains of."""
    data = read_network_data(text)
    failure = data.failure
    try:
        configs = [
            (config, [ip_interface(value) for value in config.addresses]) for config in data.interfaces
        ]
    except ValueError as error:
        configs, failure = [], str(error)
    for config, addresses in configs:
        for interface in machine.stack.interfaces:
            if config.mac == interface.mac or (config.mac is None and config.name == interface.name):
                _configure(machine, interface, config, addresses)
    return None if failure is None else f"failed to apply network config: {failure}"


def _configure(
    machine: Machine, interface: SimInterface, config: InterfaceConfig, addresses: Sequence[IPInterface]
) -> None:
    now = machine.clock.now()
    if config.mtu is not None:
        interface.mtu = config.mtu
    lease = dhcp.lease(machine, interface) if config.dhcp4 else None
    for value in addresses:
        machine.stack.configure(interface, value, now)
    if lease is not None:
        dhcp.apply(machine, interface, lease)


def _other(mac: str) -> str:
    return f"06{mac[2:-1]}{int(mac[-1], 16) ^ 1:x}"
