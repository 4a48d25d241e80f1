"""A lab in the test's own process, a guest that a test plays, and a console to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

import aiohttp
import yaml

from pytest_kvlatency.lab.apiserver.controlplane import ControlPlane
from pytest_kvlatency.lab.guests.base import GuestExit, HypervisorError
from pytest_kvlatency.lab.kubevirt.api import VMIS, Api
from pytest_kvlatency.lab.kubevirt.console import GROUP, PROTOCOL, VERSIONS
from pytest_kvlatency.lab.kubevirt.virtcontroller import KubeVirt
from pytest_kvlatency.lab.spec.file import load

#: For what takes a moment where nothing else runs.
TIMEOUT = 60


class PlayedMove:
    """Succeeds at once."""

    def __init__(self, guest):
        self._guest = guest

    async def run(self):
        self._guest.events.append("move")

    async def cancel(self):
        self._guest.events.append("cancel")


class PlayedGuest:
    """Echoes what is typed; the test decides when it exits and what its agent says."""

    def __init__(self, request, *, obeys_acpi=True):
        self.request = request
        self.serial_log = b""
        self.agent = {nic.mac: [f"198.18.0.{index + 1}"] for index, nic in enumerate(request.nics)}
        self.typed = b""
        self.events = []
        self._obeys = obeys_acpi
        self._sink = None
        self._exit = asyncio.get_running_loop().create_future()

    async def start(self):
        self.events.append("start")

    def attach(self, sink):
        self._sink = sink

    def detach(self, sink):
        if self._sink == sink:
            self._sink = None

    def write(self, data):
        self.typed += data
        self.say(data)

    def say(self, data):
        self.serial_log += data
        if self._sink is not None:
            self._sink(data)

    def end(self, how):
        if not self._exit.done():
            self._exit.set_result(GuestExit(how=how))

    async def wait_exit(self):
        return await asyncio.shield(self._exit)

    async def addresses(self):
        return self.agent

    async def prepare_move(self, node):
        self.events.append(f"prepare {node}")
        return PlayedMove(self)

    async def shutdown(self):
        self.events.append("shutdown")
        if self._obeys:
            self.end("poweroff")

    async def kill(self):
        self.events.append("kill")
        self.end("stopped")


@dataclass
class PlayedHypervisor:
    kind: str = "sim"
    description: str = "played guests"
    obeys_acpi: bool = True
    broken: str = ""
    guests: dict = field(default_factory=dict)

    async def open(self):
        pass

    def create(self, request):
        if self.broken:
            raise HypervisorError(self.broken)
        guest = self.guests[request.name] = PlayedGuest(request, obeys_acpi=self.obeys_acpi)
        return guest

    async def close(self):
        for guest in self.guests.values():
            guest.end("stopped")


class RunningLab:
    def __init__(self, plane, api, half, hypervisor):
        self.plane = plane
        self.api = api
        self.half = half
        self.hypervisor = hypervisor

    async def create(self, name, **more):
        return await self.api.create(VMIS, "default", vmi(name, **more))

    async def until(self, name, condition):
        """Wait until the VMI's object (None: gone) meets the condition; return it."""

        async def watch():
            async for event in self.api.watch(VMIS):
                if event.object["metadata"]["name"] == name:
                    seen = None if event.type == "DELETED" else event.object
                    if condition(seen):
                        return seen
            return None

        async def gone():
            while await self.api.get(VMIS, "default", name) is not None:  # noqa: ASYNC110 (it polls)
                await asyncio.sleep(0.02)

        if condition(None):
            # A watch that begins too late for the end of an object tells nothing of it.
            return await asyncio.wait_for(gone(), TIMEOUT)
        current = await self.api.get(VMIS, "default", name)
        if condition(current):
            return current
        return await asyncio.wait_for(watch(), TIMEOUT)

    async def running(self, name, **more):
        await self.create(name, **more)
        return await self.until(name, lambda vmi: vmi and phase(vmi) == "Running")

    @contextlib.asynccontextmanager
    async def console(self, name):
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        tls = ssl.create_default_context(cafile=str(self.plane.directory / "ca.crt"))
        path = f"/apis/{GROUP}/v1/namespaces/default/virtualmachineinstances/{name}/console"
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(self.plane.server + path, ssl=tls, protocols=(PROTOCOL,)) as socket,
        ):
            yield socket

    async def get(self, path):
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        tls = ssl.create_default_context(cafile=str(self.plane.directory / "ca.crt"))
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(self.plane.server + path, ssl=tls) as answer,
        ):
            return answer.status, await answer.json(content_type=None) if answer.content_type.endswith(
                "json"
            ) else {}


@contextlib.asynccontextmanager
async def lab(directory, text="", hypervisor=None):
    spec = load(text, "lab.yaml")
    plane = ControlPlane(directory=directory, faults=spec.faults)
    await plane.start()
    token = plane.token_for("lab", ["system:masters"])
    api = Api.from_kubeconfig(plane.kubeconfig, token)
    hypervisor = hypervisor or PlayedHypervisor()
    half = KubeVirt(api, spec, hypervisor, "secret")
    try:
        await half.start()
        for version in VERSIONS:
            plane.add_aggregated(GROUP, version, half.console_url, None, "secret")
        plane.set_pod_log_provider(half.pod_log)
        yield RunningLab(plane, api, half, hypervisor)
    finally:
        await half.stop()
        await hypervisor.close()
        await plane.stop()
        await api.close()


def phase(vmi):
    return (vmi.get("status") or {}).get("phase")


def condition(vmi, kind):
    found = [item for item in (vmi.get("status") or {}).get("conditions") or [] if item["type"] == kind]
    return found[0] if found else None


def pinned(node):
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


def vmi(name, *, network="default/blue-network", labels=None, devices=None, **spec):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "domain": {
                "resources": {"requests": {"memory": "128Mi"}},
                "devices": {
                    "disks": [{"name": "disk0", "disk": {"bus": "virtio"}}],
                    "interfaces": [{"name": "net0", "bridge": {}, "macAddress": "02:00:00:00:00:01"}],
                    **(devices or {}),
                },
            },
            "networks": [{"name": "net0", "multus": {"networkName": network}}],
            "volumes": [{"name": "disk0", "containerDisk": {"image": "example.invalid/guest@sha256:00"}}],
            **spec,
        },
    }
