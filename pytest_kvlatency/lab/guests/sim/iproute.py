"""``ip`` and ``ifconfig``: what BusyBox and iproute2 print about the interfaces, and changes to them."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_interface
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.pingtext import BUSYBOX_BANNER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.lab.guests.sim.machine import Call, Machine
    from pytest_kvlatency.lab.guests.sim.network import SimAddress, SimInterface

_OBJECTS = ("address", "link", "route", "neighbour", "neighbor")
_LOOPBACK = "lo"


class _IpError(Exception):
    """What ip says before it gives up, and its exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def ip(call: Call, machine: Machine) -> None:
    """Run ``ip``."""
    try:
        text = _Ip(machine).run(list(call.arguments))
    except _IpError as error:
        call.err(str(error))
        call.exit(error.status)
        return
    if text:
        call.out(text)
    call.exit(0)


class _Ip:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._busybox = machine.busybox
        self._oneline = self._brief = False
        self._version: int | None = None

    def run(self, arguments: list[str]) -> str:
        while arguments and arguments[0].startswith("-"):
            self._option(arguments.pop(0), arguments)
        if not arguments:
            raise self._usage()
        what = next((name for name in _OBJECTS if name.startswith(arguments[0])), None)
        rest = arguments[1:]
        verb = rest.pop(0) if rest and rest[0] != "dev" else "show"
        if self._machine.stack.find(verb) is not None or verb == _LOOPBACK:
            rest.insert(0, verb)
            verb = "show"
        if what == "address":
            return self._address(verb, rest)
        if what == "link":
            return self._link(verb, rest)
        if what == "route":
            return self._routes() if _is(verb, "show", "list") else ""
        if what in {"neighbour", "neighbor"}:
            return self._neighbours(verb)
        raise self._usage(arguments[0])

    def _option(self, option: str, rest: list[str]) -> None:
        if option in {"-o", "-oneline"}:
            self._oneline = True
        elif option in {"-4", "-6"}:
            self._version = int(option[1])
        elif option in {"-f", "-family"} and rest:
            self._version = {"inet": 4, "inet6": 6}.get(rest.pop(0))
        elif option in {"-br", "-brief"} and not self._busybox:
            self._brief = True
        elif option in {"-d", "-details", "-s", "-statistics", "-c", "-color", "-N"} and not self._busybox:
            pass
        else:
            raise self._usage(option)

    def _usage(self, wrong: str = "") -> _IpError:
        if self._busybox:
            return _IpError(f"{BUSYBOX_BANNER}\n\nUsage: ip [OPTIONS] address|route|link|neigh [ARGS]")
        if wrong.startswith("-"):
            return _IpError(f'Option "{wrong}" is unknown, try "ip -help".', 255)
        if wrong:
            return _IpError(f'Object "{wrong}" is unknown, try "ip help".')
        return _IpError("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }", 255)

    def _interface(self, name: str, why: str = "") -> SimInterface:
        interface = self._machine.stack.find(name)
        if interface is None:
            if self._busybox:
                raise _IpError(why or f"ip: can't find device '{name}'")
            raise _IpError(f'Cannot find device "{name}"' if why else f'Device "{name}" does not exist.')
        return interface

    def _shown(self, rest: list[str]) -> list[tuple[int, SimInterface | None]]:
        """The interfaces that ``rest`` asks for, with their numbers; None is the loopback."""
        names = [
            word for word in rest if word not in {"dev", "up", "scope", "global", "permanent", "dynamic"}
        ]
        everything: list[tuple[int, SimInterface | None]] = [(1, None)]
        everything += list(enumerate(self._machine.stack.interfaces, start=2))
        if not names:
            if "up" in rest:
                return [row for row in everything if row[1] is None or row[1].up]
            return everything
        if names[0] != _LOOPBACK:
            self._interface(names[0])
        return [row for row in everything if (row[1].name if row[1] else _LOOPBACK) == names[0]]

    def _address(self, verb: str, rest: list[str]) -> str:
        stack, now = self._machine.stack, self._machine.clock.now()
        if _is(verb, "show", "list"):
            rows = self._shown(rest)
            if self._brief:
                return "\n".join(self._brief_address(interface) for _, interface in rows)
            return "\n".join(
                line for number, interface in rows for line in self._address_lines(number, interface, rest)
            )
        if _is(verb, "flush"):
            for _, interface in self._shown(rest):
                for address in list(interface.addresses) if interface is not None else ():
                    if self._version in {None, address.value.version}:
                        stack.deconfigure(interface, address.value)  # type: ignore[arg-type]
            return ""
        if not _is(verb, "add", "del", "delete", "replace", "change") or not rest:
            raise self._usage(verb)
        try:
            value = ip_interface(rest[0])
        except ValueError:
            raise _IpError(
                f"ip: invalid argument '{rest[0]}' to 'ip'"
                if self._busybox
                else f'Error: any valid prefix is expected rather than "{rest[0]}".'
            ) from None
        if "dev" not in rest[:-1]:
            raise _IpError(
                'ip: need "dev" argument'
                if self._busybox
                else 'Not enough information: "dev" argument is required.'
            )
        interface = self._interface(rest[rest.index("dev") + 1], why="")
        if _is(verb, "del", "delete"):
            if not stack.deconfigure(interface, value):
                raise self._refused("Cannot assign requested address", 2)
        elif not stack.configure(interface, value, now) and verb not in {"replace", "change"}:
            raise self._refused("File exists", 2)
        elif "nodad" in rest:
            for address in interface.addresses:
                if address.value == value:
                    address.usable_at, address.dad_failed = now, False
        return ""

    def _refused(self, why: str, status: int) -> _IpError:
        if self._busybox:
            return _IpError(f"ip: RTNETLINK answers: {why}", status)
        return _IpError(f"RTNETLINK answers: {why}", status)

    def _link(self, verb: str, rest: list[str]) -> str:
        if _is(verb, "show", "list"):
            rows = self._shown(rest)
            if self._brief:
                return "\n".join(self._brief_link(interface) for _, interface in rows)
            return "\n".join(self._join(self._link_lines(*row)) for row in rows)
        if not _is(verb, "set"):
            raise self._usage(verb)
        words = [word for word in rest if word != "dev"]
        if not words:
            raise self._usage(verb)
        missing = "ip: SIOCGIFFLAGS: No such device" if self._busybox else ""
        if words[0] == _LOOPBACK:
            return ""
        interface = self._interface(words[0], why=missing)
        for word, following in zip(words[1:], [*words[2:], ""], strict=True):
            if word in {"up", "down"}:
                interface.up = word == "up"
            elif word == "mtu" and following.isdecimal():
                interface.mtu = int(following)
        return ""

    def _routes(self) -> str:
        lines = []
        for interface in self._machine.stack.interfaces:
            for address in interface.addresses:
                if not interface.up or address.value.version != (self._version or 4):
                    continue
                text = f"{address.value.network} dev {interface.name} "
                if address.value.version == 6:
                    text += "proto kernel metric 256 pref medium"
                elif self._busybox:
                    text += f"scope link  src {address.value.ip} "
                else:
                    text += f"proto kernel scope link src {address.value.ip} "
                lines.append(text)
        return "\n".join(lines)

    def _neighbours(self, verb: str) -> str:
        if _is(verb, "flush"):
            for interface in self._machine.stack.interfaces:
                interface.neighbours.clear()
            return ""
        lines = []
        for interface, address, mac in self._machine.stack.neighbour_table(self._machine.clock.now()):
            if self._version in {None, address.version}:
                if mac is None:
                    lines.append(f"{address} dev {interface.name}  FAILED")
                else:
                    lines.append(f"{address} dev {interface.name} lladdr {mac} REACHABLE")
        return "\n".join(lines)

    def _join(self, lines: list[str]) -> str:
        return ("\\" if self._oneline else "\n").join(lines)

    def _link_lines(self, number: int, interface: SimInterface | None) -> list[str]:
        tail = "" if self._busybox else " mode DEFAULT group default"
        if interface is None:
            state = "" if self._busybox else " state UNKNOWN"
            return [
                f"{number}: {_LOOPBACK}: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue{state}{tail} qlen 1000",
                "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00",
            ]
        flags = "BROADCAST,MULTICAST" + (",UP,LOWER_UP" if interface.up else "")
        state = "" if self._busybox else f" state {'UP' if interface.up else 'DOWN'}"
        return [
            f"{number}: {interface.name}: <{flags}> mtu {interface.mtu} qdisc pfifo_fast{state}{tail} qlen 1000",
            f"    link/ether {interface.mac} brd ff:ff:ff:ff:ff:ff",
        ]

    def _address_lines(self, number: int, interface: SimInterface | None, rest: list[str]) -> Iterator[str]:
        name = _LOOPBACK if interface is None else interface.name
        if not self._oneline:
            yield from self._link_lines(number, interface)
        lines: list[tuple[int, str]] = []
        if interface is None:
            lines = [(4, "inet 127.0.0.1/8 scope host lo"), (6, "inet6 ::1/128 scope host ")]
        else:
            lines = [(a.value.version, self._address_text(interface, a)) for a in _ordered(interface)]
        for version, text in lines:
            if self._version not in {None, version} or ("global" in rest and " scope global" not in text):
                continue
            forever = "       valid_lft forever preferred_lft forever"
            if self._oneline:
                yield f"{number}: {name}    {text}\\{forever}"
            else:
                yield f"    {text}"
                yield forever

    def _address_text(self, interface: SimInterface, address: SimAddress) -> str:
        value = address.value
        if isinstance(value, IPv4Interface):
            # cloud-init's renderers set the broadcast address.
            broadcast = f"brd {value.network.broadcast_address} " if value.network.prefixlen < 31 else ""
            return f"inet {value} {broadcast}scope global {interface.name}"
        scope = "link" if address.link_local else "global"
        flags = ""
        if address.dad_failed:
            flags = "dadfailed tentative "
        elif address.usable_at > self._machine.clock.now():
            flags = "tentative "
        if self._busybox and flags:
            # BusyBox knows no word for dadfailed (flag 08).
            flags = "tentative flags 08 " if address.dad_failed else "tentative "
        return f"inet6 {value} scope {scope} {flags}"

    def _brief_link(self, interface: SimInterface | None) -> str:
        if interface is None:
            return f"{_LOOPBACK:<16} {'UNKNOWN':<14} 00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP> "
        flags = "BROADCAST,MULTICAST" + (",UP,LOWER_UP" if interface.up else "")
        return f"{interface.name:<16} {'UP' if interface.up else 'DOWN':<14} {interface.mac} <{flags}> "

    def _brief_address(self, interface: SimInterface | None) -> str:
        if interface is None:
            return f"{_LOOPBACK:<16} {'UNKNOWN':<14} 127.0.0.1/8 ::1/128 "
        values = [str(a.value) for a in _ordered(interface) if self._version in {None, a.value.version}]
        return f"{interface.name:<16} {'UP' if interface.up else 'DOWN':<14} {' '.join(values)} "


def ifconfig(call: Call, machine: Machine) -> None:
    """Show interfaces, or bring one up or down."""
    words = [word for word in call.arguments if word != "-a"]
    shown = machine.stack.interfaces
    if words:
        interface = machine.stack.find(words[0])
        if interface is None:
            call.err(f"ifconfig: {words[0]}: error fetching interface information: Device not found")
            call.exit(1)
            return
        if words[1:2] in (["up"], ["down"]):
            interface.up = words[1] == "up"
            call.exit(0)
            return
        shown = [interface]
    for interface in shown:
        call.out(_ifconfig_text(interface))
    call.exit(0)


def _ifconfig_text(interface: SimInterface) -> str:
    lines = [f"{interface.name:<10}Link encap:Ethernet  HWaddr {interface.mac.upper()}  "]
    for address in _ordered(interface):
        value = address.value
        if isinstance(value, IPv4Interface):
            lines.append(
                f"          inet addr:{value.ip}  Bcast:{value.network.broadcast_address}  Mask:{value.netmask}"
            )
        else:
            lines.append(f"          inet6 addr: {value} Scope:{'Link' if address.link_local else 'Global'}")
    up = "UP BROADCAST RUNNING MULTICAST" if interface.up else "BROADCAST MULTICAST"
    lines.append(f"          {up}  MTU:{interface.mtu}  Metric:1\n")
    return "\n".join(lines)


def _ordered(interface: SimInterface) -> list[SimAddress]:
    """IPv4 first, then IPv6 with the link's own address last, as the kernel lists them."""
    return sorted(interface.addresses, key=lambda a: (a.value.version, a.link_local))


def _is(word: str, *verbs: str) -> bool:
    return any(verb.startswith(word) for verb in verbs)
