"""A live migration between two QEMUs of this machine: the target is set up, waits, and takes the guest over.

The guest's memory is one file that both have, so there is nothing to copy (QEMU's ``x-ignore-shared``): under software
emulation, what is copied while the guest runs is not whole. How long a copy takes, the lab file says. As libvirt does
it, the source stops in ``pre-switchover`` and goes on when it is told to, and the guest is there when the target says
``RESUME``, which is after the source says ``completed``. QEMU announces the guest by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.qemu.emulator import Emulator
from pytest_kvlatency.lab.guests.qemu.qmp import QmpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.lab.guests.qemu.emulator import Build
    from pytest_kvlatency.lab.spec.labspec import MigrationSpec

#: What QEMU may take for a migration, beyond what the lab file adds.
_COMPLETION_SECONDS: Final = 30.0
#: What QEMU may take to let the guest run on after a migration that failed or was cancelled.
_RECOVERY_SECONDS: Final = 5.0
_CAPABILITIES: Final = ("events", "pause-before-switchover", "x-ignore-shared")
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
_DESCRIPTOR: Final = "migration"


class Movable(Protocol):
    """The guest that migrates, as its move knows it."""

    def own(self, machine: Emulator) -> None:
        """Take note of ``machine``, which is the target's: it is to end with the guest."""

    def hold(self) -> None:
        """Keep what is typed from now on, for the guest is paused."""

    def run_on(self, machine: Emulator) -> None:
        """Be ``machine`` from now on, and type there what was kept."""


class QemuMove:
    """Implements ``base.Move``; made by ``prepare``. ``ended`` is to be called when one of the machines ends."""

    def __init__(self, source: Emulator, mover: Movable, spec: MigrationSpec) -> None:
        self._source = source
        self._target: Emulator | None = None
        self._mover = mover
        self._spec = spec
        self._channel, self._far_channel = socket.socketpair()
        self._quiet_until_ns = 0
        self._status = ""
        self._resumed = False
        self._cancelled = False
        self._dead: list[Emulator] = []
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._giving_up = False
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the guest is where it will stay, as far as this move goes."""
        return self._over

    async def prepare(self, build: Build, node: str) -> None:
        """Start the target on ``node``; the networks take it for the guest for as long as the lab says.

        Raises ``HypervisorError``; the target is gone then.
        """
        try:
            with self._far_channel:
                self._target = await Emulator.start(build, node, incoming=self._far_channel)
                self._mover.own(self._target)
                await self._negotiate(self._target, self._far_channel.fileno())
        except BaseException as error:
            await self._give_up()
            raise self._failure(error) from error
        seconds = self._spec.preparation_gap_seconds
        for port, nic in zip(self._target.ports, build.plan.nics, strict=True):
            build.switch.mislead(port, bytes.fromhex(nic.mac.replace(":", "")), seconds)
        self._quiet_until_ns = time.monotonic_ns() + round(seconds * 1e9)

    async def run(self) -> None:
        """See ``base.Move``."""
        if self._over or self._work is not None or self._target is None:
            raise HypervisorError("this migration is over, or is already running")
        self._work = asyncio.ensure_future(self._move(self._target))
        try:
            await asyncio.shield(self._work)
        except asyncio.CancelledError:
            await self.cancel()
            raise

    async def cancel(self) -> None:
        """See ``base.Move``. A guest that is already on its way to run on the target gets there."""
        self._cancelled = True
        self._news.set()
        if self._work is None:
            await self._give_up()
        else:
            await asyncio.wait({self._work})
            if not self._work.cancelled():
                # Taken note of, for ``run`` may have been cancelled before it could raise it.
                self._work.exception()

    def ended(self, machine: Emulator) -> None:
        """Take note that ``machine`` has ended."""
        self._dead.append(machine)
        self._news.set()

    async def _negotiate(self, target: Emulator, incoming: int) -> None:
        self._source.qmp.on_event = self._source_said
        target.qmp.on_event = self._target_said
        await asyncio.gather(self._source.qmp.negotiate(), target.qmp.negotiate())
        capabilities = [{"capability": name, "state": True} for name in _CAPABILITIES]
        for machine in (self._source, target):
            await machine.qmp.execute("migrate-set-capabilities", {"capabilities": capabilities})
        await target.qmp.execute("migrate-incoming", {"uri": f"fd:{incoming}"})

    async def _move(self, target: Emulator) -> None:
        try:
            # A guest that is taken over while its network is still gone would make one gap of two.
            await self._sleep_until(self._quiet_until_ns)
            await self._sleep_until(time.monotonic_ns() + round(self._spec.copy_seconds * 1e9))
            limit = _COMPLETION_SECONDS + self._spec.downtime_seconds
            await asyncio.wait_for(self._transfer(target), limit)
        except BaseException as error:
            if not self._resumed:
                await self._give_up()
                raise self._failure(error) from error
        self._over = True
        self._channel.close()
        self._source.process.kill()
        await self._source.process.wait()

    async def _transfer(self, target: Emulator) -> None:
        qmp = self._source.qmp
        await qmp.execute("getfd", {"fdname": _DESCRIPTOR}, descriptor=self._channel.fileno())
        self._channel.close()
        await qmp.execute("migrate", {"uri": f"fd:{_DESCRIPTOR}"})
        await self._until(lambda: self._status == "pre-switchover")
        await self._sleep_until(time.monotonic_ns() + round(self._spec.downtime_seconds * 1e9))
        for port in target.ports:
            target.switch.listen(port)
        await qmp.execute("migrate-continue", {"state": "pre-switchover"})
        await self._until(lambda: self._resumed)

    async def _until(self, happened: Callable[[], bool]) -> None:
        """Wait for an event that makes ``happened`` true. Raises ``HypervisorError`` when it cannot any more."""
        while not happened():
            self._check()
            if self._status in {"failed", "cancelled"}:
                answer = await self._source.qmp.execute("query-migrate")
                raise HypervisorError(answer.get("error-desc") or f"QEMU says: migration {self._status}")
            self._news.clear()
            await self._news.wait()

    async def _sleep_until(self, moment_ns: int) -> None:
        while (left_ns := moment_ns - time.monotonic_ns()) > 0:
            self._check()
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_ns / 1e9)

    def _check(self) -> None:
        if self._source in self._dead:
            raise HypervisorError("the guest ended while it was being migrated")
        if self._target in self._dead:
            raise HypervisorError(f"the target's QEMU ended: {self._target.process.messages}")
        if self._cancelled and self._status != "completed":
            raise HypervisorError("the migration was cancelled")

    def _source_said(self, event: str, data: Mapping[str, Any]) -> None:
        if event != "MIGRATION" or self._over:
            return
        self._status = data["status"]
        if self._status == "pre-switchover" and not self._giving_up:
            self._mover.hold()
        self._news.set()

    def _target_said(self, event: str, _data: Mapping[str, Any]) -> None:
        if event == "RESUME" and self._target is not None and not (self._resumed or self._giving_up):
            self._resumed = True
            self._mover.run_on(self._target)
            self._news.set()

    async def _give_up(self) -> None:
        """End the target, then let the guest run on where it was; harmless when the move is over."""
        if self._over or self._giving_up:
            return
        self._giving_up = True
        self._channel.close()
        if self._target is not None:
            # First, so that the guest never runs twice.
            self._target.process.kill()
            await self._target.process.wait()
        with contextlib.suppress(QmpError, asyncio.TimeoutError):
            await asyncio.wait_for(self._recover(), _RECOVERY_SECONDS)
        self._over = True
        self._mover.run_on(self._source)

    async def _recover(self) -> None:
        qmp = self._source.qmp
        await qmp.execute("migrate_cancel")
        while self._status and self._status not in _ENDED:
            self._news.clear()
            await self._news.wait()
        if not (await qmp.execute("query-status"))["running"]:
            await qmp.execute("cont")

    @staticmethod
    def _failure(error: BaseException) -> BaseException:
        if isinstance(error, asyncio.TimeoutError):
            return HypervisorError("the migration did not complete in time")
        return HypervisorError(str(error)) if isinstance(error, QmpError) else error
