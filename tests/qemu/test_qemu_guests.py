"""Real guests under QEMU, driven directly through the hypervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import GuestRequest, HypervisorError, Nic
from pytest_kvlatency.lab.guests.qemu.hypervisor import QemuHypervisor
from pytest_kvlatency.lab.spec import FaultSpec, LabSpec, LinkQuality, NetworkSpec

pytestmark = pytest.mark.qemu

NETWORK = "default/blue-network"
USER_DATA = "#cloud-config\n"
PATIENCE_SECONDS = 60


def network_data(mac, *addresses, dhcp4=False):
    lines = [
        "version: 2",
        "ethernets:",
        "  net0:",
        f"    match: {{macaddress: '{mac}'}}",
        "    set-name: eth0",
    ]
    if dhcp4:
        lines.append("    dhcp4: true")
    if addresses:
        lines.append(f"    addresses: [{', '.join(repr(address) for address in addresses)}]")
    return "\n".join(lines) + "\n"


def request(number, *, node=None, faults=(), lease=None, user_data=USER_DATA, data=None, mtu=1500):
    mac = f"02:00:00:00:01:{number:02x}"
    addresses = [] if lease else [f"198.18.0.{number}/24", f"fd00::{number}/64"]
    return GuestRequest(
        namespace="default",
        name=f"guest-{number}",
        uid=f"uid-{number}-{time.monotonic_ns()}",
        node=node or f"worker{number}",
        hostname=f"guest-{number}",
        nics=[Nic(name="net0", mac=mac, network=NETWORK, mtu=mtu, lease=lease)],
        user_data=user_data,
        network_data=network_data(mac, *addresses, dhcp4=lease is not None) if data is None else data,
        faults=faults,
    )


class Console:
    """Expect, in its simplest form."""

    def __init__(self, guest):
        self.guest = guest
        self.text = ""
        self._more = asyncio.Event()
        guest.attach(self._sink)

    def _sink(self, data):
        self.text += data.decode(errors="replace")
        self._more.set()

    async def expect(self, pattern, seconds=PATIENCE_SECONDS):
        async def found():
            while True:
                match = re.search(pattern, self.text)
                if match:
                    self.text = self.text[match.end() :]
                    return match
                self._more.clear()
                await self._more.wait()

        try:
            return await asyncio.wait_for(found(), seconds)
        except asyncio.TimeoutError:
            log = self.guest.serial_log[-2000:].decode(errors="replace")
            raise AssertionError(f"never saw {pattern!r}; the console's end: {log}") from None

    async def login(self):
        await self.expect(r"login: ")
        self.guest.write(b"root\n")
        await self.expect(r":~# ")

    async def run(self, command):
        self.guest.write(f"{command}; echo en''d=$?\n".encode())
        match = await self.expect(r"(?s)en''d=\$\?\r\n(.*?)end=(\d+)\r\n")
        return match[1].replace("\r", ""), int(match[2])


@contextlib.asynccontextmanager
async def hypervisor(path, quality=None, **spec):
    quality = quality or LinkQuality()
    lab = LabSpec(networks=(NetworkSpec(name=NETWORK, quality=quality),), seed=7, **spec)
    made = QemuHypervisor(spec=lab, links=LinkTable(lab), directory=path)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def booted(made, *requests):
    guests = [made.create(one) for one in requests]
    consoles = [Console(guest) for guest in guests]
    await asyncio.gather(*(guest.start() for guest in guests))
    await asyncio.gather(*(console.login() for console in consoles))
    return consoles


def rtt_min_ms(output):
    return float(re.search(r"min/avg/max = ([\d.]+)/", output)[1])


def test_two_guests_reach_each_other_and_power_off(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            assert made.kind == "qemu"
            assert made.description.startswith("QEMU ")
            assert made.software_emulation == ("TCG" in made.description)
            one, two = await booted(made, request(1), request(2))
            output, status = await one.run("ip -o addr show dev eth0")
            assert status == 0
            assert "198.18.0.1/24" in output
            output, status = await one.run("ping -c 20 -i 0.1 198.18.0.2")
            assert status == 0
            assert "20 packets transmitted, 20 packets received, 0% packet loss" in output
            output, status = await one.run("until ping -c 1 -W 1 fd00::2; do :; done")
            assert status == 0

            async def told():
                while "198.18.0.2" not in (await two.guest.addresses()).get("02:00:00:00:01:02", ()):
                    await asyncio.sleep(0.1)

            await asyncio.wait_for(told(), PATIENCE_SECONDS)
            one.guest.write(b"poweroff -f\n")
            assert (await asyncio.wait_for(one.guest.wait_exit(), PATIENCE_SECONDS)).how == "poweroff"
            await two.guest.kill()
            assert (await two.guest.wait_exit()).how == "stopped"
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


def test_a_link_of_20_ms_moves_the_rtt_by_40_ms(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path, LinkQuality(latency_ns=20_000_000)) as made:
            near, _, far = await booted(
                made, request(1, node="worker1"), request(2, node="worker1"), request(3, node="worker2")
            )
            close, _ = await near.run("ping -c 30 -i 0.1 198.18.0.2")
            away, _ = await near.run("ping -c 30 -i 0.1 198.18.0.3")
            assert rtt_min_ms(away) - rtt_min_ms(close) == pytest.approx(40, abs=3)

    asyncio.run(scenario())
