"""Makes simulated guests."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import shutil
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.sim.calls import CallServer
from pytest_kvlatency.lab.guests.sim.confine import can_confine
from pytest_kvlatency.lab.guests.sim.guard import Guard
from pytest_kvlatency.lab.guests.sim.guest import SimGuest
from pytest_kvlatency.lab.guests.sim.host import Host
from pytest_kvlatency.lab.guests.sim.network import Networks
from pytest_kvlatency.lab.guests.sim.programs import find_shell, install
from pytest_kvlatency.lab.guests.sim.reaper import Reaper

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kvlatency.lab.fabric.links import LinkTable
    from pytest_kvlatency.lab.guests.base import GuestRequest
    from pytest_kvlatency.lab.spec.labspec import LabSpec

#: Each guest that is logged in holds two descriptors, each console and program one more.
_DESCRIPTORS = 8192


class SimHypervisor:
    """See ``base.Hypervisor``. ``directory`` is used below ``directory``/sim, which ``close`` removes.

    ``shell`` names the shell that guests get, instead of the first that is found (dash, bash, sh, ash).
    """

    def __init__(self, *, spec: LabSpec, links: LinkTable, directory: Path, shell: str | None = None) -> None:
        self._spec = spec
        self._directory = directory.absolute() / "sim"
        self._wanted_shell = shell
        self._networks = Networks(links, secrets.randbits(32) if spec.seed is None else spec.seed)
        self._host: Host | None = None
        self._guests: list[SimGuest] = []
        self._created = 0

    @property
    def kind(self) -> Literal["sim"]:
        """See ``base.Hypervisor``."""
        return "sim"

    @property
    def description(self) -> str:
        """See ``base.Hypervisor``."""
        scale = self._spec.time_scale
        return "simulated guests" + (f", time compressed {scale:g} times" if scale != 1 else "")

    async def open(self) -> None:
        """See ``base.Hypervisor``."""
        if self._host is not None:
            return
        shell = find_shell(self._wanted_shell)
        fifo = self._directory / "calls"
        try:
            self._directory.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise HypervisorError(f"cannot make the guests' directory {self._directory}: {error}") from error
        programs = install(self._directory, shell=shell, fifo=fifo, confined=can_confine())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self._host = Host(
            spec=self._spec,
            directory=self._directory,
            programs=programs,
            fifo=fifo,
            shell=shell,
            networks=self._networks,
            calls=CallServer(asyncio.get_running_loop(), fifo),
            reaper=Reaper(),
            guard=Guard(shell.path, self._directory),
        )

    def create(self, request: GuestRequest) -> SimGuest:
        """See ``base.Hypervisor``."""
        if self._host is None:
            raise HypervisorError("the hypervisor is not open")
        self._created += 1
        guest = SimGuest(request, self._host, self._directory / f"guest-{self._created}")
        self._guests = [*(known for known in self._guests if not known.over), guest]
        return guest

    async def close(self) -> None:
        """See ``base.Hypervisor``."""
        host, self._host = self._host, None
        if host is None:
            return
        guests, self._guests = self._guests, []
        await asyncio.gather(*(guest.kill() for guest in guests))
        host.calls.close()
        host.guard.close()
        shutil.rmtree(self._directory, ignore_errors=True)
