from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_kvlatency.lab.fabric.responders import AddressTaken, DhcpServer
from pytest_kvlatency.lab.guests.base import GuestRequest
from pytest_kvlatency.lab.guests.qemu import agent, assets, commandline, cpio, image, launch, qmp, seed, setup
from pytest_kvlatency.lab.guests.qemu import faultsettings as guest_faults
from pytest_kvlatency.lab.spec.labspec import FaultSpec

MAC = bytes.fromhex("020000000101")


def script(*, user_data="#cloud-config", network_data="version: 2", hostname="guest", faults=()):
    request = GuestRequest(
        namespace="n", name="g", uid="u", node="w", hostname=hostname, nics=[],
        user_data=user_data, network_data=network_data, faults=faults,
    )  # fmt: skip
    return seed.cloud_init(request)


def test_an_archive_is_aligned_ends_and_is_the_same_each_time():
    entries = [cpio.directory("etc"), cpio.file("etc/x", b"abc"), cpio.symlink("y", "etc/x")]
    data = cpio.archive(entries)
    assert data == cpio.archive(entries)
    assert data.count(b"070701") == 4
    assert b"TRAILER!!!\0" in data
    assert len(data) % 512 == 0


def test_E05_missing_user_data_makes_cloud_init_wait():
    wait = FaultSpec(fault="datasource-wait")
    assert "wait_for_datasource 120" in script(user_data="", faults=[wait])
    shorter = FaultSpec(fault="datasource-wait", after_seconds=20)
    assert "wait_for_datasource 20" in script(user_data="", faults=[shorter])
    assert "wait_for_datasource" not in script(faults=[wait])
    assert "wait_for_datasource" not in script(user_data="")


def test_version_2_is_matched_by_mac_whatever_its_case():
    text = script(
        network_data="""
version: 2
ethernets:
  eth9:
    match: {macaddress: "02:AB:00:00:00:01"}
    set-name: eth0
    mtu: 1400
    optional: true
    dhcp4: true
    addresses: [198.18.0.1/24, "fd00::1/64"]
    gateway4: 198.18.0.254
"""
    )
    assert "by_mac 02:ab:00:00:00:01" in text
    assert 'rename "$link" eth0' in text
    assert 'ip link set "$link" mtu 1400' in text
    assert 'ip addr add 198.18.0.1/24 dev "$link"' in text
    assert 'ip addr add fd00::1/64 dev "$link"' in text
    assert 'ip route add default via 198.18.0.254 dev "$link"' in text
    assert 'dhcp4 "$link"' in text


def test_version_1_and_the_fallback_without_any():
    text = script(
        network_data="""
network:
  version: 1
  config:
    - type: physical
      name: eth0
      subnets: [{type: dhcp}, {type: static, address: 192.0.2.1/24, gateway: 192.0.2.254}]
    - {type: bond, name: b}
"""
    )
    assert "by_name eth0" in text
    assert "ip addr add 192.0.2.1/24" in text
    assert "'bond'" in text
    assert "dhcp4 eth0" in script(network_data="")


@pytest.mark.parametrize("data", ["[", "- a", "3", "version: 9", "version: 2\nethernets: {e: {}}", "\0"])
def test_bad_network_data_is_said_on_the_console_and_still_shell(data):
    text = script(network_data=data)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_user_data_cannot_break_out_of_its_quotes(tmp_path):
    trap = tmp_path / "trap"
    text = script(user_data=f"#cloud-config\nhostname: \"'; touch {trap}; '\"\n")
    subprocess.run(["sh", "-c", f"set_hostname() {{ :; }}\nsay() {{ :; }}\n{text}"], check=True)
    assert not trap.exists()


def test_a_script_as_user_data_is_run_as_it_is():
    text = script(user_data="#!/bin/sh\necho it's me\n")
    assert text.rstrip().endswith("/run/user-script")
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_the_agents_blocks_are_parsed_and_tentative_addresses_wait():
    report = agent.Report()
    block = (
        "1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue\\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
        "2: eth0: <BROADCAST,UP> mtu 1500 qdisc x\\    link/ether 02:00:00:00:01:01 brd ff:ff:ff:ff:ff:ff\n"
        "1: lo    inet 127.0.0.1/8 scope host lo\n"
        "2: eth0    inet 198.18.0.1/24 scope global eth0\n"
        "2: eth0    inet6 fd00::1/64 scope global tentative \n"
        "2: eth0    inet6 fe80::1/64 scope link \n.\n"
    ).replace("\n", "\r\n")
    for byte in block.encode():
        report.feed(bytes([byte]))
    assert report.addresses == {"02:00:00:00:01:01": ("198.18.0.1", "fe80::1")}
    report.feed(b"2: eth0: <UP> link/ether 02:00:00:00:01:01\n.\n")
    assert report.addresses == {"02:00:00:00:01:01": ()}


def test_the_command_line_names_mac_mtu_and_descriptors():
    machine = commandline.QemuMachine(
        name="a,b", accelerator="tcg", kernel=Path("k"), initramfs=Path("i"), memory_mib=64, serial=5,
        wires=[commandline.Wire(mac="02:00:00:00:00:01", mtu=1400, descriptor=9)],
    )  # fmt: skip
    line = commandline.arguments(machine)
    assert "guest=a,,b" in line
    assert line[line.index("-m") + 1] == "128"
    assert "dgram,id=net0,local.type=fd,local.str=9" in line
    assert any("mac=02:00:00:00:00:01,host_mtu=1400" in part for part in line)


@pytest.mark.parametrize(("accelerator", "own"), [("tcg", True), ("kvm", False)])
def test_an_emulated_guest_does_not_take_its_time_from_a_counter_of_unknown_frequency(accelerator, own):
    machine = commandline.QemuMachine(
        name="a", accelerator=accelerator, kernel=Path("k"), initramfs=Path("i"), serial=5
    )
    line = commandline.arguments(machine)
    assert ("clocksource=hpet" in line[line.index("-append") + 1]) == own


def test_commands_of_the_monitor_are_answered_fail_and_end_with_it():
    async def qemu(theirs):
        """The other end, as the protocol says: a greeting, answers with the command's id, events at any time."""
        reader, writer = await asyncio.open_connection(sock=theirs)

        def say(**message):
            writer.write(json.dumps(message).encode() + b"\r\n")

        say(QMP={"version": {}, "capabilities": []})
        while line := await reader.readline():
            asked = json.loads(line)
            say(event="RESUME", timestamp={})
            if asked["execute"] == "bad":
                say(error={"class": "GenericError", "desc": "no such thing"}, id=asked["id"])
            elif asked["execute"] == "quit":
                break
            else:
                say(**{"return": asked}, id=asked["id"])
        writer.close()

    async def scenario():
        ours, theirs = socket.socketpair()
        serving = asyncio.ensure_future(qemu(theirs))
        monitor, events = qmp.Qmp(ours), []
        monitor.on_event = lambda name, _data: events.append(name)
        await monitor.negotiate()
        await monitor.negotiate()
        first, second = await asyncio.gather(monitor.execute("first"), monitor.execute("second", {"a": 1}))
        assert (first["execute"], second["arguments"]) == ("first", {"a": 1})
        with pytest.raises(qmp.QmpError, match="bad: no such thing"):
            await monitor.execute("bad")
        with pytest.raises(qmp.QmpError, match="quit: QEMU is gone"):
            await monitor.execute("quit")
        with pytest.raises(qmp.QmpError, match="late: QEMU is gone"):
            await monitor.execute("late")
        assert events == ["RESUME"] * 5
        await serving
        monitor.close()
        monitor.close()

    asyncio.run(scenario())


def dhcp(kind, *, wanted=None, mac=MAC):
    options = bytes([53, 1, kind]) + (bytes([50, 4]) + bytes(wanted) if wanted else b"") + b"\xff"
    bootp = b"\1\1\6\0ABCD" + bytes(20) + mac + bytes(10) + bytes(192) + b"\x63\x82\x53\x63" + options
    udp = b"\0\x44\0\x43" + (8 + len(bootp)).to_bytes(2, "big") + b"\0\0" + bootp
    ip = b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + bytes(4) + b"\x40\x11" + bytes(10) + udp
    return b"\xff" * 6 + mac + b"\x08\0" + ip


def test_E21_dhcp_offers_and_grants_the_lease_and_refuses_any_other():
    server = DhcpServer("10.9.8.7/24", 1400)
    (offer,) = server(dhcp(1))
    assert offer[:6] == MAC
    assert offer[14 + 28 + 16 : 14 + 28 + 20] == bytes([10, 9, 8, 7])
    assert bytes([53, 1, 2]) in offer
    assert bytes([26, 2]) + (1400).to_bytes(2, "big") in offer
    (ack,) = server(dhcp(3, wanted=[10, 9, 8, 7]))
    assert bytes([53, 1, 5]) in ack
    (nak,) = server(dhcp(3, wanted=[10, 9, 8, 9]))
    assert bytes([53, 1, 6]) in nak
    assert server(b"\xff" * 60) == []
    assert server(dhcp(7)) == []


def arp(sender, wanted):
    return (
        b"\xff" * 6
        + MAC
        + bytes.fromhex("08060001080006040001")
        + MAC
        + bytes(sender)
        + bytes(6)
        + bytes(wanted)
    )


def test_E20_a_stranger_answers_probes_for_as_many_addresses_as_told():
    stranger = AddressTaken(1)
    probe = arp([0, 0, 0, 0], [10, 0, 0, 1])
    (answer,) = stranger(probe)
    assert answer[20:22] == b"\0\2"
    assert answer[28:32] == bytes([10, 0, 0, 1])
    assert len(stranger(probe)) == 1
    assert stranger(arp([0, 0, 0, 0], [10, 0, 0, 2])) == []
    assert stranger(arp([10, 0, 0, 9], [10, 0, 0, 1])) == []


def test_faults_are_settings_or_refused():
    found = guest_faults.by_name(
        [FaultSpec(fault="slow-boot", after_seconds=3), FaultSpec(fault="no-cloud-init")]
    )
    assert guest_faults.settings(found) == {"LAB_CLOUD_INIT": "", "LAB_SLOW_BOOT": "3"}
    with pytest.raises(ValueError, match="ping-not-permitted"):
        guest_faults.by_name([FaultSpec(fault="ping-not-permitted")])


def test_E38_busybox_loses_its_ping_and_nothing_else(tmp_path):
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"pidof\0ping\0ping6\0pivot_root\0")
    assert image.without_ping(busybox) == b"pidof\0pinf\0pinf6\0pivot_root\0"
    busybox.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot remove ping from "):
        image.without_ping(busybox)


def test_what_is_missing_is_named_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(setup.platform, "machine", lambda: "x86_64")
    text = setup.usable()
    assert "qemu-system-x86_64" in text
    assert "busybox" in text
    assert str(tmp_path) in text
    assert "python -m pytest_kvlatency.lab setup" in text
    monkeypatch.setattr(setup.platform, "machine", lambda: "aarch64")
    assert "aarch64" in setup.usable()


def test_a_kernel_in_the_cache_is_found_with_its_modules_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.CACHE_VARIABLE, str(tmp_path))
    folder = tmp_path / "kernel-6.1"
    folder.mkdir()
    for name in ("vmlinuz", "virtio_net.ko", "failover.ko"):
        (folder / name).touch()
    found = assets.kernel()
    assert found.version == "6.1"
    assert [path.name for path in found.modules] == ["failover.ko", "virtio_net.ko"]


def test_the_launcher_does_not_start_what_has_lost_its_parent():
    run = [sys.executable, "-I", "-S", launch.__file__, "1", "/bin/echo", "alive"]
    assert subprocess.run(run, capture_output=True, check=True).stdout == b""
