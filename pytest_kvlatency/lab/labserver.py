"""The lab as one server: control plane, guests and the KubeVirt half, wired together here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.apiserver.controlplane import ControlPlane
from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.kubevirt.api import Api
from pytest_kvlatency.lab.kubevirt.console import GROUP, VERSIONS
from pytest_kvlatency.lab.kubevirt.virtcontroller import KubeVirt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kvlatency.lab.guests.base import Hypervisor
    from pytest_kvlatency.lab.spec.labspec import LabSpec

#: The KubeVirt half's own account; no fault of the API strikes it.
_USER = "system:serviceaccount:kubevirt:kubevirt-controller"
_GROUPS = ("system:masters", "system:serviceaccounts", "system:authenticated")
#: What the shutdown of one part may take before the next is shut down all the same.
_STOP_SECONDS = 1.0
INFO_FILE = "lab.json"
#: Descriptors: a guest's terminal and programs, its console's connections on their way through the API server, and
#: requests.
_OWN_FILES = 64
_FILES_PER_NODE = 16


class LabSetupError(Exception):
    """The lab cannot be started; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class LabInfo:
    """What there is to know about a running lab; written as ``lab.json`` into its directory."""

    guests: str
    description: str
    reason_not_qemu: str
    server: str
    kubeconfig: str
    pid: int


async def run(spec: LabSpec, directory: Path, ready: Callable[[LabInfo], None], stop: asyncio.Event) -> None:
    """Run a lab in ``directory`` (which must exist) until ``stop``; call ``ready`` when it can be used.

    Raises ``LabSetupError`` when guests of the kind that ``spec`` names are not available, ``OSError`` for the
    directory.
    """
    _check_files(spec)
    plane = ControlPlane(directory=directory, faults=spec.faults)
    hypervisor: Hypervisor | None = None
    half: KubeVirt | None = None
    api: Api | None = None
    try:
        await plane.start()
        hypervisor, reason = await _open_hypervisor(spec, directory)
        api = Api.from_kubeconfig(plane.kubeconfig, plane.token_for(_USER, _GROUPS))
        secret = secrets.token_urlsafe(32)
        half = KubeVirt(api, spec, hypervisor, secret)
        await half.start()
        for version in VERSIONS:
            plane.add_aggregated(GROUP, version, half.console_url, None, secret)
        plane.set_pod_log_provider(half.pod_log)
        info = LabInfo(
            guests=hypervisor.kind,
            description=hypervisor.description,
            reason_not_qemu=reason,
            server=plane.server,
            kubeconfig=str(plane.kubeconfig),
            pid=os.getpid(),
        )
        (directory / INFO_FILE).write_text(json.dumps(asdict(info), indent=2) + "\n", encoding="utf-8")
        ready(info)
        await stop.wait()
    finally:
        for part in (half.stop if half else None, hypervisor.close if hypervisor else None, plane.stop):
            if part is not None:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(part(), _STOP_SECONDS)
        if api is not None:
            await api.close()


def _check_files(spec: LabSpec) -> None:
    """Raise ``LabSetupError`` where a guest or a console would not get its descriptors later, and seem to hang."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_FILES + _FILES_PER_NODE * len(spec.nodes)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LabSetupError(
            f"a lab of {len(spec.nodes)} nodes needs {needed} open files, but the limit is {hard}: raise it "
            f"(ulimit -n {max(1024, needed)})"
        )


async def _open_hypervisor(spec: LabSpec, directory: Path) -> tuple[Hypervisor, str]:
    """Return an opened hypervisor, and why it is not QEMU where that was left open."""
    links = LinkTable(spec)
    if spec.guests == "sim":
        return await _open_sim(spec, links, directory), ""
    from pytest_kvlatency.lab.guests.qemu.hypervisor import QemuHypervisor  # noqa: PLC0415
    from pytest_kvlatency.lab.guests.qemu.setup import usable  # noqa: PLC0415

    reason = await asyncio.get_running_loop().run_in_executor(None, usable)
    if reason is None:
        hypervisor: Hypervisor = QemuHypervisor(spec=spec, links=links, directory=directory)
        try:
            await hypervisor.open()
        except HypervisorError as error:
            await hypervisor.close()
            reason = str(error)
        except OSError as error:
            await hypervisor.close()
            raise LabSetupError(f"cannot write {error.filename}: {error.strerror}") from error
        else:
            return hypervisor, ""
    if spec.guests == "qemu":
        raise LabSetupError(f"guests: qemu is not available: {reason}")
    if any(network.capture for network in spec.networks):
        raise LabSetupError(f"a capture needs real guests, which are not available: {reason}")
    return await _open_sim(spec, links, directory), reason


async def _open_sim(spec: LabSpec, links: LinkTable, directory: Path) -> Hypervisor:
    from pytest_kvlatency.lab.guests.sim.hypervisor import SimHypervisor  # noqa: PLC0415

    hypervisor: Hypervisor = SimHypervisor(spec=spec, links=links, directory=directory)
    try:
        await hypervisor.open()
    except HypervisorError as error:
        raise LabSetupError(f"guests: sim is not available: {error}") from error
    return hypervisor
