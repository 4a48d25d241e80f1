"""What simulated guests measure: texts of both dialects, loss, delay, faults of the network, and the seed."""

import asyncio
import re

import pytest

from pytest_kvlatency.lab.spec.labspec import FaultSpec, LinkSpec

SOURCE, TARGET = "198.18.0.1/24", "198.18.0.2/24"
NO_LONGER_TENTATIVE = "while ip -o addr | grep -q tentative; do sleep 0.1; done"
#: For each dialect commands, a text of the output, and the exit status.
OPTIONS = {
    "busybox": [
        ("ping -z 198.18.0.2", "ping: invalid option -- 'z'\nBusyBox v1.36", 1),
        ("ping -M do 198.18.0.2", "ping: invalid option -- 'M'", 1),
        ("ping -c x 198.18.0.2", "ping: invalid number 'x'\n", 1),
        ("ping", "Usage: ping", 1),
        ("ping nowhere", "ping: bad address 'nowhere'\n", 1),
        ("ping -c 1 10.9.9.9", "ping: sendto: Network unreachable\n", 1),
        ("ping -q -c 1 -I 198.18.0.1 198.18.0.2", "(198.18.0.2) from 198.18.0.1: 56 data", 0),
        ("ping -c 1 -s 3 198.18.0.2", "11 bytes from 198.18.0.2: seq=0 ttl=64\n", 0),
        ("ping -6 -c 1 fd00::2", "64 bytes from fd00::2: seq=0 ttl=64 time=", 0),
        ("ping -c 1 -s 4000 198.18.0.2", "4008 bytes from", 0),
        ("ping -w 3 -c 9 198.18.0.2", "3 packets transmitted, 3 packets received", 1),
    ],
    "busybox-old": [
        ("ping -i 1 198.18.0.2", "ping: invalid option -- 'i'", 1),
    ],
    "iputils": [
        ("ping -z 198.18.0.2", "ping: invalid option -- 'z'\n\nUsage\n", 2),
        ("ping nowhere", "ping: nowhere: Name or service not known\n", 2),
        ("ping -c 1 10.9.9.9", "ping: connect: Network is unreachable\n", 2),
        ("ping -M do -c 1 -s 1473 198.18.0.2", "local error: message too long, mtu=1500\n", 1),
        ("ping -M do -c 1 -s 1472 198.18.0.2", "1480 bytes from", 0),
        ("ping -c 1 fd00::2", "PING fd00::2 (fd00::2) 56 data bytes\n", 0),
    ],
    "iputils-old": [
        ("ping -c 1 -i 0.1 198.18.0.2", "64 bytes from 198.18.0.2: icmp_req=1 ttl=64 time=", 0),
    ],
}


def go(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


async def pair(lab, *, faults=(), **more):
    """A logged-in source on worker1, and a booted target on worker2."""
    source = await lab.guest(node="worker1", address=[SOURCE, "fd00::1/64"], faults=faults, **more)
    target = await lab.guest(node="worker2", address=[TARGET, "fd00::2/64"])
    await source.login()
    await target.expect("login: $")
    return source, target


def times(output):
    return [float(value) for value in re.findall(r"time=([\d.]+) ms", output)]


def test_busybox_ping(lab):
    async def scenario():
        async with lab() as it:
            source, _ = await pair(it)
            output, status = await source.run("ping -c 3 -i 0.1 198.18.0.2")
            lines = output.splitlines()
            assert lines[0] == "PING 198.18.0.2 (198.18.0.2): 56 data bytes"
            for number, line in enumerate(lines[1:4]):
                assert re.fullmatch(
                    rf"64 bytes from 198\.18\.0\.2: seq={number} ttl=64 time=\d\.\d{{3}} ms", line
                )
            assert lines[4:7] == [
                "",
                "--- 198.18.0.2 ping statistics ---",
                "3 packets transmitted, 3 packets received, 0% packet loss",
            ]
            assert re.fullmatch(r"round-trip min/avg/max = (\d\.\d{3}/){2}\d\.\d{3} ms", lines[7])
            assert status == 0

    go(scenario())


def test_iputils_ping(lab):
    async def scenario():
        async with lab(dialect="iputils", latency_ns=60_000_000) as it:
            source, _ = await pair(it)
            output, status = await source.run("ping -D -n -c 2 -i 0.5 -I eth0 198.18.0.2")
            lines = output.splitlines()
            assert lines[0] == "PING 198.18.0.2 (198.18.0.2) from 198.18.0.1 eth0: 56(84) bytes of data."
            stamp = r"\[\d{10}\.\d{6}\] "
            assert re.fullmatch(
                stamp + r"64 bytes from 198\.18\.0\.2: icmp_seq=1 ttl=64 time=2\d\d ms", lines[1]
            )
            assert re.fullmatch(r"2 packets transmitted, 2 received, 0% packet loss, time \d+ms", lines[5])
            assert lines[6].startswith("rtt min/avg/max/mdev = 120.")
            assert status == 0

    go(scenario())


@pytest.mark.parametrize("dialect", OPTIONS)
def test_options_and_refusals(lab, dialect):
    async def scenario():
        async with lab(dialect=dialect) as it:
            source, _ = await pair(it)
            await source.run(NO_LONGER_TENTATIVE)
            for command, text, status in OPTIONS[dialect]:
                output, got = await source.run(command)
                assert text in output, command
                assert got == status, command

    go(scenario())


@pytest.mark.parametrize(
    ("fault", "dialect", "text", "status"),
    [
        ("ping-missing", "busybox", "ping: not found", 127),
        ("ping-not-permitted", "busybox", "ping: permission denied (are you root?)", 1),
        ("ping-not-permitted", "iputils", "Operation not permitted", 2),
    ],
)
def test_E38_ping_that_does_not_run(lab, fault, dialect, text, status):
    async def scenario():
        async with lab(dialect=dialect) as it:
            source, _ = await pair(it, faults=[fault])
            output, got = await source.run("ping -c 1 198.18.0.2")
            assert text in output
            assert got == status

    go(scenario())


def test_interrupted_ping_prints_its_statistics(lab):
    async def scenario():
        async with lab() as it:
            source, _ = await pair(it)
            source.type("ping 198.18.0.2\r")
            await source.expect("seq=2 ")
            source.type("\x03")
            # Replies may still come between the echo of the key and the signal.
            await source.expect(r"\^C.*--- 198.18.0.2 ping statistics ---\r\n\d+ packets transmitted")
            assert await source.run("true") is not None

    go(scenario())


# A guest forgets a neighbour after a minute of its own time: none so fast that this passes between two commands.
@pytest.mark.parametrize("scale", [5.0, 20.0])
def test_equal_seeds_give_equal_times_whatever_the_speed(lab, scale):
    async def sample(seed, scale):
        async with lab(seed=seed, scale=scale, latency_ns=200_000, jitter_ns=50_000, loss=0.05) as it:
            source, _ = await pair(it)
            first, _ = await source.run("ping -c 20 -i 0.1 198.18.0.2 | grep time=")
            second, _ = await source.run("ping -c 20 -i 0.1 198.18.0.2 | grep time=")
            return first + second

    async def scenario():
        assert await sample(7, scale) == await sample(7, 10.0)
        assert await sample(8, scale) != await sample(7, scale)

    go(scenario())


def test_a_link_moves_the_rtt_by_twice_its_latency(lab):
    links = [LinkSpec(between=("worker1", "worker2"), network=None, overrides={"latency_ns": 20_000_000})]

    async def scenario():
        async with lab(latency_ns=1_000_000, links=links) as it:
            source, _ = await pair(it)
            output, _ = await source.run("ping -c 20 -i 0.1 198.18.0.2")
            assert 40 < min(times(output)) < 40.5

    go(scenario())


def test_loss_duplicates_and_late_replies(lab):
    async def scenario():
        async with lab(loss=0.1, duplicate=0.1, latency_ns=150_000_000, jitter_ns=60_000_000) as it:
            source, _ = await pair(it)
            output, _ = await source.run("ping -c 200 -i 0.05 198.18.0.2")
            found = re.search(
                r"200 packets transmitted, (\d+) packets received, (\d+) duplicates, (\d+)%", output
            )
            received, duplicates = int(found[1]), int(found[2])
            assert 144 <= received <= 180
            assert int(found[3]) == (200 - received) * 100 // 200
            assert output.count("(DUP!)") == duplicates > 10
            order = [int(seq) for seq in re.findall(r"seq=(\d+) .*ms$", output, re.MULTILINE)]
            assert order != sorted(order)

    go(scenario())


def test_E30_partition_busybox_says_nothing_and_iputils_unreachable(lab):
    async def scenario():
        async with lab(partition=True) as it:
            source, _ = await pair(it)
            output, status = await source.run("ping -c 5 -i 0.1 -W 1 198.18.0.2")
            assert output.splitlines()[1:] == [
                "",
                "--- 198.18.0.2 ping statistics ---",
                "5 packets transmitted, 0 packets received, 100% packet loss",
            ]
            assert status == 1
        async with lab(partition=True, dialect="iputils") as it:
            source, _ = await pair(it)
            output, status = await source.run("ping -c 5 198.18.0.2")
            assert "From 198.18.0.1 icmp_seq=5 Destination Host Unreachable\n" in output
            assert "5 packets transmitted, 0 received, +5 errors, 100% packet loss, time " in output
            assert output.endswith(("\npipe 3\n", "\npipe 4\n"))
            assert status == 1

    go(scenario())


def test_E28_icmp_blocked_but_arp_answered(lab):
    async def scenario():
        async with lab(block_icmp=True) as it:
            source, _ = await pair(it)
            output, status = await source.run("ping -c 1 -W 1 198.18.0.2")
            assert "1 packets transmitted, 0 packets received" in output
            assert status == 1
            assert (await source.run("arping -c 1 -w 3 -I eth0 198.18.0.2"))[1] == 0
            assert "lladdr 02:00:00:00:00:02" in (await source.run("ip neigh"))[0]

    go(scenario())


def test_E27_large_packets_vanish(lab):
    async def scenario():
        async with lab(mtu=1400) as it:
            source, _ = await pair(it)
            assert (await source.run("ping -c 1 -W 1 -s 1372 198.18.0.2"))[1] == 0
            assert (await source.run("ping -c 1 -W 1 -s 1373 198.18.0.2"))[1] == 1
            await source.run("ip link set dev eth0 mtu 1300")
            assert (await source.run("ping -c 1 -W 1 -s 1373 198.18.0.2"))[1] == 0

    go(scenario())


def test_a_guest_that_is_off_does_not_answer(lab):
    async def scenario():
        async with lab() as it:
            source, target = await pair(it)
            assert (await source.run("ping -c 1 -W 1 198.18.0.2"))[1] == 0
            await target.guest.kill()
            assert (await source.run("ping -c 1 -W 1 198.18.0.2"))[1] == 1

    go(scenario())


@pytest.mark.parametrize(
    "data",
    [
        "version: 1\nconfig:\n- type: physical\n  name: x\n  mac_address: 'MAC'\n  subnets:\n  - {type: static, address: 198.18.0.9/24}\n",
        "network:\n  version: 2\n  ethernets:\n    x:\n      match: {macaddress: MAC}\n      addresses: [198.18.0.9/24]\n",
        "version: 2\nethernets:\n  eth0:\n    addresses: [198.18.0.9/24]\n",
        "version: 2\nethernets:\n  eth0:\n    addresses: [{198.18.0.9/24: {lifetime: 0}}]\n",
        "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n",
    ],
)
def test_network_data_is_applied(lab, data):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", data=data, lease="198.18.0.9/24")
            await console.login()
            output, _ = await console.run("ip -o -4 addr show dev eth0")
            assert re.search(
                r"^2: eth0 +inet 198\.18\.0\.9/24 brd 198\.18\.0\.255 scope global eth0\\", output
            )
            assert "198.18.0.9" in (await console.guest.addresses())["02:00:00:00:00:01"]

    go(scenario())


def test_E21_dhcp(lab):
    async def scenario():
        async with lab() as it:
            served = await it.guest(node="worker1", data="version: 2\n", lease="198.18.0.9/24")
            ignored = await it.guest(node="worker1", lease="198.18.0.8/24", faults=["no-dhcp"])
            await served.login()
            await ignored.login()
            output, status = await served.run("udhcpc -n -q -i eth0")
            assert "lease of 198.18.0.9 obtained" in output
            assert status == 0
            assert "198.18.0.9/24" in (await served.run("ip -o addr"))[0]
            assert (await ignored.run("udhcpc -n -q -t 2 -T 1 -i eth0"))[1] == 1

    go(scenario())


def test_E23_mac_changed_leaves_the_interface_for_the_console(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", address=SOURCE, faults=["mac-changed"])
            other = await it.guest(node="worker1", address=TARGET)
            await console.login()
            await other.expect("login: $")
            output, _ = await console.run("ip -o link; ip -o addr")
            assert "02:00:00:00:00:01" not in output
            assert "198.18" not in output
            assert (await console.run("ip addr add 198.18.0.1/24 dev eth0; ip link set eth0 up"))[1] == 0
            assert (await console.run("ping -c 1 198.18.0.2"))[1] == 0
            assert (await console.run("ip addr add 198.18.0.1/24 dev eth0"))[1] == 2
            assert (await console.run("ip addr del 198.18.0.1/24 dev eth0; ping -c 1 198.18.0.2"))[1] == 1
            assert (await console.run("ip addr show dev eth7"))[1] == 1

    go(scenario())


def test_E20_an_address_in_use_is_answered(lab):
    async def scenario():
        async with lab() as it:
            source, _ = await pair(it)
            output, status = await source.run("arping -D -c 2 -w 3 -I eth0 198.18.0.2")
            assert "Unicast reply from 198.18.0.2 [02:00:00:00:00:02]" in output
            assert status == 1
            assert (await source.run("arping -D -c 2 -w 3 -I eth0 198.18.0.3"))[1] == 0
            fault = FaultSpec(fault="address-taken", times=1)
            victim = await it.guest(node="worker1", address=["198.18.0.5/24", "fd00::5/64"], faults=[fault])
            await victim.login()
            assert (await victim.run("arping -D -c 2 -w 3 -I eth0 198.18.0.5"))[1] == 1
            assert (await victim.run("arping -D -c 2 -w 3 -I eth0 198.18.0.6"))[1] == 0
            assert (await source.run("ping -c 1 -W 1 198.18.0.5"))[1] == 1
            await victim.run("ip addr flush dev eth0; ip addr add 198.18.0.6/24 dev eth0")
            assert (await source.run("ping -c 1 -W 1 198.18.0.6"))[1] == 0

    go(scenario())


def test_E26_duplicate_address_detection(lab):
    async def scenario():
        # Slow enough for a look at the address before the detection's second is over.
        async with lab(scale=0.25, boot=0.0, dialect="iputils") as it:
            source, _ = await pair(it)
            assert (
                " tentative" in (await source.run("ip -o -6 addr add fd00::9/64 dev eth0; ip -o -6 addr"))[0]
            )
            await source.run(NO_LONGER_TENTATIVE)
            assert (await source.run("ping -c 1 fd00::2"))[1] == 0
            await source.run("ip addr add fd00::2/64 dev eth0")
            assert "dadfailed tentative" in (await source.run("ip -o addr show dev eth0"))[0]

    go(scenario())
