"""One QEMU process with all that is plugged into it: serial console, agent, monitor, and ports at the switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.qemu import commandline
from pytest_kvlatency.lab.guests.qemu.qemuprocess import Channel, Process, open_channel, open_monitor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_kvlatency.lab.fabric.switch import Port, Switch
    from pytest_kvlatency.lab.guests.qemu.qmp import Qmp


@dataclass(frozen=True, kw_only=True)
class PlannedNic:
    """An interface as the machine gets it; ``responder`` is what answers it at its port of the switch."""

    mac: str
    network: str
    mtu: int
    responder: Callable[[bytes], list[bytes]] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a guest's machine is made of. ``silent``: not even the kernel prints."""

    accelerator: str
    kernel: Path
    initramfs: Path
    nics: Sequence[PlannedNic]
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Build:
    """What all machines of one guest have in common.

    ``memory`` is the descriptor of the file that is the guest's memory. ``printed`` and ``reported`` take what the
    guest sends.
    """

    name: str
    qemu: Path
    switch: Switch
    memory_mib: int
    memory: int
    plan: Plan
    printed: Callable[[bytes], None]
    reported: Callable[[bytes], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Emulator:
    """A started QEMU. ``ports`` are in the order of the plan's interfaces."""

    process: Process
    console: Channel
    agent: Channel
    qmp: Qmp
    ports: Sequence[Port]
    switch: Switch

    @classmethod
    async def start(cls, build: Build, node: str, *, incoming: socket.socket | None = None) -> Emulator:
        """Start QEMU on ``node``: it boots, or waits for a guest that migrates to it, over ``incoming``.

        The caller closes ``incoming``. A machine that waits hears nothing on its networks until its ports listen.
        Raises ``HypervisorError``; nothing is left then.
        """
        theirs: list[socket.socket] = []
        channels: list[Channel] = []
        ports: list[Port] = []
        qmp, monitor = open_monitor()
        theirs.append(monitor)
        try:
            for sink in (build.printed, build.reported):
                channel, end = await open_channel(sink)
                channels.append(channel)
                theirs.append(end)
            wires = []
            for nic in build.plan.nics:
                port, end = build.switch.plug(nic.network, node, nic.responder, listening=incoming is None)
                ports.append(port)
                theirs.append(end)
                wires.append(commandline.Wire(mac=nic.mac, mtu=nic.mtu, descriptor=end.fileno()))
            machine = commandline.QemuMachine(
                name=build.name,
                accelerator=build.plan.accelerator,
                kernel=build.plan.kernel,
                initramfs=build.plan.initramfs,
                memory_mib=build.memory_mib,
                console=not build.plan.silent,
                monitor=theirs[0].fileno(),
                serial=theirs[1].fileno(),
                agent=theirs[2].fileno(),
                memory=build.memory,
                wires=wires,
                incoming=incoming is not None,
            )
            inherited = [end.fileno() for end in (*theirs, *([] if incoming is None else [incoming]))]
            process = await Process.start(
                build.qemu, commandline.arguments(machine), [*inherited, build.memory]
            )
        except BaseException:
            _release(qmp, channels, build.switch, ports)
            raise
        finally:
            for end in theirs:
                end.close()
        return cls(
            process=process,
            console=channels[0],
            agent=channels[1],
            qmp=qmp,
            ports=ports,
            switch=build.switch,
        )

    async def ended(self) -> int:
        """Wait for QEMU's end, take everything off the network, and return the exit status."""
        status = await self.process.wait()
        _release(self.qmp, [self.console, self.agent], self.switch, self.ports)
        return status


def _release(qmp: Qmp, channels: Sequence[Channel], switch: Switch, ports: Sequence[Port]) -> None:
    qmp.close()
    for channel in channels:
        channel.close()
    for port in ports:
        switch.unplug(port)
