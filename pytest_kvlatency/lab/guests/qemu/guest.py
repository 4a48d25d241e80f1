"""One real guest: the QEMU that it runs on, another one while it migrates, its console and its agent."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import GuestExit, HypervisorError
from pytest_kvlatency.lab.guests.qemu import agent
from pytest_kvlatency.lab.guests.qemu.emulator import Build, Emulator
from pytest_kvlatency.lab.guests.qemu.qemumove import QemuMove
from pytest_kvlatency.lab.guests.serialoutput import SerialOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.lab.fabric.switch import Switch
    from pytest_kvlatency.lab.guests.base import GuestRequest
    from pytest_kvlatency.lab.guests.qemu.emulator import Plan
    from pytest_kvlatency.lab.spec.labspec import MigrationSpec


class QemuGuest:
    """Implements ``base.Guest``. ``prepare`` writes the initramfs and says what the machine is made of."""

    def __init__(
        self,
        request: GuestRequest,
        *,
        qemu: Path,
        switch: Switch,
        migration: MigrationSpec,
        prepare: Callable[[], Plan],
    ) -> None:
        self.request = request
        self._qemu = qemu
        self._switch = switch
        self._migration = migration
        self._prepare = prepare
        self._output = SerialOutput()
        self._report = agent.Report()
        self._build: Build | None = None
        self._machine: Emulator | None = None
        self._watchers: dict[Emulator, asyncio.Task[None]] = {}
        self._move: QemuMove | None = None
        self._held: bytearray | None = None
        self._exit: asyncio.Future[GuestExit] = asyncio.get_running_loop().create_future()
        self._stopped = False

    @property
    def serial_log(self) -> bytes:
        """All that the serial console printed so far (bounded to its last 256 KiB)."""
        return self._output.log

    @property
    def pid(self) -> int | None:
        """The process id of the QEMU that the guest runs on, once it was started."""
        return None if self._machine is None else self._machine.process.pid

    @property
    def is_paused(self) -> bool:
        """Whether the guest stands still because it changes over to another machine."""
        return self._held is not None

    @property
    def gone(self) -> bool:
        """Whether the guest ran and runs no more."""
        return self._exit.done()

    async def start(self) -> None:
        """Power on. Returns as soon as the machine runs. Raises ``HypervisorError``."""
        name = f"{self.request.namespace}/{self.request.name}"
        if self._machine is not None or self._exit.done():
            raise HypervisorError(f"the guest {name} has already been started")
        plan = await asyncio.get_running_loop().run_in_executor(None, self._prepare)
        # No file that could be left, and both machines of a migration have it.
        memory = os.memfd_create(name)
        self._build = Build(
            name=name,
            qemu=self._qemu,
            switch=self._switch,
            memory_mib=self.request.memory_mib,
            memory=memory,
            plan=plan,
            printed=self._output.add,
            reported=self._report.feed,
        )
        try:
            self._machine = await Emulator.start(self._build, self.request.node)
        except BaseException:
            os.close(memory)
            raise
        self.own(self._machine)

    def own(self, machine: Emulator) -> None:
        """Take note of a machine: it ends with the guest. See ``qemumove.Movable``."""
        self._watchers[machine] = asyncio.ensure_future(self._watch(machine))
        if self._stopped or self._exit.done():
            machine.process.kill()

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Send serial output to ``sink`` from now on (no scrollback), instead of to an earlier one."""
        self._output.attach(sink)

    def detach(self, sink: Callable[[bytes], None]) -> None:
        """Stop sending output to ``sink``, if it is the attached one."""
        self._output.detach(sink)

    def write(self, data: bytes) -> None:
        """Type ``data`` on the serial console."""
        if self._held is not None:
            self._held += data
        elif self._machine is not None:
            self._machine.console.write(data)

    def hold(self) -> None:
        """Keep what is typed until ``run_on``. See ``qemumove.Movable``."""
        self._held = self._held or bytearray()

    def run_on(self, machine: Emulator) -> None:
        """Be ``machine`` from now on. See ``qemumove.Movable``."""
        self._machine = machine
        held, self._held = self._held, None
        if held:
            machine.console.write(bytes(held))

    async def wait_exit(self) -> GuestExit:
        """Wait until the guest is no longer running; may be called by several waiters."""
        return await asyncio.shield(self._exit)

    async def addresses(self) -> Mapping[str, Sequence[str]]:
        """What the agent in the guest said last: addresses (without prefix length) by MAC; empty before boot."""
        return self._report.addresses

    async def prepare_move(self, node: str) -> QemuMove:
        """Set up the target of a live migration to ``node``. Raises ``HypervisorError``."""
        if self._build is None or self._machine is None or self._stopped or self._exit.done():
            raise HypervisorError(f"the guest {self.request.namespace}/{self.request.name} is not running")
        if self._move is not None and not self._move.over:
            raise HypervisorError(f"the guest {self._build.name} is being migrated already")
        self._move = QemuMove(self._machine, self, self._migration)
        await self._move.prepare(self._build, node)
        return self._move

    async def shutdown(self) -> None:
        """Press the power button: nothing happens, for this guest has no acpid, like the Alpine image it stands for."""

    async def kill(self) -> None:
        """Power off hard; ``wait_exit`` then answers ``stopped`` unless the guest had exited before."""
        self._stopped = True
        for machine in self._watchers:
            machine.process.kill()
        if self._machine is None and not self._exit.done():
            self._exit.set_result(GuestExit(how="stopped"))
        await self.wait_exit()

    async def _watch(self, machine: Emulator) -> None:
        status = await machine.ended()
        del self._watchers[machine]
        if self._move is not None:
            self._move.ended(machine)
        if machine is not self._machine or self._build is None:
            return
        others = dict(self._watchers)
        for other in others:
            other.process.kill()
        await asyncio.gather(*others.values())
        os.close(self._build.memory)
        await asyncio.get_running_loop().run_in_executor(None, _remove, self._build.plan.initramfs)
        if not self._exit.done():
            self._exit.set_result(_how(status, machine.process.messages, stopped=self._stopped))


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
