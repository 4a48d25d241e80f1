"""Simulated guests, driven as the lab drives them: through the Guest protocol, with a real shell."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import GuestRequest, Nic
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.spec.labspec import FaultSpec, LabSpec, LinkQuality, MigrationSpec, NetworkSpec

NETWORK = "default/blue-network"
_MARK = "=done="
PROMPT = r"(# \x1b\[6n|\$ )"


class Console:
    """A guest's console: what it printed since the last look, and waiting for more."""

    def __init__(self, guest):
        self.guest = guest
        self.text = ""
        self._more = asyncio.Event()
        guest.attach(self._take)

    def _take(self, data):
        self.text += data.decode(errors="replace")
        self._more.set()

    async def expect(self, pattern, seconds=60):
        """Wait for ``pattern``; return what came before it, with it."""

        async def wait():
            while not (match := re.search(pattern, self.text, re.DOTALL)):
                self._more.clear()
                await self._more.wait()
            return match

        try:
            match = await asyncio.wait_for(wait(), seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"{pattern!r} not in {self.text!r}") from None
        before, self.text = self.text[: match.end()], self.text[match.end() :]
        return before

    def type(self, text):
        self.guest.write(text.encode())

    async def login(self, user="root", prompt="# \x1b[6n"):
        await self.expect("login: $")
        self.type(f"{user}\r")
        return await self.expect(re.escape(prompt))

    async def run(self, command):
        """Run ``command``; return its output and exit status."""
        self.type(f"{command}; echo =do''ne=$?=\r")
        await self.expect(r"\$\?=\r\n")
        output = await self.expect(r"=done=\d+=\r\n")
        await self.expect(PROMPT)
        body, _, status = output.rpartition(_MARK)
        return body.replace("\r\n", "\n"), int(status.rstrip("=\r\n"))


class Lab:
    """A hypervisor and its guests."""

    def __init__(self, hypervisor):
        self.hypervisor = hypervisor
        self._count = 0

    async def guest(self, *, node, address=None, faults=(), user_data="#cloud-config\n", data=None, **more):
        self._count += 1
        mac = f"02:00:00:00:00:{self._count:02x}"
        if data is None:
            addresses = [address] if isinstance(address, str) else list(address or ())
            data = f"version: 2\nethernets:\n  nic:\n    match: {{macaddress: '{mac}'}}\n    addresses: {addresses}\n"
        nic = Nic(
            name="blue", mac=mac, network=NETWORK, mtu=more.pop("mtu", 1500), lease=more.pop("lease", None)
        )
        guest = self.hypervisor.create(
            GuestRequest(
                namespace="default",
                name=f"vm-{self._count}",
                uid=str(self._count),
                node=node,
                hostname=more.pop("hostname", f"vm-{self._count}"),
                nics=[nic],
                user_data=user_data,
                network_data=data.replace("MAC", mac),
                faults=[FaultSpec(fault=f) if isinstance(f, str) else f for f in faults],
                **more,
            )
        )
        console = Console(guest)
        await guest.start()
        return console


@pytest.fixture
def lab(tmp_path):
    """``async with lab(quality…, dialect=…) as l``: a hypervisor with time that runs fast."""
    numbers = iter(range(100))

    @asynccontextmanager
    async def make(
        *, shell=None, links=(), scale=100.0, seed=7, boot=0.5, dialect="busybox", migration=None, **quality
    ):
        spec = LabSpec(
            networks=(NetworkSpec(name=NETWORK, quality=LinkQuality(**quality)),),
            links=tuple(links),
            seed=seed,
            time_scale=scale,
            boot_seconds=boot,
            dialect=dialect,
            migration=migration or MigrationSpec(),
        )
        hypervisor = SimHypervisor(
            spec=spec, links=LinkTable(spec), directory=tmp_path / str(next(numbers)), shell=shell
        )
        await hypervisor.open()
        try:
            yield Lab(hypervisor)
        finally:
            await hypervisor.close()

    return make
