"""What the lab's KubeVirt half asks of a guest, whether it is real or simulated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.lab.spec.labspec import FaultSpec


@dataclass(frozen=True, kw_only=True)
class Nic:
    """One interface of a guest: the VMI's interface ``name``, its MAC, and the network (``NAMESPACE/NAME``) it is on.

    ``lease`` is the address in CIDR form that KubeVirt's DHCP server hands out on this interface, where the NAD
    has IPAM and the binding is ``bridge``; ``None`` means that DHCP gets no answer. ``has_container_interface``: the
    CNI gives the pod an interface with the guest's MAC, from which a bridge learns a port when the pod is made.
    """

    name: str
    mac: str
    network: str
    mtu: int = 1500
    lease: str | None = None
    has_container_interface: bool = False


@dataclass(frozen=True, kw_only=True)
class GuestRequest:
    """A VMI as the hypervisor needs it. ``faults`` are those of the guest's own (see ``faults.FAULTS``)."""

    namespace: str
    name: str
    uid: str
    node: str
    hostname: str
    nics: Sequence[Nic]
    user_data: str = ""
    network_data: str = ""
    image: str = ""
    memory_mib: int = 128
    faults: Sequence[FaultSpec] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class GuestExit:
    """Why a guest is no longer running: powered itself off, crashed, or was stopped by the lab."""

    how: Literal["poweroff", "crash", "stopped"]
    detail: str = ""


class Move(Protocol):
    """One live migration of a guest, whose target is set up and waits."""

    async def run(self) -> None:
        """Transfer the guest: returns when it runs on the other node, and no longer on this one.

        Raises ``HypervisorError`` when that fails; the guest then runs on where it was, unhurt.
        """

    async def cancel(self) -> None:
        """Give up, and take the target away; the guest runs on where it was. Harmless when the move is over."""


class Guest(Protocol):
    """A running (or still to be started) guest. All methods are called from the lab's event loop."""

    @property
    def serial_log(self) -> bytes:
        """All that the serial console printed so far (bounded to its last 256 KiB)."""

    async def start(self) -> None:
        """Power on. Returns as soon as the machine runs (not: is booted). Raises ``HypervisorError``."""

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Send serial output to ``sink`` from now on (no scrollback), instead of to an earlier one."""

    def detach(self, sink: Callable[[bytes], None]) -> None:
        """Stop sending output to ``sink``, if it is the attached one."""

    def write(self, data: bytes) -> None:
        """Type ``data`` on the serial console."""

    async def wait_exit(self) -> GuestExit:
        """Wait until the guest is no longer running; may be called by several waiters."""

    async def addresses(self) -> Mapping[str, Sequence[str]]:
        """What a guest agent would say now: addresses (without prefix length) by MAC; empty before boot."""

    async def prepare_move(self, node: str) -> Move:
        """Set up the target of a live migration to ``node``. Raises ``HypervisorError``."""

    async def shutdown(self) -> None:
        """Press the power button (ACPI); a guest without acpid does not react."""

    async def kill(self) -> None:
        """Power off hard; ``wait_exit`` then answers ``stopped`` unless the guest had exited before."""


def datasource_wait_seconds(request: GuestRequest) -> float:
    """Return how long cloud-init waits before it applies anything: the fault ``datasource-wait``, without user data."""
    if request.user_data.strip():
        return 0.0
    waits = [fault.after_seconds or 120.0 for fault in request.faults if fault.fault == "datasource-wait"]
    return waits[0] if waits else 0.0


class HypervisorError(Exception):
    """A guest could not be started, or the hypervisor cannot be used; the text says what to do."""


class Hypervisor(Protocol):
    """Makes guests of one kind."""

    @property
    def kind(self) -> Literal["sim", "qemu"]:
        """Which kind."""

    @property
    def description(self) -> str:
        """For people and reports, e.g. ``QEMU 7.2.22, software emulation (TCG)`` or ``simulated guests``."""

    async def open(self) -> None:
        """Get ready: find programs, build images, probe KVM. Raises ``HypervisorError`` with the way out."""

    def create(self, request: GuestRequest) -> Guest:
        """Make a guest, not yet started."""

    async def close(self) -> None:
        """Kill every guest and release everything."""
