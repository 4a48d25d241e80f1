"""VMIs' lives, seen through the API of a real control plane."""

from __future__ import annotations

import asyncio

import pytest
from labtools import TIMEOUT, PlayedHypervisor, condition, lab, phase, pinned, vmi

from pytest_kvlatency.lab.kubevirt.api import EVENTS, KUBEVIRTS, NADS, NODES, PODS, VMIS


def play(work):
    asyncio.run(asyncio.wait_for(work, TIMEOUT))


async def event(running, reason):
    async for found in running.api.watch(EVENTS):
        if found.object["reason"] == reason:
            return found.object
    raise AssertionError(reason)


def test_the_cluster_before_the_first_vmi(tmp_path):
    async def story():
        async with lab(tmp_path, "nodes: [worker1, {name: worker2, unschedulable: true}]") as running:
            nodes = {node["metadata"]["name"]: node for node in await running.api.list(NODES)}
            assert sorted(nodes) == ["worker1", "worker2"]
            assert nodes["worker1"]["metadata"]["labels"]["kubernetes.io/hostname"] == "worker1"
            assert nodes["worker1"]["metadata"]["labels"]["kubevirt.io/schedulable"] == "true"
            assert nodes["worker1"]["status"]["nodeInfo"]["architecture"] == "amd64"
            assert nodes["worker2"]["spec"]["unschedulable"] is True
            (nad,) = await running.api.list(NADS)
            assert '"type": "bridge"' in nad["spec"]["config"]
            (kubevirt,) = await running.api.list(KUBEVIRTS)
            assert kubevirt["status"]["phase"] == "Deployed"
            assert kubevirt["status"]["observedKubeVirtVersion"].startswith("v1.")

    play(story())


def test_from_creation_to_running(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            vmi = await running.running("source", labels={"pair": "x"}, **pinned("worker2"))
            status = vmi["status"]
            assert status["nodeName"] == "worker2"
            assert [stamp["phase"] for stamp in status["phaseTransitionTimestamps"]] == [
                "Pending",
                "Scheduling",
                "Scheduled",
                "Running",
            ]
            assert vmi["metadata"]["finalizers"] == ["foregroundDeleteVirtualMachine"]
            assert condition(vmi, "Ready")["status"] == "True"
            assert condition(vmi, "LiveMigratable")["status"] == "True"
            (pod,) = await running.api.list(PODS)
            assert pod["metadata"]["name"].startswith("virt-launcher-source-")
            assert pod["metadata"]["labels"]["pair"] == "x"
            assert pod["metadata"]["ownerReferences"][0]["uid"] == vmi["metadata"]["uid"]
            assert pod["spec"]["nodeName"] == "worker2"
            assert pod["status"]["phase"] == "Running"
            request = running.hypervisor.guests["source"].request
            assert (request.node, request.hostname, request.memory_mib) == ("worker2", "source", 128)
            assert request.nics[0].network == "default/blue-network"
            assert request.nics[0].lease is None

    play(story())


def test_the_agents_addresses_come_into_the_status(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: vmi and condition(vmi, "AgentConnected"))
            (interface,) = vmi["status"]["interfaces"]
            assert interface["name"] == "net0"
            assert interface["ipAddress"] == "198.18.0.1"
            assert "guest-agent" in interface["infoSource"]
            assert vmi["status"]["guestOSInfo"]["name"]

    play(story())


@pytest.mark.parametrize("text", ["agent: false", "faults: [{fault: no-agent}]"])
def test_E22_without_an_agent_the_condition_is_absent_and_no_address_shows(tmp_path, text):
    async def story():
        async with lab(tmp_path, text) as running:
            vmi = await running.running("a")
            assert condition(vmi, "AgentConnected") is None
            assert "ipAddress" not in vmi["status"]["interfaces"][0]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(
                    running.until("a", lambda vmi: vmi and condition(vmi, "AgentConnected")), 0.3
                )

    play(story())


def test_E21_with_ipam_the_status_shows_the_cnis_address(tmp_path):
    text = "{agent: false, networks: {default/n: {ipam: 10.9.0.0/24, guest_mtu: 9000}}}"

    async def story():
        async with lab(tmp_path, text) as running:
            vmi = await running.running("a", network="n")
            assert vmi["status"]["interfaces"][0]["ipAddress"] == "10.9.0.2"
            nic = running.hypervisor.guests["a"].request.nics[0]
            assert (nic.lease, nic.mtu) == ("10.9.0.2/24", 9000)
            sriov = [{"name": "net0", "sriov": {}}]
            await running.running("b", network="default/n", devices={"interfaces": sriov})
            assert running.hypervisor.guests["b"].request.nics[0].lease is None

    play(story())


def test_E50_unschedulable_in_the_schedulers_words_until_the_node_is_uncordoned(tmp_path):
    async def story():
        async with lab(tmp_path, "nodes: [{name: worker1, unschedulable: true}]") as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: vmi and condition(vmi, "PodScheduled"))
            assert phase(vmi) == "Scheduling"
            found = condition(vmi, "PodScheduled")
            assert (found["status"], found["reason"]) == ("False", "Unschedulable")
            assert found["message"].startswith("0/1 nodes are available: 1 node(s) were unschedulable.")
            await running.api.patch(NODES, "", "worker1", {"spec": {"unschedulable": None}})
            vmi = await running.until("a", lambda vmi: vmi and phase(vmi) == "Running")
            assert condition(vmi, "PodScheduled") is None

    play(story())


def test_E50_a_freed_node_is_taken(tmp_path):
    anti = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"pair": "x"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [anti]}}

    async def story():
        async with lab(tmp_path, "nodes: 1") as running:
            await running.running("a", labels={"pair": "x"}, affinity=affinity)
            await running.create("b", labels={"pair": "x"}, affinity=affinity)
            vmi = await running.until("b", lambda vmi: vmi and condition(vmi, "PodScheduled"))
            assert "anti-affinity rules" in condition(vmi, "PodScheduled")["message"]
            await running.api.delete(VMIS, "default", "a")
            await running.until("b", lambda vmi: vmi and phase(vmi) == "Running")

    play(story())


def test_E50_the_fault_unschedulable(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: unschedulable, vmi: a*, node: worker1}]") as running:
            await running.create("a1", **pinned("worker1"))
            await running.until("a1", lambda vmi: vmi and condition(vmi, "PodScheduled"))
            await running.running("a2", **pinned("worker2"))

    play(story())


def pull_of(vmi):
    found = condition(vmi, "Synchronized") if vmi else None
    return "" if found is None else found["reason"]


def test_E51_an_image_that_cannot_be_pulled(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: image-pull}]") as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: pull_of(vmi) == "ErrImagePull")
            assert "example.invalid/guest" in condition(vmi, "Synchronized")["message"]
            vmi = await running.until("a", lambda vmi: pull_of(vmi) == "ImagePullBackOff")
            assert condition(vmi, "Synchronized")["message"].startswith("Back-off pulling image")
            assert phase(vmi) == "Scheduling"

    play(story())


def test_E85_a_pull_backs_off_between_its_tries_and_may_heal(tmp_path):
    text = "faults: [{fault: image-pull, times: 2, back_off: 300ms}]"

    async def story():
        async with lab(tmp_path, text) as running:
            seen = []
            await running.create("a")
            await running.until("a", lambda vmi: seen.append(pull_of(vmi)) or phase(vmi or {}) == "Running")
            kept = [one for number, one in enumerate(seen) if one and one != seen[number - 1]]
            assert kept == ["ErrImagePull", "ImagePullBackOff"] * 2

    play(story())


def test_E86_the_fault_sync_failed(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: sync-failed, message: server error}]") as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: vmi and condition(vmi, "Synchronized"))
            found = condition(vmi, "Synchronized")
            words = ("Synchronizing with the Domain failed.", "server error", "Scheduled")
            assert (found["reason"], found["message"], phase(vmi)) == words

    play(story())


def test_E52_the_pod_is_refused(tmp_path):
    text = "faults: [{fault: pod-refused, message: violates PodSecurity}]"

    async def story():
        async with lab(tmp_path, text) as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: vmi and condition(vmi, "Synchronized"))
            found = condition(vmi, "Synchronized")
            assert (found["reason"], phase(vmi)) == ("FailedCreate", "Pending")
            assert found["message"].startswith("failed to create virtual machine pod: ")
            assert "violates PodSecurity" in found["message"]

    play(story())


def test_E24_an_unknown_nad_shows_in_pod_events_only(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.create("a", network="default/no-such-network")
            found = await event(running, "FailedCreatePodSandBox")
            assert "cannot find a network-attachment-definition (no-such-network)" in found["message"]
            assert found["involvedObject"]["kind"] == "Pod"
            assert phase(await running.api.get(VMIS, "default", "a")) == "Scheduling"

    play(story())


def test_the_fault_sandbox_failed(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: sandbox-failed, times: 1}]") as running:
            await running.create("a")
            assert "Link not found" in (await event(running, "FailedCreatePodSandBox"))["message"]
            await running.until("a", lambda vmi: vmi and phase(vmi) == "Running")

    play(story())


@pytest.mark.parametrize(("how", "final"), [("poweroff", "Succeeded"), ("crash", "Failed")])
def test_E55_a_guest_that_ends(tmp_path, how, final):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            running.hypervisor.guests["a"].end(how)
            vmi = await running.until("a", lambda vmi: vmi and phase(vmi) == final)
            assert condition(vmi, "Ready")["status"] == "False"
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            assert await running.api.list(PODS) == []

    play(story())


@pytest.mark.parametrize("fault", ["vmi-failed", "guest-crash"])
def test_E55_faults_that_end_a_vmi(tmp_path, fault):
    async def story():
        async with lab(tmp_path, f"faults: [{{fault: {fault}, vmi: a, after: 50ms}}]") as running:
            await running.running("a")
            await running.until("a", lambda vmi: vmi and phase(vmi) == "Failed")

    play(story())


def test_E55_somebody_deletes_the_vmi(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: vmi-deleted, after: 50ms}]") as running:
            await running.running("a")
            await running.until("a", lambda vmi: vmi is None)

    play(story())


def test_E55_somebody_deletes_the_pod(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            (pod,) = await running.api.list(PODS)
            await running.api.delete(PODS, "default", pod["metadata"]["name"])
            await running.until("a", lambda vmi: vmi and phase(vmi) == "Failed")

    play(story())


def test_E39_a_migration_changes_the_node_name(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: migration, to: worker3, after: 50ms}]") as running:
            await running.running("a", **pinned("worker1"))
            await running.until("a", lambda vmi: vmi and vmi["status"]["nodeName"] == "worker3")
            assert running.hypervisor.guests["a"].events == ["start", "prepare worker3", "move"]

    play(story())


def test_deletion_without_grace_kills(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            assert running.hypervisor.guests["a"].events == ["start", "kill"]
            assert await running.api.list(PODS) == []

    play(story())


@pytest.mark.parametrize("obeys", [True, False])
def test_deletion_with_grace_presses_the_button_first(tmp_path, obeys):
    async def story():
        async with lab(tmp_path, hypervisor=PlayedHypervisor(obeys_acpi=obeys)) as running:
            await running.running("a", terminationGracePeriodSeconds=1)
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            expected = ["start", "shutdown"] + ([] if obeys else ["kill"])
            assert running.hypervisor.guests["a"].events == expected

    play(story())


def test_E56_a_stuck_deletion(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: stuck-deletion, vmi: a}]") as running:
            await running.running("a")
            await running.api.delete(VMIS, "default", "a")
            vmi = await running.until("a", lambda vmi: vmi and vmi["metadata"].get("deletionTimestamp"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(running.until("a", lambda vmi: vmi is None), 0.3)
            assert vmi["metadata"]["finalizers"]

    play(story())


def test_deletion_before_the_guest_exists(tmp_path):
    async def story():
        async with lab(tmp_path, "nodes: [{name: worker1, unschedulable: true}]") as running:
            await running.create("a")
            await running.until("a", lambda vmi: vmi and condition(vmi, "PodScheduled"))
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            assert await running.api.list(PODS) == []

    play(story())


def test_a_name_can_be_used_again_at_once(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            first = await running.running("a")
            await running.api.delete(VMIS, "default", "a")
            await running.until("a", lambda vmi: vmi is None)
            second = await running.running("a")
            assert first["metadata"]["uid"] != second["metadata"]["uid"]

    play(story())


def test_a_hypervisor_that_cannot_start_a_guest(tmp_path):
    async def story():
        async with lab(tmp_path, hypervisor=PlayedHypervisor(broken="no memory")) as running:
            await running.create("a")
            vmi = await running.until("a", lambda vmi: vmi and phase(vmi) == "Failed")
            assert condition(vmi, "Synchronized")["message"] == "no memory"

    play(story())


def test_E37_software_emulation_is_no_condition_as_in_kubevirt(tmp_path):
    async def story():
        async with lab(tmp_path, "accelerator: tcg") as running:
            assert condition(await running.running("a"), "SoftwareEmulation") is None

    play(story())


def test_guest_faults_reach_the_guest(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: silent, vmi: a, times: 1}]") as running:
            await running.running("a")
            await running.running("b")
            guests = running.hypervisor.guests
            assert [fault.fault for fault in guests["a"].request.faults] == ["silent"]
            assert guests["b"].request.faults == ()

    play(story())


def test_the_boot_log_is_in_the_pods_log(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            running.hypervisor.guests["a"].say(b"Linux version 6\n")
            (pod,) = await running.api.list(PODS)
            log = running.half.pod_log
            assert await log("default", pod["metadata"]["name"], "guest-console-log") == b"Linux version 6\n"
            assert await log("default", "other", "compute") is None

    play(story())


def test_many_vmis_at_once_are_spread(tmp_path):
    async def story():
        async with lab(tmp_path, "nodes: 5") as running:
            await asyncio.gather(*(running.create(f"v{number}") for number in range(20)))
            for number in range(20):
                await running.until(f"v{number}", lambda vmi: vmi and phase(vmi) == "Running")
            placed = [vmi["status"]["nodeName"] for vmi in await running.api.list(VMIS)]
            assert sorted(placed.count(node) for node in set(placed)) == [4] * 5

    play(story())


def test_E53_without_kubevirt_the_lab_runs_all_the_same(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: kubevirt-missing}, {fault: nad-api-missing}]") as running:
            assert (await running.get("/apis/kubevirt.io/v1/virtualmachineinstances"))[0] == 404
            assert len(await running.api.list(NODES)) == 3

    play(story())


def test_an_unregistered_binding_plugin_is_refused_as_the_virt_controller_does(tmp_path):
    async def story():
        async with lab(tmp_path, "bindings: [l2bridge]") as running:
            known = vmi("known")
            known["spec"]["domain"]["devices"]["interfaces"] = [
                {"name": "net0", "binding": {"name": "l2bridge"}}
            ]
            unknown = vmi("unknown")
            unknown["spec"]["domain"]["devices"]["interfaces"] = [
                {"name": "net0", "binding": {"name": "other"}}
            ]
            for one in (known, unknown):
                await running.api.create(VMIS, "default", one)
            await running.until("known", lambda seen: seen and phase(seen) == "Running")
            refused = await running.until("unknown", lambda seen: seen and condition(seen, "Synchronized"))
            assert refused["status"]["phase"] == "Pending"
            reason = condition(refused, "Synchronized")
            assert (reason["status"], reason["reason"], reason["message"]) == (
                "False",
                "FailedCreate",
                "failed to render launch manifest: couldn't find configuration for network binding: other",
            )
            (kubevirt,) = await running.api.list(KUBEVIRTS)
            assert list(kubevirt["spec"]["configuration"]["network"]["binding"]) == ["l2bridge"]

    play(story())


def test_a_deletion_takes_as_long_as_the_lab_file_says(tmp_path):
    async def story():
        async with lab(tmp_path, "deletion: 1h") as running:
            made = await running.running("a")
            await running.api.delete(VMIS, "default", "a", made["metadata"]["uid"])
            ended = await running.until("a", lambda seen: seen and phase(seen) == "Succeeded")
            assert ended["metadata"]["deletionTimestamp"]
            assert len(await running.api.list(PODS)) == 1

    play(story())
