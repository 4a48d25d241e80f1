"""The whole path with simulated guests: what a program that checks two VMIs over their consoles meets."""

from __future__ import annotations

import asyncio
import re

from labtools import TIMEOUT, condition, lab, pinned

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.kubevirt.api import VMIS
from pytest_kvlatency.lab.spec.file import load

PROMPT = rb"(\$ |# )"


def play(work):
    asyncio.run(asyncio.wait_for(work, 2 * TIMEOUT))


def guest(number):
    mac, address = f"02:00:00:00:00:0{number}", f"192.168.100.{number}0/24"
    network_data = f"version: 2\nethernets:\n  eth0:\n    match:\n      macaddress: {mac}\n    addresses: [ {address} ]\n"
    return {
        "devices": {
            "disks": [{"name": "cloudinit", "disk": {"bus": "virtio"}}],
            "interfaces": [{"name": "net0", "bridge": {}, "macAddress": mac}],
        },
        "volumes": [
            {
                "name": "cloudinit",
                "cloudInitNoCloud": {"userData": "#cloud-config\n", "networkData": network_data},
            }
        ],
    }


class Dialogue:
    """Send and expect, as goexpect does: text is matched by a pattern, and what matched is used up."""

    def __init__(self, socket):
        self._socket = socket
        self._buffer = b""

    async def send(self, text):
        await self._socket.send_bytes(text.encode())

    async def expect(self, pattern):
        while (found := re.search(pattern, self._buffer, re.DOTALL)) is None:
            message = await self._socket.receive()
            assert isinstance(message.data, bytes), (message, self._buffer)
            self._buffer += message.data
        text, self._buffer = self._buffer[: found.end()], self._buffer[found.end() :]
        return text.decode()


def test_an_existing_checkups_dialogue(tmp_path):
    """Waits for the agent, logs in by the prompts, configures the console, and pings the status' address."""
    text = "{guests: sim, seed: 1, networks: {default/blue-network: {latency: 5ms}}}"
    spec = load(text, "lab.yaml")

    async def story():
        hypervisor = SimHypervisor(spec=spec, links=LinkTable(spec), directory=tmp_path)
        await hypervisor.open()
        async with lab(tmp_path, text, hypervisor=hypervisor) as running:
            await running.create("latency-check-source", **guest(1), **pinned("worker1"))
            await running.create("latency-check-target", **guest(2), **pinned("worker2"))
            addresses = []
            for name in ("latency-check-source", "latency-check-target"):
                vmi = await running.until(name, lambda vmi: vmi and condition(vmi, "AgentConnected"))
                addresses.append(vmi["status"]["interfaces"][0]["ipAddress"])
            assert addresses == ["192.168.100.10", "192.168.100.20"]
            async with running.console("latency-check-source") as socket:
                dialogue = Dialogue(socket)
                await dialogue.send("\n")
                await dialogue.expect(rb"(localhost|latency-check-source) login: ")
                await dialogue.send("root\n")
                await dialogue.expect(PROMPT)
                for command in ("stty cols 500 rows 500", "dmesg -n 1"):
                    await dialogue.send(f"{command}\n")
                    await dialogue.expect(re.escape(command).encode() + b".*" + PROMPT)
                    await dialogue.send("echo $?\n")
                    await dialogue.expect(rb"\n0\r\n.*" + PROMPT)
            async with running.console("latency-check-source") as socket:
                dialogue = Dialogue(socket)
                await dialogue.send("\n")
                await dialogue.expect(rb"((?s:.*))" + PROMPT)
                command = f"ping {addresses[1]} -w 2"
                await dialogue.send(f"{command}\n")
                output = await dialogue.expect(re.escape(command).encode() + b".*" + PROMPT)
            summary = re.search(r"round-trip min/avg/max = ([\d.]+)/([\d.]+)/([\d.]+) ms", output)
            assert summary is not None, output
            assert 9 <= float(summary[1]) <= 60
            for name in ("latency-check-source", "latency-check-target"):
                await running.api.delete(VMIS, "default", name)
                await running.until(name, lambda vmi: vmi is None)

    play(story())
