"""The programs of a simulated guest that this process answers, apart from those with a module of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim import bootmessages
from pytest_kvlatency.lab.guests.sim.arping import arping
from pytest_kvlatency.lab.guests.sim.dhcp import dhclient, udhcpc
from pytest_kvlatency.lab.guests.sim.iproute import ifconfig, ip
from pytest_kvlatency.lab.guests.sim.ping import ping

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.lab.guests.sim.machine import Call, Machine

_SYS_CLASS_NET = "/sys/class/net/"


def run(call: Call, machine: Machine) -> None:
    """Run the program that ``call`` names."""
    if call.name in {"halt", "poweroff", "reboot", "shutdown"}:
        restart = call.name == "reboot" or (call.name == "shutdown" and "-r" in call.arguments)
        machine.power("reboot" if restart else "poweroff")
        call.exit(0)
        return
    _PROGRAMS[call.name](call, machine)


def _cat(call: Call, machine: Machine) -> None:
    status = 0
    for path in call.arguments:
        text = _file(path, machine)
        if text is None:
            call.err(f"cat: can't open '{path}': No such file or directory")
            status = 1
        else:
            call.out(text)
    call.exit(status)


def _file(path: str, machine: Machine) -> str | None:
    if path == "/etc/hostname":
        return machine.hostname
    if path == "/etc/os-release":
        return (
            'ID=fedora\nVERSION_ID=38\nNAME="Fedora Linux"'
            if machine.fedora
            else ('NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.18.4')
        )
    if path == "/etc/alpine-release" and not machine.fedora:
        return "3.18.4"
    if path == "/proc/sys/kernel/random/boot_id":
        return machine.boot_id
    if path == "/proc/cpuinfo":
        return machine.processor.cpuinfo
    if path.endswith("/available_clocksource"):
        return machine.processor.clocks
    if path == "/proc/uptime":
        return f"{machine.clock.now():.2f} {machine.clock.now():.2f}"
    if path.startswith(_SYS_CLASS_NET):
        name, _, leaf = path[len(_SYS_CLASS_NET) :].partition("/")
        interface = machine.stack.find(name)
        if interface is not None:
            values = {
                "address": interface.mac,
                "mtu": str(interface.mtu),
                "operstate": "up" if interface.up else "down",
            }
            return values.get(leaf)
    return None


def _cloud_init(call: Call, _machine: Machine) -> None:
    # The Alpine image of today's checkup never says "done".
    call.out("status: running")
    call.exit(0)


def _dmesg(call: Call, machine: Machine) -> None:
    if not {"-n", "-D", "-E"} & {argument[:2] for argument in call.arguments}:
        call.out("\n".join((*machine.processor.kernel_log, *machine.boot_log)))
    call.exit(0)


def _free(call: Call, _machine: Machine) -> None:
    call.out(
        "              total        used        free      shared  buff/cache   available\n"
        "Mem:         111024       31684       52968          96       26372       71520\n"
        "Swap:             0           0           0"
    )
    call.exit(0)


def _hostname(call: Call, machine: Machine) -> None:
    if call.arguments and not call.arguments[0].startswith("-"):
        machine.hostname = call.arguments[0]
    else:
        call.out(machine.hostname)
    call.exit(0)


def _id(call: Call, machine: Machine) -> None:
    user, number = ("root", 0) if machine.is_root(call) else ("fedora", 1000)
    first = call.arguments[0] if call.arguments else ""
    if first in {"-u", "-g"}:
        call.out(str(number))
    elif first in {"-un", "-gn", "-nu"}:
        call.out(user)
    else:
        call.out(f"uid={number}({user}) gid={number}({user}) groups={number}({user})")
    call.exit(0)


def _sleep(call: Call, machine: Machine) -> None:
    """Sleep for the host's seconds, not the guest's: watchdogs depend on it."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        seconds = sum(
            float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
            for text in call.arguments
        )
    except ValueError:
        seconds = -1.0
    if not call.arguments or not 0 <= seconds < float("inf"):
        call.err(f"sleep: invalid number '{' '.join(call.arguments)}'")
        call.exit(1)
        return
    timer = machine.clock.loop.call_later(seconds, call.exit, 0)
    call.on_end = timer.cancel


def _sysctl(call: Call, _machine: Machine) -> None:
    call.out("\n".join(argument.replace("=", " = ") for argument in call.arguments if "=" in argument))
    call.exit(0)


def _true(call: Call, _machine: Machine) -> None:
    call.exit(0)


def _uname(call: Call, machine: Machine) -> None:
    release = "6.2.9-300.fc38.x86_64" if machine.fedora else "6.1.64-0-virt"
    fields = {
        "s": "Linux",
        "n": machine.hostname,
        "r": release,
        "v": "#1 SMP PREEMPT_DYNAMIC",
        "m": "x86_64",
        "o": "GNU/Linux" if machine.fedora else "Linux",
    }
    letters = "".join(argument.lstrip("-") for argument in call.arguments) or "s"
    call.out(" ".join(value for key, value in fields.items() if key in letters or "a" in letters))
    call.exit(0)


def _uptime(call: Call, machine: Machine) -> None:
    call.out(f" 00:00:00 up {int(machine.clock.now() // 60)} min,  load average: 0.00, 0.00, 0.00")
    call.exit(0)


def _whoami(call: Call, machine: Machine) -> None:
    call.out("root" if machine.is_root(call) else "fedora")
    call.exit(0)


def boot_log(machine: Machine) -> list[str]:
    """What the kernel says while this machine boots."""
    lines = bootmessages.FEDORA_BOOT if machine.fedora else bootmessages.ALPINE_BOOT
    return [bootmessages.stamped(0.004 + number * 0.0831, line) for number, line in enumerate(lines)]


_PROGRAMS: dict[str, Callable[[Call, Machine], None]] = {
    "arping": arping,
    "cat": _cat,
    "cloud-init": _cloud_init,
    "dhclient": dhclient,
    "dmesg": _dmesg,
    "free": _free,
    "hostname": _hostname,
    "id": _id,
    "ifconfig": ifconfig,
    "ifdown": _true,
    "ifup": _true,
    "ip": ip,
    "ping": ping,
    "ping6": ping,
    "sleep": _sleep,
    "sysctl": _sysctl,
    "udhcpc": udhcpc,
    "uname": _uname,
    "uptime": _uptime,
    "whoami": _whoami,
}
