"""Programs that exist must work against the lab: the Go latency checkup and virtctl, request by request.

What they send and what they look for was read in their sources (kiagnose's ``kubevirt-vm-latency``, KubeVirt's
``kubecli`` and ``virtctl``); only their waits are shorter here.
"""

from __future__ import annotations

import asyncio
import re

import pytest
from goclients import JSON_FIRST, PROTOBUF_FIRST, Rest, StatusError
from labtools import TIMEOUT, condition, lab, pinned, vmi

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.qemu.hypervisor import QemuHypervisor
from pytest_kvlatency.lab.guests.qemu.setup import usable
from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor
from pytest_kvlatency.lab.spec.file import load

TEXT = "{guests: sim, seed: 1, networks: {default/blue-network: {latency: 2ms}}}"
PROMPT = r"(\$ |\# )"
CORE = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
VMIS = "/apis/kubevirt.io/{}/namespaces/default/virtualmachineinstances"
NADS = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions"
IMAGE = (
    "quay.io/kubevirtci/alpine-with-test-tooling-container-disk"
    "@sha256:a40c4a7bb9644098740ad5f8aa64040b0a64bb84cc4e3b42d633bb752ab4b9ce"
)
RULES = [
    {"apiGroups": ["kubevirt.io"], "resources": ["virtualmachineinstances"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": ["subresources.kubevirt.io"], "resources": ["virtualmachineinstances/console"], "verbs": ["get"]},
    {"apiGroups": ["k8s.cni.cncf.io"], "resources": ["network-attachment-definitions"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "update"]},
]  # fmt: skip
STATISTICS = r"(\d+)\s*\S*packets\s*transmitted,\s*(\d+)\s*(packets )?received,\s*(\d+)%\s*packet\s*loss(, time (\d+))?"
ROUND_TRIPS = r"(round-trip|rtt)\s+\S+\s*=\s*([0-9.]+)/([0-9.]+)/([0-9.]+)(/[0-9.]+)?\s*ms"


async def installed(admin):
    """Create what the checkup's installation consists of; return its token, its ConfigMap and its pod."""
    account = {"metadata": {"name": "vm-latency-checkup-sa"}}
    await admin("POST", f"{CORE}/serviceaccounts", account)
    await admin("POST", f"{RBAC}/roles", {"metadata": {"name": "checker"}, "rules": RULES})
    binding = {
        "metadata": {"name": "checker"},
        "subjects": [{"kind": "ServiceAccount", "name": "vm-latency-checkup-sa", "namespace": "default"}],
        "roleRef": {"kind": "Role", "name": "checker", "apiGroup": "rbac.authorization.k8s.io"},
    }
    await admin("POST", f"{RBAC}/rolebindings", binding)
    params = {
        "spec.timeout": "5m",
        "spec.param.networkAttachmentDefinitionNamespace": "default",
        "spec.param.networkAttachmentDefinitionName": "blue-network",
        "spec.param.maxDesiredLatencyMilliseconds": "1000",
    }
    config = await admin("POST", f"{CORE}/configmaps", {"metadata": {"name": "checkup"}, "data": params})
    pod = {"metadata": {"name": "checkup"}, "spec": {"containers": [{"name": "checkup", "image": "x"}]}}
    pod = await admin("POST", f"{CORE}/pods", pod)
    token = await admin("POST", f"{CORE}/serviceaccounts/vm-latency-checkup-sa/token", {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": None}, "spec": {"audiences": None, "expirationSeconds": None, "boundObjectRef": None},
        "status": {"token": "", "expirationTimestamp": None},
    })  # fmt: skip
    return token["status"]["token"], config, pod


def go_vmi(name, number, uid, pod, affinity, version="v1"):
    """The object as Go writes it: no user data, and each struct that has no ``omitempty``."""
    mac = f"02:00:00:00:00:a{number}"
    network_data = (
        f"ethernets:\n  net0:\n    addresses:\n    - 192.168.100.{number}0/24\n    match:\n      macaddress: {mac}\n"
        "    nameservers: {}\n    set-name: net0\nversion: 2\n"
    )
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }
    return {
        "kind": "VirtualMachineInstance",
        "apiVersion": f"kubevirt.io/{version}",
        "metadata": {
            "name": name,
            "creationTimestamp": None,
            "labels": {"latency-check/uid": uid},
            "ownerReferences": [owner],
        },
        "spec": {
            "domain": {
                "resources": {"requests": {"memory": "128Mi"}},
                "devices": {
                    "disks": [{"name": name, "disk": {"bus": "virtio"}} for name in ("disk0", "cloudinit")],
                    "interfaces": [{"name": "net0", "bridge": {}, "macAddress": mac}],
                    "rng": {},
                },
            },
            **affinity,
            "terminationGracePeriodSeconds": 5,
            "volumes": [
                {"name": "disk0", "containerDisk": {"image": IMAGE}},
                {"name": "cloudinit", "cloudInitNoCloud": {"networkData": network_data}},
            ],
            "networks": [{"name": "net0", "multus": {"networkName": "default/blue-network"}}],
        },
        "status": {"guestOSInfo": {}, "runtimeUser": 0},
    }


async def refused(request):
    """Return the error by which a request is refused, None for one that is not."""
    try:
        await request
    except StatusError as error:
        return error
    return None


async def agent_connected(rest, path):
    while True:
        found = await rest("GET", path)
        connected = condition(found, "AgentConnected")
        if connected is not None and connected["status"] == "True":
            return found
        await asyncio.sleep(0.2)


async def log_in(rest, name, version):
    expecter = await rest.console("default", name, version)
    expecter.send("\n")
    expecter.send("\n")
    with pytest.raises(asyncio.TimeoutError):
        await expecter.expect(rf"(localhost|{name}):~\# ", 1)
    expecter.send("\n")
    await expecter.expect(rf"(localhost|{name}) login: ", TIMEOUT)
    expecter.send("root\n")
    await expecter.expect(PROMPT, TIMEOUT)
    for command in ("stty cols 500 rows 500", "dmesg -n 1"):
        expecter.send(f"{command}\n")
        await expecter.expect(PROMPT, TIMEOUT)
        expecter.send("echo $?\n")
        await expecter.expect(f"\n0\r\n.*{PROMPT}", TIMEOUT)
    await expecter.close()


async def already_logged_in(rest, name, version):
    expecter = await rest.console("default", name, version)
    expecter.send("\n")
    expecter.send("\n")
    # Both prompts: the second one would be taken for the answer to what is typed next.
    prompt = rf"(localhost|{name}):~\# "
    await expecter.expect(rf"{prompt}(?s:.*){prompt}", TIMEOUT)
    await expecter.close()


async def run_command(rest, name, version, command):
    expecter = await rest.console("default", name, version)
    expecter.send("\n")
    await expecter.expect(rf"((?s:.*)){PROMPT}", TIMEOUT)
    expecter.send(f"{command}\n")
    output = await expecter.expect(rf"{re.escape(command)}((?s:.*)){PROMPT}", TIMEOUT)
    expecter.send("echo $?\n")
    await expecter.close()
    return output


def anti_affinity(uid):
    term = {
        "labelSelector": {
            "matchExpressions": [{"key": "latency-check/uid", "operator": "In", "values": [uid]}]
        },
        "topologyKey": "kubernetes.io/hostname",
    }
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"affinity": {"podAntiAffinity": required}}


async def checkup(rest, config, pod, *, pin, version="v1"):
    """The whole run; return what it writes into its ConfigMap."""
    uid, vmis = config["metadata"]["uid"], VMIS.format(version)
    read = await rest("GET", f"{CORE}/configmaps/checkup")
    assert "status.startTimestamp" not in read["data"]
    read["data"]["status.startTimestamp"] = "2026-01-01T00:00:00Z"
    await rest("PUT", f"{CORE}/configmaps/checkup", read)
    await rest("GET", f"{NADS}/blue-network")
    names = {1: "latency-check-source-x7k2p", 2: "latency-check-target-9qvwz"}
    for number, name in names.items():
        affinity = pinned(f"worker{number}") if pin else anti_affinity(uid)
        await rest("POST", vmis, go_vmi(name, number, uid, pod, affinity, version))
    target = await agent_connected(rest, f"{vmis}/{names[2]}")
    source = await agent_connected(rest, f"{vmis}/{names[1]}")
    assert source["status"]["nodeName"] != target["status"]["nodeName"]
    address = target["status"]["interfaces"][0]["ipAddress"]
    assert address == "192.168.100.20"
    await log_in(rest, names[1], version)
    await already_logged_in(rest, names[1], version)
    output = await run_command(rest, names[1], version, f"ping {address} -w 3")
    transmitted, received, _, loss, _, _ = re.findall(STATISTICS, output)[0]
    # -w counts seconds, and not packets: a guest that was not let run for one sends a packet less.
    assert transmitted in {"2", "3"}, output
    assert (received, loss) == (transmitted, "0"), output
    _, low, mean, high, _ = re.findall(ROUND_TRIPS, output)[0]
    assert 0 < float(low) <= float(mean) <= float(high)
    for name in names.values():
        await rest(
            "DELETE", f"{vmis}/{name}", {"kind": "DeleteOptions", "apiVersion": f"kubevirt.io/{version}"}
        )
    for name in names.values():
        while await refused(rest("GET", f"{vmis}/{name}")) is None:  # noqa: ASYNC110 (it polls)
            await asyncio.sleep(0.2)
        gone = await refused(rest("GET", f"{vmis}/{name}"))
        assert (gone.code, gone.reason) == (404, "NotFound")
    data = {"status.succeeded": "true", "status.result.maxLatencyNanoSec": str(int(float(high) * 1e6))}
    again = await rest("GET", f"{CORE}/configmaps/checkup")
    again["data"].update(data)
    await rest("PUT", f"{CORE}/configmaps/checkup", again)
    return (await rest("GET", f"{CORE}/configmaps/checkup"))["data"]


def play(tmp_path, story, kind=SimHypervisor, seconds=2 * TIMEOUT):
    spec = load(TEXT, "lab.yaml")

    async def whole():
        hypervisor = kind(spec=spec, links=LinkTable(spec), directory=tmp_path / "guests")
        (tmp_path / "guests").mkdir()
        await hypervisor.open()
        async with lab(tmp_path, TEXT, hypervisor=hypervisor) as running:
            await story(running, Rest(running.plane, running.plane.admin_token))

    asyncio.run(asyncio.wait_for(whole(), seconds))


@pytest.mark.parametrize(
    ("accept", "pin", "version"),
    [(JSON_FIRST, True, "v1"), (PROTOBUF_FIRST, False, "v1alpha3")],
    ids=["json", "protobuf"],
)
def test_the_go_checkup_with_simulated_guests(tmp_path, accept, pin, version):
    async def story(running, admin):
        token, config, pod = await installed(admin)
        rest = Rest(running.plane, token, accept)
        data = await checkup(rest, config, pod, pin=pin, version=version)
        assert data["status.succeeded"] == "true"

    play(tmp_path, story)


@pytest.mark.qemu
@pytest.mark.skipif(usable() is not None, reason=str(usable()))
def test_the_go_checkup_with_real_guests(tmp_path):
    async def story(running, admin):
        token, config, pod = await installed(admin)
        assert (await checkup(Rest(running.plane, token), config, pod, pin=True))[
            "status.succeeded"
        ] == "true"

    play(tmp_path, story, QemuHypervisor, 240)


def test_virtctl_asks_for_the_version(tmp_path):
    async def story(running, admin):
        group = await admin("GET", "/apis/subresources.kubevirt.io")
        preferred = group["preferredVersion"]["groupVersion"]
        assert preferred == "subresources.kubevirt.io/v1"
        assert (await admin("GET", f"/apis/{preferred}/version"))["gitVersion"].startswith("v1.")
        listed = await admin("GET", "/apis/kubevirt.io/v1/kubevirts")
        assert listed["items"][0]["metadata"]["annotations"]["kvlatency.lab/guests"] == "simulated guests"

    play(tmp_path, story)


def test_virtctl_console_waits_for_a_vmi_that_is_not_running_yet(tmp_path):
    """SerialConsole tries again on 400, and gives up with the Status' words on anything else."""

    async def story(running, admin):
        missing = await refused(admin.console("default", "nobody"))
        assert (missing.code, missing.reason) == (404, "NotFound")
        await admin("POST", VMIS.format("v1"), vmi("it"))
        early = await refused(admin.console("default", "it"))
        assert (early.code, str(early)) == (400, "VMI is not running")
        await running.until("it", lambda it: it and it["status"].get("phase") == "Running")
        expecter = await admin.console("default", "it")
        expecter.send("\n")
        await expecter.expect("it login: ", TIMEOUT)
        await expecter.close()

    play(tmp_path, story)


def test_a_status_that_a_client_gives_is_not_taken(tmp_path):
    async def story(running, admin):
        given = vmi("it") | {"status": {"phase": "Succeeded", "nodeName": "nowhere"}}
        made = await admin("POST", VMIS.format("v1"), given)
        assert made["status"]["phase"] == "Pending"
        found = await running.until("it", lambda it: it and it["status"].get("phase") == "Running")
        assert found["status"]["nodeName"] != "nowhere"

    play(tmp_path, story)
