"""Makes real guests with QEMU."""

from __future__ import annotations

import asyncio
import re
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.lab.fabric.capture import Capture
from pytest_kvlatency.lab.fabric.responders import AddressTaken, DhcpServer
from pytest_kvlatency.lab.fabric.switch import Switch
from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.qemu import accelerator, assets, image, seed
from pytest_kvlatency.lab.guests.qemu import faultsettings as guest_faults
from pytest_kvlatency.lab.guests.qemu.emulator import Plan, PlannedNic
from pytest_kvlatency.lab.guests.qemu.guest import QemuGuest
from pytest_kvlatency.lab.guests.qemu.setup import usable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.lab.fabric.links import LinkTable
    from pytest_kvlatency.lab.guests.base import GuestRequest, Nic
    from pytest_kvlatency.lab.spec.labspec import FaultSpec, LabSpec

# The first version whose network back end can be a datagram socket.
_OLDEST_QEMU = (7, 2)


class QemuHypervisor:
    """Implements ``base.Hypervisor``. Images are written to ``directory`` and removed with their guests."""

    def __init__(self, *, spec: LabSpec, links: LinkTable, directory: Path) -> None:
        self._spec = spec
        self._directory = directory
        self._captures: dict[str, Capture] = {}
        self._switch = Switch(links, seed=spec.seed, captures=self._captures)
        self._guests: list[QemuGuest] = []
        self._accelerator = accelerator.TCG
        self._version = "unknown version"
        self._qemu: Path | None = None
        self._kernel: assets.Kernel | None = None
        self._busybox: Path | None = None
        self._base = b""
        self._opened = False

    @property
    def kind(self) -> Literal["qemu"]:
        """Which kind."""
        return "qemu"

    @property
    def description(self) -> str:
        """For people and reports: QEMU's version, and under what the guests run."""
        under = "software emulation (TCG)" if self.software_emulation else "KVM"
        return f"QEMU {self._version}, {under}"

    @property
    def software_emulation(self) -> bool:
        """Whether guests run without hardware virtualization."""
        return self._accelerator == accelerator.TCG

    async def open(self) -> None:
        """Find the programs, build the shared image, probe KVM. Raises ``HypervisorError`` with the way out.

        Raises ``OSError`` for a directory or a capture that cannot be written.
        """
        trouble = usable()
        self._qemu, self._busybox, self._kernel = assets.qemu(), assets.busybox(), assets.kernel()
        if trouble or self._qemu is None or self._busybox is None or self._kernel is None:
            raise HypervisorError(trouble or "real guests are not available here")
        self._directory.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        try:
            self._version = await loop.run_in_executor(None, _version, self._qemu)
            self._base = await loop.run_in_executor(None, image.base, self._busybox, self._kernel.modules)
        except (OSError, subprocess.SubprocessError) as error:
            raise HypervisorError(f"cannot make the guests' image: {error}") from error
        probe = self._directory / "probe.cpio"
        probe.write_bytes(self._base)
        self._accelerator = await accelerator.choose(self._qemu, self._kernel.image, probe)
        probe.unlink()
        self._open_captures()
        self._switch.start()
        self._opened = True

    def create(self, request: GuestRequest) -> QemuGuest:
        """Make a guest, not yet started. Raises ``HypervisorError`` for a fault that real guests cannot have."""
        if not self._opened or self._qemu is None:
            raise HypervisorError("the hypervisor is not open")
        try:
            faults = guest_faults.by_name(request.faults)
        except ValueError as error:
            raise HypervisorError(str(error)) from error
        self._guests = [guest for guest in self._guests if not guest.gone]
        guest = QemuGuest(
            request,
            qemu=self._qemu,
            switch=self._switch,
            migration=self._spec.migration,
            prepare=lambda: self._prepare(request, faults),
        )
        self._guests.append(guest)
        return guest

    async def close(self) -> None:
        """Kill every guest and release everything. May be called twice."""
        await asyncio.gather(*(guest.kill() for guest in self._guests))
        self._guests.clear()
        await asyncio.get_running_loop().run_in_executor(None, self._switch.close)
        self._opened = False

    def _open_captures(self) -> None:
        for network in self._spec.networks:
            if network.capture is not None:
                self._captures[network.name] = Capture(Path(network.capture))

    def _prepare(self, request: GuestRequest, faults: Mapping[str, FaultSpec]) -> Plan:
        if self._kernel is None or self._busybox is None:
            raise HypervisorError("the hypervisor is not open")
        busybox = None
        if "ping-missing" in faults:
            try:
                busybox = image.without_ping(self._busybox)
            except ValueError as error:
                raise HypervisorError(f"fault 'ping-missing': {error}") from error
        own = seed.build(request, faults, agent=self._spec.agent, busybox=busybox)
        path = self._directory / f"{request.uid or uuid.uuid4()}.cpio"
        path.write_bytes(self._base + own)
        return Plan(
            accelerator=self._accelerator,
            kernel=self._kernel.image,
            initramfs=path,
            nics=[
                PlannedNic(
                    mac=_other_mac(nic.mac) if "mac-changed" in faults else nic.mac,
                    network=nic.network,
                    mtu=nic.mtu,
                    responder=_responder(nic, faults),
                )
                for nic in request.nics
            ],
            silent="silent" in faults,
        )


def _responder(nic: Nic, faults: Mapping[str, FaultSpec]) -> Callable[[bytes], list[bytes]] | None:
    responders: list[Callable[[bytes], list[bytes]]] = []
    if nic.lease is not None and "no-dhcp" not in faults:
        responders.append(DhcpServer(nic.lease, nic.mtu))
    if "address-taken" in faults:
        responders.append(AddressTaken(faults["address-taken"].times))
    if not responders:
        return None
    return lambda frame: [answer for responder in responders for answer in responder(frame)]


def _other_mac(mac: str) -> str:
    """Return another MAC, as the physical function's driver may give a virtual function."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[3] ^= 0x5A
    return octets.hex(":")


def _version(qemu: Path) -> str:
    out = subprocess.run([qemu, "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S603
    found = re.search(r"version (\d+)\.(\d+)(\S*)", out)
    if found is None:
        raise HypervisorError(f"cannot tell the version of {qemu}, which prints {out[:80]!r}")
    if (int(found[1]), int(found[2])) < _OLDEST_QEMU:
        raise HypervisorError(f"{qemu} is version {found[1]}.{found[2]}: real guests need 7.2 or later")
    return f"{found[1]}.{found[2]}{found[3]}"
