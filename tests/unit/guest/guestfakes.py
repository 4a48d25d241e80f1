"""A guest for the tests: answers commands as iproute2, arping and ping would, and changes as told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.console.shell import CommandResult

LINK = (
    "2: {name}: <BROADCAST,MULTICAST{up}> mtu {mtu} qdisc pfifo_fast state UP qlen 1000"
    "\\    link/ether {mac} brd ff:ff:ff:ff:ff:ff"
)
LOOPBACK = (
    "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\\    link/loopback 00:00:00:00:00:00"
)


@dataclass
class FakeShell:
    """What the guest has, and what befalls it: ``later`` maps a look's number to a change."""

    mac: str = "02:00:00:00:00:01"
    addresses: list[str] = field(default_factory=list)
    flags: str = ""
    mtu: int = 1500
    is_up: bool = True
    extra_links: tuple[str, ...] = ()
    arping_status: tuple[int, int] = (124, 0)
    arping_output: str = ""
    takes_addresses: bool = True
    answers: dict[str, CommandResult] = field(default_factory=dict)
    later: dict[int, object] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    profile: LoginProfile = field(default_factory=LoginProfile)
    name: str = "default/guest"
    transcript_end: str = "the transcript"
    spent: str = ""
    looks: int = 0

    def run(self, command, *, purpose, timeout_seconds=60.0, deadline=None, rerunnable=True):
        self.commands.append(command)
        for pattern, answer in self.answers.items():
            if re.search(pattern, command):
                return answer(command) if callable(answer) else answer
        status, output = 0, ""
        if command.startswith("ip -o link"):
            self.looks += 1
            change = self.later.get(self.looks)
            if change is not None:
                change(self)
            output = self._view()
        elif "arping" in command:
            is_cut = "timeout" in command
            status = self.arping_status[0 if is_cut else 1]
            output = "" if is_cut else self.arping_output
        elif match := re.search(r"ip addr (add|del) (\S+) dev", command):
            if match[1] == "del":
                self.addresses = [one for one in self.addresses if one != match[2]]
            elif self.takes_addresses:
                self.addresses.append(match[2])
                self.is_up = True
        return CommandResult(output=output, exit_status=status)

    def _view(self):
        up = ",UP,LOWER_UP" if self.is_up else ""
        lines = [LOOPBACK, LINK.format(name="eth0", up=up, mtu=self.mtu, mac=self.mac), *self.extra_links]
        for address in self.addresses:
            family = "inet6" if ":" in address else "inet"
            lines.append(
                f"2: eth0    {family} {address} scope global {self.flags}\\       valid_lft forever preferred_lft forever"
            )
        return "\n".join(lines)
