"""Live migrations: their phases, what the VMI and its pods say meanwhile, and what becomes of the guest."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
from labtools import TIMEOUT, condition, lab
from test_lab_guests_sim import PROMPT, Dialogue, guest

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.kubevirt.api import MIGRATIONS, PODS
from pytest_kvlatency.lab.spec.file import load

PHASES = [
    "Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded",
]  # fmt: skip


def play(work):
    asyncio.run(asyncio.wait_for(work, 2 * TIMEOUT))


@contextlib.asynccontextmanager
async def sim_lab(directory, text):
    spec = load(text, "lab.yaml")
    hypervisor = SimHypervisor(spec=spec, links=LinkTable(spec), directory=directory)
    await hypervisor.open()
    async with lab(directory, text, hypervisor=hypervisor) as running:
        yield running


def migration(vmi, name="move", **spec):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": name},
        "spec": {"vmiName": vmi, **spec},
    }


def hosts(*nodes):
    return {"addedNodeSelector": {"kubernetes.io/hostname": nodes[0]}}


async def migrate(running, vmi, name="move", **spec):
    return await running.api.create(MIGRATIONS, "default", migration(vmi, name, **spec))


async def until_phase(running, wanted, name="move"):
    """Wait until the migration is in one of these phases; return it."""

    async def watch():
        async for event in running.api.watch(MIGRATIONS):
            one = event.object
            if one["metadata"]["name"] == name and (one.get("status") or {}).get("phase") in wanted:
                return one
        return None

    return await asyncio.wait_for(watch(), TIMEOUT)


def phases(one):
    return [item["phase"] for item in one["status"]["phaseTransitionTimestamps"]]


def test_a_migration_goes_through_kubevirts_phases_and_takes_the_guest_along(tmp_path):
    async def story():
        async with sim_lab(tmp_path, "{guests: sim, seed: 1}") as running:
            await running.running("a", **guest(1), **_away("worker1"))
            before = await running.running("b", **guest(2), **_away("worker2", "worker3"))
            source = before["status"]["nodeName"]
            assert condition(before, "LiveMigratable")["status"] == "True"
            assert before["status"]["migrationMethod"] == "BlockMigration"
            target = {"worker2": "worker3", "worker3": "worker2"}[source]
            async with running.console("b") as socket:
                dialogue = Dialogue(socket)
                await dialogue.send("\n")
                await dialogue.expect(rb"login: ")
                await dialogue.send("root\n")
                await dialogue.expect(PROMPT)
                await dialogue.send("survives=yes\n")
                await dialogue.expect(PROMPT)
                await migrate(running, "b", **hosts(target))
                ended = await until_phase(running, ("Succeeded", "Failed"))
                assert phases(ended) == PHASES
                assert (await asyncio.wait_for(_end_of(socket), TIMEOUT)) is None
            after = await running.until("b", _ready)
            state = after["status"]["migrationState"]
            assert (after["status"]["nodeName"], after["status"]["phase"]) == (target, "Running")
            assert state["migrationUid"] == ended["metadata"]["uid"]
            assert (state["sourceNode"], state["targetNode"], state["mode"]) == (source, target, "PreCopy")
            assert state["completed"] is True
            assert "failed" not in state
            assert list(after["status"]["activePods"].values()) == [target]
            pods = [
                pod
                for pod in await running.api.list(PODS)
                if pod["metadata"]["name"].startswith("virt-launcher-b")
            ]
            assert sorted((pod["spec"]["nodeName"], pod["status"]["phase"]) for pod in pods) == sorted(
                [(source, "Succeeded"), (target, "Running")]
            )
            async with _reopened(running, "b") as socket:
                dialogue = Dialogue(socket)
                await dialogue.send("echo survives=$survives\n")
                await dialogue.expect(rb"survives=yes\r\n")

    play(story())


@contextlib.asynccontextmanager
async def _reopened(running, name):
    """Open a console as soon as it can be opened; until then the answer is 500."""
    async with contextlib.AsyncExitStack() as stack:
        while True:
            try:
                socket = await stack.enter_async_context(running.console(name))
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 500:
                    raise
                await asyncio.sleep(0.05)
            else:
                break
        yield socket


def _ready(vmi):
    return vmi is not None and condition(vmi, "Ready")["status"] == "True"


async def _end_of(socket):
    while (message := await socket.receive()).data is not None:
        assert message.type.name in ("BINARY", "CLOSED", "CLOSING"), message


def _away(*nodes):
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*nodes]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}
