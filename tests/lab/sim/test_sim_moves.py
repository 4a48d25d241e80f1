"""Simulated guests that migrate: what the guest that stays measures, and what the one that goes notices."""

import asyncio
import re
import time

import pytest

from pytest_kvlatency.lab.spec.labspec import FaultSpec, LinkSpec, MigrationSpec

SCALE = 10
#: The guests' seconds.
GAP = 1.0
MIGRATION = MigrationSpec(preparation_gap_seconds=GAP, downtime_seconds=GAP, seconds=0.1)
FAR = LinkSpec(between=("worker1", "worker3"), overrides={"latency_ns": 50_000_000})
#: Where a guest shows that its ping runs, and where it ends.
REPLY, END = r"seq=\d+ ttl", r"packets transmitted, .*# "


def go(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


async def pair(it, faults=()):
    """A guest on worker1, logged in, and one on worker2."""
    stays = await it.guest(node="worker1", address="198.18.0.1/24", faults=faults)
    goes = await it.guest(node="worker2", address="198.18.0.2/24")
    await stays.login()
    await goes.expect("login: $")
    return stays, goes


async def move(goes):
    made = await goes.guest.prepare_move("worker3")
    await asyncio.sleep(1.2 * GAP / SCALE)
    await made.run()


def replies(output):
    """When each reply came, and its round-trip time, in seconds."""
    found = re.findall(r"\[(\d+\.\d+)\] 64 bytes .* time=([\d.]+) ms", output)
    return [(float(at), float(rtt) / 1e3) for at, rtt in found]


def gaps(output):
    """The gaps that are longer than half a second: how long each is, and how many requests were lost in it."""
    moments = [at for at, _ in replies(output)]
    numbers = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", output)]
    return [
        (after - before, later - earlier - 1)
        for before, after, earlier, later in zip(moments, moments[1:], numbers, numbers[1:], strict=False)
        if after - before > GAP / 2
    ]


def test_the_guest_that_stays_sees_both_gaps_and_then_the_new_link(lab):
    async def scenario():
        async with lab(scale=SCALE, dialect="iputils", migration=MIGRATION, links=[FAR]) as it:
            stays, goes = await pair(it)
            stays.type("ping -D -i 0.05 -w 15 198.18.0.2\r")
            output = await stays.expect(REPLY)
            await move(goes)
            output += await stays.expect(END)
            (preparation, dropped), (switchover, late) = gaps(output)
            assert GAP <= preparation <= GAP + 0.1
            assert dropped >= 18
            # What came while the guest was paused waits for it.
            assert late == 0
            assert GAP + 0.05 <= switchover <= GAP + 0.3
            rtts = [rtt for _, rtt in replies(output)]
            assert max(rtts) > GAP
            assert min(rtts[:3]) < 0.05
            assert 0.1 <= rtts[-1] < 0.12

    go(scenario())


def test_a_network_that_does_not_reach_the_new_node_stays_cut(lab):
    async def scenario():
        cut = LinkSpec(between=("worker1", "worker3"), overrides={"partition": True})
        async with lab(scale=SCALE, migration=MigrationSpec(seconds=0.1), links=[cut]) as it:
            stays, goes = await pair(it)
            _, before = await stays.run("ping -c 2 -i 0.1 198.18.0.2")
            await move(goes)
            _, after = await stays.run("ping -c 2 -i 0.1 -W 1 198.18.0.2")
            assert (before, after) == (0, 1)

    go(scenario())


def test_the_guest_that_goes_loses_nothing_and_its_clock_stands_still_while_it_is_paused(lab):
    async def scenario():
        migration = MigrationSpec(downtime_seconds=GAP, seconds=0.1)
        async with lab(scale=SCALE, migration=migration) as it:
            _, goes = await pair(it)
            goes.type("root\r")
            await goes.expect("# ")
            before = time.monotonic()
            first, _ = await goes.run("cat /proc/uptime")
            goes.type("ping -i 0.05 -w 5 198.18.0.1\r")
            await goes.expect(REPLY)
            await move(goes)
            assert " 0% packet loss" in await goes.expect(END)
            last, _ = await goes.run("cat /proc/uptime")
            passed = (time.monotonic() - before) * SCALE
            assert float(last.split()[0]) - float(first.split()[0]) <= passed - GAP + 0.1

    go(scenario())


def test_the_fault_queue_is_a_gap_without_a_loss(lab):
    async def scenario():
        async with lab(scale=SCALE, dialect="iputils") as it:
            stays, _ = await pair(it, faults=[FaultSpec(fault="queue", after_seconds=1.0)])
            output, status = await stays.run("ping -D -i 0.05 -c 80 198.18.0.2")
            assert status == 0
            ((length, lost),) = gaps(output)
            assert 1.15 <= length <= 1.3
            assert lost == 0
            assert " 0% packet loss" in output
            assert max(rtt for _, rtt in replies(output)) > 1.1

    go(scenario())


#: A way that takes longer than the gap: all that the gap meets was sent before it began.
WAY_NS, SHORT_GAP, EVERY = 500_000_000, 0.3, 0.05


@pytest.mark.parametrize("pings", ["the guest that stays", "the guest that goes"])
def test_a_gap_loses_what_arrives_in_it_whenever_it_was_sent(lab, pings):
    async def number(console):
        return int((await console.expect(r"icmp_seq=\d+ ttl")).rpartition("=")[2].split()[0])

    async def scenario():
        migration = MigrationSpec(preparation_gap_seconds=SHORT_GAP)
        async with lab(scale=SCALE, dialect="iputils", migration=migration, latency_ns=WAY_NS) as it:
            stays, goes = await pair(it)
            goes.type("root\r")
            await goes.expect("# ")
            console, address = (stays, 2) if pings == "the guest that stays" else (goes, 1)
            await console.run(f"ping -c 1 198.18.0.{address}")
            console.type(f"ping -i {EVERY} -c 500 198.18.0.{address}\r")
            last = await number(console)
            await goes.guest.prepare_move("worker3")
            while (following := await number(console)) == last + 1:
                last = following
            assert abs(following - last - 1 - SHORT_GAP / EVERY) <= 1

    go(scenario())
