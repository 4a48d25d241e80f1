"""What the programs of a simulated guest know of the machine on which they run."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.lab.guests.sim.clock import Clock
    from pytest_kvlatency.lab.guests.sim.network import Stack
    from pytest_kvlatency.lab.spec import FaultSpec

Dialect = Literal["busybox", "iputils", "busybox-old"]


@dataclass(kw_only=True)
class Machine:
    """A guest, as seen from inside. ``power`` ends it: ``poweroff`` or ``reboot``."""

    clock: Clock
    stack: Stack
    dialect: Dialect
    fedora: bool
    hostname: str
    faults: Sequence[FaultSpec]
    power: Callable[[str], None]
    boot_log: list[str] = field(default_factory=list)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def busybox(self) -> bool:
        """Whether the network tools are BusyBox's (else iputils' and iproute2's)."""
        return self.dialect != "iputils"

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
    #: Called at SIGINT; None lets the program end with status 130.
    on_interrupt: Callable[[], None] | None
    #: Called once when the program is over, whoever ended it; frees what it holds.
    on_end: Callable[[], None] | None

    def out(self, text: str) -> None:
        """Print lines on standard output (each gets a newline; written at ``flush``)."""

    def err(self, text: str) -> None:
        """Print lines on standard error."""

    def flush(self) -> None:
        """Write what was printed."""

    def exit(self, status: int) -> None:
        """End the program, after what was printed."""
