"""Live migrations: their phases, what the VMI and its pods say meanwhile, and what becomes of the guest."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import aiohttp
import pytest
from labtools import TIMEOUT, PlayedMove, condition, lab, pinned
from test_lab_console import PATH, eof
from test_lab_guests_sim import PROMPT, Dialogue, guest

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.kubevirt import migrationrun
from pytest_kvlatency.lab.kubevirt.api import EVENTS, MIGRATIONS, NODES, PODS, VMIS
from pytest_kvlatency.lab.spec.file import load

#: A migration takes no longer than it must.
FAST = "migration: {duration: 100ms}"
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


def to(node):
    return {"addedNodeSelector": {"kubernetes.io/hostname": node}}


def between(*nodes):
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*nodes]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


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
            await running.running("a", **guest(1), **between("worker1"))
            before = await running.running("b", **guest(2), **between("worker2", "worker3"))
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
                await migrate(running, "b", **to(target))
                ended = await until_phase(running, ("Succeeded", "Failed"))
                assert phases(ended) == PHASES
                await asyncio.wait_for(eof(socket), TIMEOUT)
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


async def until_gone(running, name="move"):
    async def gone():
        while await running.api.get(MIGRATIONS, "default", name) is not None:  # noqa: ASYNC110 (it polls)
            await asyncio.sleep(0.02)

    await asyncio.wait_for(gone(), TIMEOUT)


async def launcher_pods(running, name="a"):
    """Node and phase of each pod of a VMI."""
    pods = await running.api.list(PODS)
    return sorted(
        (pod["spec"].get("nodeName", ""), pod["status"]["phase"])
        for pod in pods
        if pod["metadata"]["labels"]["vm.kubevirt.io/name"] == name
    )


async def until_state(running, name="move"):
    """Wait until a migration that has ended says what became of it."""

    async def watch():
        async for event in running.api.watch(MIGRATIONS):
            state = (event.object.get("status") or {}).get("migrationState")
            if event.object["metadata"]["name"] == name and state:
                return state
        return None

    return await asyncio.wait_for(watch(), TIMEOUT)


def test_a_migration_that_fails_leaves_the_guest_where_it_is_and_says_why_a_moment_later(tmp_path):
    async def story():
        text = f"{{faults: [{{fault: migration-fails, node: worker2, message: no luck}}], {FAST}}}"
        async with lab(tmp_path, text) as running:
            await running.running("a", **between("worker1", "worker2"))
            await migrate(running, "a", **to("worker2"))
            failed = await until_phase(running, ("Failed",))
            assert phases(failed)[-2:] == ["Running", "Failed"]
            assert "migrationState" not in failed["status"]
            state = await until_state(running)
            assert (state["failed"], state["completed"], state["failureReason"]) == (True, True, "no luck")
            vmi = await running.api.get(VMIS, "default", "a")
            assert (vmi["status"]["nodeName"], vmi["status"]["phase"]) == ("worker1", "Running")
            assert condition(vmi, "Ready")["status"] == "True"
            assert vmi["status"]["migrationState"]["failureReason"] == "no luck"
            assert running.hypervisor.guests["a"].events == ["start", "prepare worker2", "cancel"]
            assert await launcher_pods(running) == [("worker1", "Running")]
            # The next one begins anew.
            await migrate(running, "a", "again", **to("worker3"))
            await until_phase(running, ("Scheduling",), "again")

    play(story())


@pytest.mark.parametrize("when", ["Pending", "Scheduling", "Running"])
def test_a_migration_that_is_deleted_is_aborted_and_gone(tmp_path, when):
    faults = {
        "Pending": "{fault: migration-pending}",
        "Scheduling": "{fault: migration-unschedulable}",
        "Running": "{fault: migration-slow, after: 1h}",
    }

    async def story():
        async with lab(tmp_path, f"{{faults: [{faults[when]}], {FAST}}}") as running:
            await running.running("a")
            await migrate(running, "a")
            await until_phase(running, (when,))
            await running.api.delete(MIGRATIONS, "default", "move")
            await until_gone(running)
            assert await launcher_pods(running) == [("worker1", "Running")]
            vmi = await running.api.get(VMIS, "default", "a")
            state = vmi["status"].get("migrationState")
            if when == "Running":
                assert (state["abortStatus"], state["failed"]) == ("Succeeded", True)
            else:
                assert state is None

    play(story())


@pytest.mark.parametrize("how", ["no node left", "cordoned", "the same node", "pinned"])
def test_a_migration_to_nowhere_stays_scheduling_until_its_time_is_over(tmp_path, how):
    async def story():
        text = "migration: {duration: 100ms, pending_timeout: 500ms}"
        async with lab(tmp_path, text) as running:
            nodes = {"no node left": "worker1 worker2", "pinned": "worker1"}.get(
                how, "worker1 worker2 worker3"
            )
            await running.running("a", **between(*nodes.split()))
            if how in ("cordoned", "no node left"):
                await running.api.patch(NODES, "", "worker2", {"spec": {"unschedulable": True}})
            where = {"cordoned": to("worker2"), "the same node": to("worker1")}.get(how, {})
            await migrate(running, "a", **where)
            ended = await until_phase(running, ("Failed", "Succeeded"))
            assert phases(ended) == ["Pending", "Scheduling", "Failed"]
            events = {one["reason"]: one["message"] for one in await running.api.list(EVENTS)}
            assert "currently unschedulable" in events["migrationTargetPodUnschedulable"]
            assert "node(s) " in events["FailedScheduling"]
            assert await launcher_pods(running) == [("worker1", "Running")]

    play(story())


def test_the_target_pod_says_why_it_fits_nowhere(tmp_path):
    async def story():
        async with lab(tmp_path, FAST) as running:
            await running.running("a", **pinned("worker1"))
            await migrate(running, "a")
            await until_phase(running, ("Scheduling",))

            async def reason():
                while True:
                    for pod in await running.api.list(PODS):
                        for one in pod["status"].get("conditions") or []:
                            if one.get("reason") == "Unschedulable":
                                return pod["metadata"]["labels"], one["message"]
                    await asyncio.sleep(0.02)

            labels, message = await asyncio.wait_for(reason(), TIMEOUT)
            assert "kubevirt.io/migrationJobUID" in labels
            assert message.startswith(
                "0/3 nodes are available: 1 node(s) didn't match pod anti-affinity rules, "
                "2 node(s) didn't match Pod's node affinity/selector."
            )

    play(story())


def test_a_node_that_is_uncordoned_lets_a_migration_go_on(tmp_path):
    async def story():
        async with lab(tmp_path, FAST) as running:
            await running.api.patch(NODES, "", "worker2", {"spec": {"unschedulable": True}})
            await running.running("a", **between("worker1", "worker2"))
            await migrate(running, "a")
            await until_phase(running, ("Scheduling",))
            await running.api.patch(NODES, "", "worker2", {"spec": {"unschedulable": None}})
            await until_phase(running, ("Succeeded",))

    play(story())


def test_no_more_migrations_run_at_a_time_than_the_cluster_allows(tmp_path):
    async def story():
        text = (
            "{nodes: [worker1, worker2, worker3], faults: [{fault: migration-slow, after: 1h}], "
            "migration: {duration: 50ms, parallel: 3, parallel_outbound: 2}}"
        )
        async with lab(tmp_path, text) as running:
            for number, node in enumerate(("worker1", "worker1", "worker1", "worker2", "worker2")):
                await running.running(f"g{number}", **prefers(node))
                await migrate(running, f"g{number}", f"m{number}")
                await until_phase(
                    running, ("Running",) if number in (0, 1, 3) else ("Pending",), f"m{number}"
                )
            await running.api.delete(MIGRATIONS, "default", "m0")
            await until_phase(running, ("Running",), "m2")
            last = await running.api.get(MIGRATIONS, "default", "m4")
            assert last["status"]["phase"] == "Pending"

    play(story())


def prefers(node):
    """Start on ``node``, and migrate wherever there is room."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    preferred = [{"weight": 100, "preference": term}]
    return {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}


def test_a_vmi_that_is_deleted_in_mid_migration_takes_both_pods_and_the_migration_along(tmp_path):
    async def story():
        async with lab(tmp_path, f"{{faults: [{{fault: migration-slow, after: 1h}}], {FAST}}}") as running:
            await running.running("a")
            await migrate(running, "a")
            await until_phase(running, ("Running",))
            assert len(await launcher_pods(running)) == 2
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            await until_gone(running)
            assert await launcher_pods(running) == []
            assert running.hypervisor.guests["a"].events == ["start", "prepare worker2", "cancel", "kill"]

    play(story())


def test_a_migration_stays_after_it_succeeded_until_its_vmi_is_gone(tmp_path):
    async def story():
        async with lab(tmp_path, FAST) as running:
            await running.running("a")
            await migrate(running, "a")
            await until_state(running)
            assert await running.api.get(MIGRATIONS, "default", "move") is not None
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            await until_gone(running)

    play(story())


def test_a_guest_that_dies_in_mid_migration_fails_it(tmp_path):
    async def story():
        async with lab(tmp_path, f"{{faults: [{{fault: migration-slow, after: 1h}}], {FAST}}}") as running:
            await running.running("a")
            await migrate(running, "a")
            await until_phase(running, ("Running",))
            running.hypervisor.guests["a"].end("crash")
            await until_phase(running, ("Failed",))
            await running.until("a", lambda vmi: vmi and vmi["status"]["phase"] == "Failed")

    play(story())


def test_a_migration_lands_elsewhere_if_the_fault_says_so(tmp_path):
    async def story():
        async with lab(
            tmp_path, f"{{faults: [{{fault: migration-elsewhere, to: worker3}}], {FAST}}}"
        ) as running:
            await running.running("a")
            await migrate(running, "a", **to("worker2"))
            await until_phase(running, ("Succeeded",))
            vmi = await running.api.get(VMIS, "default", "a")
            assert vmi["status"]["nodeName"] == vmi["status"]["migrationState"]["targetNode"] == "worker3"

    play(story())


@pytest.mark.parametrize("gets_there", [False, True])
def test_a_migration_that_is_deleted_at_the_switch_over_is_what_the_hypervisor_makes_of_it(
    tmp_path, gets_there
):
    class LateMove(PlayedMove):
        async def run(self):
            self.told, self.runs = asyncio.Event(), True
            await self.told.wait()
            if not gets_there:
                raise HypervisorError("cancelled")

        async def cancel(self):
            if getattr(self, "runs", False):
                self.told.set()

    async def prepare(guest, node):
        return LateMove(guest)

    async def story():
        async with lab(tmp_path, FAST) as running:
            await running.running("a")
            running.hypervisor.guests["a"].prepare_move = partial(prepare, running.hypervisor.guests["a"])
            await migrate(running, "a")
            await until_phase(running, ("Running",))
            await running.api.delete(MIGRATIONS, "default", "move")
            await until_gone(running)
            vmi = await running.api.get(VMIS, "default", "a")
            assert vmi["status"]["nodeName"] == ("worker2" if gets_there else "worker1")
            assert vmi["status"]["migrationState"].get("failed", False) is not gets_there

    play(story())


def test_an_older_kubevirt_goes_by_the_affinity_alone(tmp_path):
    async def story():
        async with lab(tmp_path, f"{{kubevirt_version: v1.5.3, {FAST}}}") as running:
            await running.running("a")
            await migrate(running, "a", **to("worker3"))
            await until_phase(running, ("Succeeded",))
            assert (await running.api.get(VMIS, "default", "a"))["status"]["nodeName"] == "worker2"
            _, body = await running.get("/apis/subresources.kubevirt.io/v1/version")
            assert body["gitVersion"] == "v1.5.3"

    play(story())


def test_the_fault_migration_waits_for_a_migration_that_is_under_way(tmp_path):
    async def story():
        # The guest starts only at the second try: the first migration is there by then, and waits.
        faults = "{fault: migration, to: worker3}, {fault: sync-failed, times: 1}"
        async with lab(tmp_path, f"{{faults: [{faults}], {FAST}}}") as running:
            await running.create("a", **between("worker1", "worker2"))
            await migrate(running, "a")
            await running.until("a", lambda vmi: vmi and vmi["status"].get("nodeName") == "worker3")
            assert (await until_phase(running, ("Succeeded",)))["status"]["phase"] == "Succeeded"
            assert running.hypervisor.guests["a"].events == [
                "start", "prepare worker2", "move", "prepare worker3", "move",
            ]  # fmt: skip

    play(story())


def test_a_bridge_on_the_pod_network_is_not_migratable(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: not-migratable, vmi: b, message: a GPU}]") as running:
            vmi = await running.running("a", networks=[{"name": "net0", "pod": {}}])
            found = condition(vmi, "LiveMigratable")
            assert (found["status"], found["reason"]) == ("False", "InterfaceNotLiveMigratable")
            assert "migrationMethod" not in vmi["status"]
            found = condition(await running.running("b"), "LiveMigratable")
            assert (found["status"], found["message"]) == ("False", "a GPU")

    play(story())


def test_a_guest_that_has_moved_answers_500_on_its_console_at_first(tmp_path, monkeypatch):
    # However busy the machine is, it is asked in time.
    monkeypatch.setattr(migrationrun, "_CONSOLE_SECONDS", (600.0, 600.0))

    async def story():
        async with lab(tmp_path, FAST) as running:
            await running.running("a")
            async with running.console("a") as socket:
                await migrate(running, "a")
                await asyncio.wait_for(eof(socket), TIMEOUT)
            code, body = await running.get(PATH.format("a"))
            assert code == 500
            assert "failed opening virt-serial0" in body["message"]

    play(story())
