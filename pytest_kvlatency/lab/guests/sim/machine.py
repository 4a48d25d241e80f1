"""What the programs of a simulated guest know of the machine on which they run."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pytest_kvlatency.lab.guests.sim.processor import PROCESSORS, Processor
from pytest_kvlatency.lab.guests.sim.strays import StrayLines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.lab.guests.sim.clock import Clock
    from pytest_kvlatency.lab.guests.sim.network import Stack
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

PingProgram = Literal["busybox", "iputils", "busybox-old", "iputils-old"]


@dataclass(kw_only=True)
class Machine:
    """A guest, as seen from inside. ``power`` ends it: ``poweroff`` or ``reboot``."""

    clock: Clock
    stack: Stack
    dialect: PingProgram
    fedora: bool
    hostname: str
    faults: Sequence[FaultSpec]
    power: Callable[[str], None]
    processor: Processor = PROCESSORS["kvm"]
    strays: StrayLines = field(default_factory=StrayLines)
    boot_log: list[str] = field(default_factory=list)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def is_root(self, call: Call) -> bool:
        """Whether a program runs as root."""
        return call.as_root or not self.fedora

    @property
    def busybox(self) -> bool:
        """Whether the network tools are BusyBox's (else iputils' and iproute2's)."""
        return self.dialect.startswith("busybox")

    def fault(self, name: str) -> FaultSpec | None:
        """The fault ``name``, if this guest has it."""
        return find_fault(self.faults, name)


def find_fault(faults: Sequence[FaultSpec], name: str) -> FaultSpec | None:
    """The first fault called ``name``."""
    return next((fault for fault in faults if fault.fault == name), None)


class Call(Protocol):
    """One run of a program: what it was called with, and where its output goes."""

    name: str
    arguments: Sequence[str]
    #: Whether ``sudo`` started it.
    as_root: bool
    #: Called at SIGINT; None lets the program end with status 130.
    on_interrupt: Callable[[], None] | None
    #: Called once when the program is over, however it ended; frees what it holds.
    on_end: Callable[[], None] | None

    def out(self, text: str) -> None:
        """Print lines on standard output (each gets a newline; written at ``flush``)."""

    def err(self, text: str) -> None:
        """Print lines on standard error."""

    def flush(self) -> None:
        """Write what was printed."""

    def exit(self, status: int) -> None:
        """End the program, after what was printed."""
