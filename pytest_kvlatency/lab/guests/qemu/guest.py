"""One real guest: a QEMU process, its serial console, its agent, and its ports at the switch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import GuestExit, HypervisorError
from pytest_kvlatency.lab.guests.qemu import agent, commandline
from pytest_kvlatency.lab.guests.qemu.qemuprocess import Channel, Process, open_channel

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.lab.fabric.switch import Port, Switch
    from pytest_kvlatency.lab.guests.base import GuestRequest, Move

_SERIAL_LOG_LIMIT = 256 * 1024


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


class QemuGuest:
    """Implements ``base.Guest``. ``prepare`` writes the initramfs and says what the machine is made of."""

    def __init__(
        self,
        request: GuestRequest,
        *,
        qemu: Path,
        switch: Switch,
        prepare: Callable[[], Plan],
    ) -> None:
        self.request = request
        self._qemu = qemu
        self._switch = switch
        self._prepare = prepare
        self._log = bytearray()
        self._sink: Callable[[bytes], None] | None = None
        self._report = agent.Report()
        self._process: Process | None = None
        self._channels: list[Channel] = []
        self._ports: list[Port] = []
        self._exit: asyncio.Future[GuestExit] = asyncio.get_running_loop().create_future()
        self._watcher: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def serial_log(self) -> bytes:
        """All that the serial console printed so far (bounded to its last 256 KiB)."""
        return bytes(self._log)

    @property
    def pid(self) -> int | None:
        """QEMU's process id, once it was started."""
        return None if self._process is None else self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the guest ran and runs no more."""
        return self._exit.done()

    async def start(self) -> None:
        """Power on. Returns as soon as the machine runs. Raises ``HypervisorError``."""
        if self._process is not None or self._exit.done():
            raise HypervisorError(
                f"the guest {self.request.namespace}/{self.request.name} has already been started"
            )
        plan = await asyncio.get_running_loop().run_in_executor(None, self._prepare)
        theirs: list[socket.socket] = []
        try:
            self._process = await self._spawn(plan, theirs)
        except BaseException:
            self._release()
            raise
        finally:
            for end in theirs:
                end.close()
        self._watcher = asyncio.ensure_future(self._watch(self._process, plan.initramfs))
        if self._stopped:
            self._process.kill()

    async def _spawn(self, plan: Plan, theirs: list[socket.socket]) -> Process:
        for sink in (self._printed, self._report.feed):
            channel, end = await open_channel(sink)
            self._channels.append(channel)
            theirs.append(end)
        wires = []
        for nic in plan.nics:
            port, end = self._switch.plug(nic.network, self.request.node, nic.responder)
            self._ports.append(port)
            theirs.append(end)
            wires.append(commandline.Wire(mac=nic.mac, mtu=nic.mtu, descriptor=end.fileno()))
        machine = commandline.QemuMachine(
            name=f"{self.request.namespace}/{self.request.name}",
            accelerator=plan.accelerator,
            kernel=plan.kernel,
            initramfs=plan.initramfs,
            memory_mib=self.request.memory_mib,
            console=not plan.silent,
            serial=theirs[0].fileno(),
            agent=theirs[1].fileno(),
            wires=wires,
        )
        return await Process.start(
            self._qemu, commandline.arguments(machine), [end.fileno() for end in theirs]
        )

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Send serial output to ``sink`` from now on (no scrollback), instead of to an earlier one."""
        self._sink = sink

    def detach(self, sink: Callable[[bytes], None]) -> None:
        """Stop sending output to ``sink``, if it is the attached one."""
        if self._sink == sink:
            self._sink = None

    def write(self, data: bytes) -> None:
        """Type ``data`` on the serial console."""
        if self._channels:
            self._channels[0].write(data)

    async def wait_exit(self) -> GuestExit:
        """Wait until the guest is no longer running; may be called by several waiters."""
        return await asyncio.shield(self._exit)

    async def addresses(self) -> Mapping[str, Sequence[str]]:
        """What the agent in the guest said last: addresses (without prefix length) by MAC; empty before boot."""
        return self._report.addresses

    async def prepare_move(self, node: str) -> Move:
        """Raise ``HypervisorError``: not built yet."""
        raise HypervisorError(f"this lab does not migrate guests: {node}")

    async def shutdown(self) -> None:
        """Press the power button: nothing happens, for this guest has no acpid, like the Alpine image it stands for."""

    async def kill(self) -> None:
        """Power off hard; ``wait_exit`` then answers ``stopped`` unless the guest had exited before."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
        elif not self._exit.done():
            self._exit.set_result(GuestExit(how="stopped"))
        await self.wait_exit()

    def _printed(self, data: bytes) -> None:
        self._log += data
        if len(self._log) > _SERIAL_LOG_LIMIT:
            del self._log[:-_SERIAL_LOG_LIMIT]
        if self._sink is not None:
            self._sink(data)

    async def _watch(self, process: Process, initramfs: Path) -> None:
        status = await process.wait()
        await asyncio.get_running_loop().run_in_executor(None, _remove, initramfs)
        self._release()
        if not self._exit.done():
            self._exit.set_result(_how(status, process.messages, stopped=self._stopped))

    def _release(self) -> None:
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        for port in self._ports:
            self._switch.unplug(port)
        self._ports.clear()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _how(status: int, messages: str, *, stopped: bool) -> GuestExit:
    """Read QEMU's exit: 0 for a guest that powered itself off, and for QEMU told to end by a signal, which it says."""
    if stopped or "terminating on signal" in messages:
        return GuestExit(how="stopped")
    if status == 0:
        return GuestExit(how="poweroff")
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return GuestExit(how="crash", detail=f"QEMU {how}{': ' if messages else ''}{messages}")
