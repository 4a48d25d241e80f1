"""Real guests under QEMU, driven directly through the hypervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from begun import begun

from pytest_kvlatency.guest import duplicates
from pytest_kvlatency.guest.watchdog import boot_command
from pytest_kvlatency.kube.manifest import user_data
from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import GuestRequest, HypervisorError, Nic
from pytest_kvlatency.lab.guests.qemu.hypervisor import QemuHypervisor
from pytest_kvlatency.lab.spec.labspec import FaultSpec, LabSpec, LinkQuality, LinkSpec, NetworkSpec

pytestmark = pytest.mark.qemu

NETWORK = "default/blue-network"
USER_DATA = "#cloud-config\n"
PATIENCE_SECONDS = 90
# A kernel that emulation slows down has things to say at any time, in the middle of others' lines
# as well; its own lines arrive whole. Those that a fault of the lab's prints are of interest.
KERNEL_LINE = re.compile(r"\[ *\d+\.\d{6}\] (?!cloud-init|[^\r\n]* from the lab)[^\r\n]*\r\n")


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
    """Expect, in its simplest form, on what others than the kernel print."""

    def __init__(self, guest):
        self.guest = guest
        self.text = ""
        self._more = asyncio.Event()
        guest.attach(self._sink)

    def _sink(self, data):
        self.text = KERNEL_LINE.sub("", self.text + data.decode(errors="replace"))
        self._more.set()

    def rewind(self):
        """Expect from the beginning of what the guest has printed."""
        self.text = KERNEL_LINE.sub("", self.guest.serial_log.decode(errors="replace"))

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
    network = NetworkSpec(name=NETWORK, quality=quality or LinkQuality())
    lab = LabSpec(**{"networks": (network,), "seed": 7, **spec})
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


async def told(guest, mac):
    """Wait until the agent tells an address of version 4, and return all that it tells then."""

    async def ask():
        while True:
            addresses = (await guest.addresses()).get(mac, ())
            if any("." in address for address in addresses):
                return addresses
            await asyncio.sleep(0.1)

    return await asyncio.wait_for(ask(), PATIENCE_SECONDS)


def rtt_min_ms(output):
    return float(re.search(r"min/avg/max = ([\d.]+)/", output)[1])


def test_E21_two_guests_one_of_which_asks_for_its_lease_reach_each_other_and_power_off(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            assert made.kind == "qemu"
            assert made.description.startswith("QEMU ")
            assert made.software_emulation == ("TCG" in made.description)
            silent, asking = request(1, lease="198.18.0.91/24"), request(2, lease="198.18.0.92/24", mtu=1400)
            one, two = await booted(
                made,
                replace(silent, network_data=network_data(silent.nics[0].mac, "198.18.0.1/24", "fd00::1/64")),
                replace(asking, network_data=network_data(asking.nics[0].mac, "fd00::2/64", dhcp4=True)),
            )
            output, _ = await two.run("ip -o addr show dev eth0; cat /sys/class/net/eth0/mtu")
            assert "198.18.0.92/24" in output
            assert output.splitlines()[-1] == "1400"
            assert "198.18.0.92" in await told(two.guest, "02:00:00:00:01:02")
            _, status = await one.run("nohup sh -c 'exit 3' >/dev/null 2>&1")
            assert status == 3
            output, status = await one.run("ip -o addr show dev eth0")
            assert status == 0
            assert "198.18.0.1/24" in output
            assert "198.18.0.91" not in output
            output, status = await one.run("ping -c 20 -i 0.1 198.18.0.92")
            assert status == 0
            assert "20 packets transmitted, 20 packets received, 0% packet loss" in output
            output, status = await one.run("until ping -c 1 -W 1 fd00::2; do :; done")
            assert status == 0

            assert "198.18.0.1" in await told(one.guest, "02:00:00:00:01:01")
            one.guest.write(b"poweroff -f\n")
            assert (await asyncio.wait_for(one.guest.wait_exit(), PATIENCE_SECONDS)).how == "poweroff"
            await two.guest.kill()
            assert (await two.guest.wait_exit()).how == "stopped"
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


@pytest.mark.steady
def test_a_link_of_20_ms_moves_the_rtt_by_40_ms(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path, LinkQuality(latency_ns=20_000_000)) as made:
            near, _two, _three = await booted(
                made, request(1, node="worker1"), request(2, node="worker1"), request(3, node="worker2")
            )
            close, _ = await near.run("ping -c 30 -i 0.1 198.18.0.2")
            away, _ = await near.run("ping -c 30 -i 0.1 198.18.0.3")
            assert rtt_min_ms(away) - rtt_min_ms(close) == pytest.approx(40, abs=3)

    asyncio.run(scenario())


def test_duplicates_and_a_blocked_ping_are_real(tmp_path):
    links = (
        LinkSpec(between=("worker1", "worker2"), overrides={"duplicate": 0.5}),
        LinkSpec(between=("worker1", "worker3"), overrides={"block_icmp": True}),
    )

    async def scenario():
        async with hypervisor(tmp_path, links=links) as made:
            one, _two, _three = await booted(made, request(1), request(2), request(3))
            output, status = await one.run("ping -c 20 -i 0.1 198.18.0.2")
            assert status == 0
            assert "DUP!" in output
            output, status = await one.run("ping -c 3 -i 0.1 -W 1 198.18.0.3")
            assert status == 1
            assert "3 packets transmitted, 0 packets received, 100% packet loss" in output
            output, _ = await one.run("ip neigh show 198.18.0.3")
            assert "lladdr 02:00:00:00:01:03" in output

    asyncio.run(scenario())


def test_cloud_init_user_data_is_carried_out(tmp_path):
    user_data = """#cloud-config
hostname: renamed
password: secret
bootcmd:
  - echo early >/run/early
write_files:
  - {path: /etc/lab/file, content: "it's here\\n"}
runcmd:
  - [touch, /run/a list]
  - echo "$(cat /run/early) late" >/run/late
"""
    data = """version: 1
config:
  - type: physical
    name: net7
    mac_address: 02:00:00:00:01:01
    subnets:
      - {type: static, address: 192.0.2.5, netmask: 255.255.255.0}
"""

    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(request(1, user_data=user_data, data=data))
            console = Console(guest)
            await guest.start()
            await console.expect("renamed login: ")
            guest.write(b"root\n")
            await console.expect("Password: ")
            guest.write(b"secret\n")
            await console.expect("renamed:~# ")
            output, _ = await console.run(
                "cat /etc/lab/file /run/late; ls /run; ip -o addr show dev net7; cloud-init status"
            )
            assert output.startswith("it's here\nearly late\n")
            assert "a list" in output
            assert "192.0.2.5/24" in output
            assert output.endswith("status: done\n")

    asyncio.run(scenario())


def test_E05_without_user_data_cloud_init_waits_for_other_data_sources(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(request(1, user_data="", faults=[FaultSpec(fault="datasource-wait")]))
            console = Console(guest)
            await guest.start()
            await console.expect("waiting for data source.*\\n(?s:.*)waiting for data source")
            assert b"login:" not in guest.serial_log

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "patterns",
    [
        {
            "mac-changed": "no interface for 02:00:00:00:01:01",
            "torn-prompt": r"lo\[.*cloud-init.*\r\ngin: (?s:.*)login: ",
            "last-failed-login": "Last failed login: ",
            "slow-boot": "guest-1:~# ",
            "ping-missing": "ping: not found",
        },
        {
            "no-cloud-init": "localhost login: ",
            "login-refused": "Login incorrect",
            "kernel-noise": r"\] clocksource: .*from the lab",
        },
    ],
    ids=["E71-E01-E02-E38", "E23-E15-E12"],
)
def test_faults_inside_the_guest(tmp_path, patterns):
    """Faults that do not hide one another, each with what it prints, in the order in which they strike."""

    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(
                request(1, faults=[FaultSpec(fault=name, after_seconds=1) for name in patterns])
            )
            console = Console(guest)

            async def type_on():
                """Answer what is asked; where a fault hides the question, Enter has it asked again."""
                while True:
                    seen = guest.serial_log
                    end = seen[-20:].removesuffix(b"\x1b[6n")
                    answers = {b"login: ": b"root\n", b"# ": b"ping -c 1 127.0.0.1\n"}
                    guest.write(next((line for ask, line in answers.items() if end.endswith(ask)), b"\n"))
                    for _ in range(20):
                        await asyncio.sleep(0.1)
                        if guest.serial_log != seen:
                            break

            await guest.start()
            if "torn-prompt" in patterns:
                # Enter before its end would be lost.
                await console.expect("gin: ")
                console.rewind()
            typing = asyncio.ensure_future(type_on())
            for pattern in patterns.values():
                await console.expect(pattern)
            typing.cancel()

    asyncio.run(scenario())


def test_E04_a_console_left_in_the_middle_of_a_command(tmp_path):
    commands = ["cat", "sleep 86400", "while :; do :; done"]

    async def scenario():
        async with hypervisor(tmp_path) as made:
            fault = FaultSpec(fault="already-logged-in", parameters={"command": commands[0]})
            guest = made.create(request(1, faults=[fault]))
            console = Console(guest)
            await guest.start()
            for number, command in enumerate(commands):
                if number:
                    # What the fault does once the guest has booted, with another command.
                    guest.write(
                        f"echo \"LAB_BUSY='{command}'\" >>/lab/config; exec lab-busy-login\n".encode()
                    )
                await console.expect(":~# " + re.escape(command) + "\r\n")
                guest.write(b"\x03")
                await console.expect(":~# ")

    asyncio.run(scenario())


def test_E15_a_silent_guest_prints_nothing_and_runs_on(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(request(1, faults=[FaultSpec(fault="silent")]))
            await guest.start()
            assert "198.18.0.1" in await told(guest, "02:00:00:00:01:01")
            assert guest.serial_log == b""

    asyncio.run(scenario())


def test_E20_a_guest_looks_for_its_address_while_it_boots_and_the_first_two_are_taken(tmp_path):
    def looking(number, *faults):
        mac = f"02:00:00:00:01:{number:02x}"
        check = duplicates.boot_command(mac, f"198.18.0.{number}")
        return request(number, faults=faults, user_data=user_data(boot_commands=[check]))

    async def scenario():
        async with hypervisor(tmp_path) as made:
            taken = FaultSpec(fault="address-taken", times=2)
            guests = await booted(made, looking(1), looking(2, taken))
            for number, guest in enumerate(guests, start=1):
                known = "/tmp/.kv-address"
                await guest.run(f"until grep -qE 'silent|unknown' {known}; do sleep 1; done 2>/dev/null")
                said, _ = await guest.run(f"cat {known}")
                assert f"198.18.0.{number} " in said
                assert ("silent" if number == 1 else "unknown") in said
            for address, status in {"198.18.0.77": 1, "198.18.0.78": 0}.items():
                _, found = await guests[1].run(f"arping -D -c 2 -w 2 -I eth0 {address}")
                assert found == status, address

    asyncio.run(scenario())


def test_a_fault_that_real_guests_cannot_have_is_refused(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            with pytest.raises(HypervisorError, match="ping-not-permitted"):
                made.create(request(1, faults=[FaultSpec(fault="ping-not-permitted")]))

    asyncio.run(scenario())


def test_a_dead_qemu_is_a_crash_with_its_cause(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(request(1))
            await guest.start()
            os.kill(guest.pid, signal.SIGSEGV)
            ending = await guest.wait_exit()
            assert ending.how == "crash"
            assert "signal 11" in ending.detail
            bad = made.create(replace(request(2), nics=[Nic(name="x", mac="no mac", network=NETWORK)]))
            await bad.start()
            ending = await bad.wait_exit()
            assert ending.how == "crash"
            assert "no mac" in ending.detail

    asyncio.run(scenario())


def test_E92_a_guest_whose_run_was_killed_while_it_booted_powers_itself_off(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path) as made:
            guest = made.create(request(1, user_data=user_data(boot_commands=[boot_command(2)])))
            await guest.start()
            ending = await asyncio.wait_for(guest.wait_exit(), PATIENCE_SECONDS)
            assert ending.how == "poweroff"

    asyncio.run(scenario())


PARENT = """
import asyncio, sys, time
sys.path[:0] = {tests!r}
from pathlib import Path
from test_qemu_guests import hypervisor, request

async def main():
    async with hypervisor(Path({path!r})) as made:
        guest = made.create(request(1))
        await guest.start()
        print(guest.pid, flush=True)
        await guest.wait_exit()

asyncio.run(main())
"""


def test_E60_guests_die_with_a_parent_that_is_killed(tmp_path):
    code = PARENT.format(tests=[*map(str, Path(__file__).parents[:2])], path=str(tmp_path))
    with begun([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        guest = os.pidfd_open(pid)
        parent.kill()
    try:
        readable, _, _ = select.select([guest], [], [], PATIENCE_SECONDS)
        assert readable
    finally:
        os.close(guest)
