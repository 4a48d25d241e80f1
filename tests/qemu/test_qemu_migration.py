"""Real guests that migrate, driven directly through the hypervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from pcap import ECHO_REPLY, ECHO_REQUEST, frames, gaps, pings
from test_qemu_guests import NETWORK, PATIENCE_SECONDS, booted, hypervisor, request

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.labserver import LabSetupError, run
from pytest_kvlatency.lab.spec.labspec import LabSpec, LinkSpec, MigrationSpec, NetworkSpec

pytestmark = pytest.mark.qemu

TARGET_MAC = bytes.fromhex("020000000102")
RARP = b"\x80\x35"
MOST_MIGRATIONS = 20
ENDLESS = MigrationSpec(downtime_seconds=600, seconds=0)


def machines(guest):
    """The process ids of a guest's QEMUs."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"guest=default/{guest.request.name}".encode() in words and os.fsencode(
            f"{guest.request.uid}.cpio"
        ) in b" ".join(words):
            yield int(entry.parent.name)


async def answers(console):
    """Wait until the guest's shell says what it was told before it migrated."""
    said, _ = await console.run("echo $kept")
    return said.split()[-1]


def test_a_migration_keeps_memory_shell_and_ping_and_its_gaps_are_those_of_the_lab_file(tmp_path):
    capture = tmp_path / "blue.pcap"
    spec = {
        "networks": (NetworkSpec(name=NETWORK, capture=str(capture)),),
        "links": (LinkSpec(between=("worker1", "worker3"), overrides={"latency_ns": 20_000_000}),),
        "migration": MigrationSpec(preparation_gap_seconds=2, downtime_seconds=0.7, seconds=1),
    }

    async def scenario():
        async with hypervisor(tmp_path / "lab", **spec) as made:
            one, two = await booted(made, request(1), request(2))
            await two.run("kept=whole")
            await two.run("ping -i 0.2 127.1 >/tmp/p 2>&1 & :")
            one.guest.write(b"ping -i 0.05 198.18.0.2\n")
            await one.expect("seq=10 ")
            (before,) = machines(two.guest)
            move = await two.guest.prepare_move("worker3")
            assert len(list(machines(two.guest))) == 2
            await move.run()
            (after,) = machines(two.guest)
            assert after == two.guest.pid != before
            await one.expect("seq=(?:.*\n){20}")
            one.guest.write(b"\x03")
            await one.expect(r"round-trip ")
            assert await answers(two) == "whole"
            await two.run("n=$(wc -l </tmp/p)")
            await two.run("until [ $(wc -l </tmp/p) -gt $n ]; do :; done")
            said, _ = await one.run("ping -c 3 -i 0.1 198.18.0.2")
            assert "time=4" in said
            await move.cancel()
            with pytest.raises(HypervisorError, match="over"):
                await move.run()
        assert list((tmp_path / "lab").iterdir()) == []

    asyncio.run(scenario())
    announced = [frame for _, frame in frames(capture) if frame[12:14] == RARP]
    assert announced
    assert {frame[6:12] for frame in announced} == {TARGET_MAC}
    _, pinging, _ = next(pings(capture, ECHO_REQUEST))
    (preparation, began), (downtime, later) = gaps(capture, pinging)[:2]
    # What a busy machine does makes each of them longer only.
    assert 2.0 <= preparation / 1e9 < 5.0
    assert 0.7 <= downtime / 1e9 < 2.0
    assert began < later


def test_a_migration_that_is_cancelled_or_fails_leaves_the_guest_where_it_was(tmp_path):
    async def scenario():
        async with hypervisor(tmp_path, migration=ENDLESS) as made:
            (two,) = await booted(made, request(2))
            guest = two.guest
            await two.run("kept=whole")
            (pid,) = machines(guest)
            with pytest.raises(HypervisorError, match="not running"):
                await made.create(request(3)).prepare_move("worker3")

            unused = await guest.prepare_move("worker3")
            with pytest.raises(HypervisorError, match="already"):
                await guest.prepare_move("worker3")
            await unused.cancel()
            assert list(machines(guest)) == [pid]

            move = await guest.prepare_move("worker3")
            running = asyncio.ensure_future(move.run())
            await paused(guest, move)
            guest.write(b"kept=$kept-typed\n")
            await move.cancel()
            with pytest.raises(HypervisorError, match="cancelled"):
                await running
            assert list(machines(guest)) == [pid]
            assert await answers(two) == "whole-typed"

            move = await guest.prepare_move("worker3")
            running = asyncio.ensure_future(move.run())
            await paused(guest, move)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await answers(two) == "whole-typed"

            move = await guest.prepare_move("worker3")
            running = asyncio.ensure_future(move.run())
            await paused(guest, move)
            (target,) = set(machines(guest)) - {pid}
            os.kill(target, signal.SIGKILL)
            with pytest.raises(HypervisorError, match="the target's QEMU ended"):
                await running
            assert await answers(two) == "whole-typed"
            assert list(machines(guest)) == [pid]

            move = await guest.prepare_move("worker3")
            running = asyncio.ensure_future(move.run())
            await paused(guest, move)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(HypervisorError, match="the guest ended"):
                await running
            ending = await asyncio.wait_for(guest.wait_exit(), PATIENCE_SECONDS)
            assert ending.how == "crash"
            assert list(machines(guest)) == []
            assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("ends", ["kill", "close"])
def test_a_guest_that_ends_in_mid_migration_leaves_nothing(tmp_path, ends):
    async def scenario():
        async with hypervisor(tmp_path, migration=ENDLESS) as made:
            guest = made.create(request(2))
            await guest.start()
            move = await guest.prepare_move("worker3")
            running = asyncio.ensure_future(move.run())
            await paused(guest, move)
            assert len(list(machines(guest))) == 2
            await (guest.kill() if ends == "kill" else made.close())
            assert list(machines(guest)) == []
            with pytest.raises(HypervisorError):
                await running
            assert (await guest.wait_exit()).how == "stopped"
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


async def paused(guest, move):
    """Wait until the guest stands still, in the middle of the switch-over."""

    async def ask():
        while not guest.is_paused:
            assert not move.over
            await asyncio.sleep(0.01)

    await asyncio.wait_for(ask(), PATIENCE_SECONDS)


@pytest.mark.steady
def test_a_downtime_of_500_ms_more_makes_the_gap_of_the_switch_over_500_ms_longer(tmp_path):
    async def switchover(name, downtime_seconds, *, is_settled):
        """The shortest gap that the switch saw at migrations, and the interval at which the peer pinged.

        The shortest: what a busy machine does makes a gap longer only. Guests migrate until it ``is_settled``.
        """
        capture = tmp_path / f"{name}.pcap"
        networks = (NetworkSpec(name=NETWORK, capture=str(capture)),)
        migration = MigrationSpec(downtime_seconds=downtime_seconds, seconds=0.5)
        found = []
        async with hypervisor(tmp_path / name, networks=networks, migration=migration) as made:
            one, two = await booted(made, request(1), request(2))
            one.guest.write(b"ping -i 0.01 198.18.0.2\n")
            await one.expect("seq=10 ")
            while len(found) < MOST_MIGRATIONS and not is_settled(found):
                move = await two.guest.prepare_move(f"worker{3 - len(found) % 2}")
                begun = time.time_ns()
                await move.run()
                one.text = ""
                await one.expect("seq=(?:.*\n){20}")
                found.append(max(length for length, when in gaps(capture) if when >= begun))
        sent = [when for when, _, _ in pings(capture, ECHO_REQUEST)]
        return min(found), (sent[-1] - sent[0]) / (len(sent) - 1)

    async def scenario():
        short, interval = await switchover("short", 0, is_settled=lambda found: len(found) == 8)
        expected = short + 500_000_000
        long, _ = await switchover(
            "long", 0.5, is_settled=lambda found: found and min(found) <= expected + interval
        )
        assert long == pytest.approx(expected, abs=interval)

    asyncio.run(scenario())


def test_a_capture_that_cannot_be_written_stops_the_lab_before_any_guest(tmp_path):
    spec = LabSpec(networks=(NetworkSpec(name=NETWORK, capture=str(tmp_path / "missing" / "b.pcap")),))
    starting = run(spec, tmp_path, lambda _info: None, asyncio.Event())
    with pytest.raises(LabSetupError, match=r"cannot write .*/missing/b\.pcap: No such file or directory"):
        asyncio.run(starting)


LAB = """
guests: qemu
networks: {default/blue-network: {capture: blue.pcap}}
migration: {preparation_gap: 2s, downtime: 500ms}
"""


@pytest.mark.steady
def test_the_gaps_of_a_live_migration_are_those_that_the_switch_saw(measured, tmp_path):
    (measurement,) = measured(LAB, "--kv-nodes", "worker1:worker2>worker3", "--kv-max-gap", "5s")
    migration, interval = measurement["migration"], measurement["gapResolutionNanoSec"]
    preparation, switchover = migration["preparationGap"], migration["switchoverGap"]
    assert (migration["sourceNode"], migration["targetNode"]) == ("worker2", "worker3")
    assert measurement["longestGap"] == preparation
    assert preparation["nanoSec"] + interval >= 2_000_000_000
    assert 500_000_000 <= switchover["nanoSec"] + interval < 2_000_000_000

    # Warming up is a ping, too: the sample is the one with the most requests.
    capture = tmp_path / "blue.pcap"
    owners = Counter(owner for _, owner, _ in pings(capture, ECHO_REQUEST))
    (sample, _sent), *_ = owners.most_common()
    requests = {number: when for when, owner, number in pings(capture, ECHO_REQUEST) if owner == sample}
    replies = {when: number for when, owner, number in pings(capture, ECHO_REPLY) if owner == sample}
    seen = gaps(capture, sample)
    first = seen[0][1] - preparation["beginsNanoSec"]
    for told in (preparation, switchover):
        length, began = min(seen, key=lambda gap: abs(gap[1] - first - told["beginsNanoSec"]))
        before = measurement["repliesNanoSec"].index(told["beginsNanoSec"])
        # What a busy guest makes of the round trips on both sides of the gap is in its times only.
        own = [
            measurement["samplesNanoSec"][index] - (when - requests[replies[when]])
            for index, when in ((before, began), (before + 1, began + length))
        ]
        assert abs(length - told["nanoSec"]) <= interval + max(own), (told, seen[:5], own, interval)
