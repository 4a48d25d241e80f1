"""The command line of a guest; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MINIMUM_MEMORY_MIB = 128

# A guest that software emulation starves must not lose its clock, its timer interrupt or its nerves (the watchdogs),
# and self tests of unused ciphers take half a second of its boot.
_KERNEL_OPTIONS = (
    "mitigations=off tsc=reliable no_timer_check noreplace-smp nowatchdog rcupdate.rcu_cpu_stall_suppress=1 "
    "rcupdate.rcu_expedited=1 random.trust_cpu=on cryptomgr.notests lsm="
)
# What an emulated kernel takes for the frequency of its TSC is many times wrong if the host is busy while it measures.
# It would ping that much too often or too seldom, and report times that are wrong by as much.
_EMULATED_CLOCK = "clocksource=hpet"


@dataclass(frozen=True, kw_only=True)
class Wire:
    """An interface's MAC and MTU, and the descriptor of the datagram socket that its frames go through."""

    mac: str
    mtu: int
    descriptor: int


@dataclass(frozen=True, kw_only=True)
class QemuMachine:
    """All that a guest's command line is made of. Descriptors are inherited by QEMU.

    ``memory`` is the descriptor of the file that is the guest's memory, where machines share it. ``incoming``: the
    machine waits for a guest that migrates to it, instead of booting.
    """

    name: str
    accelerator: str
    kernel: Path
    initramfs: Path
    memory_mib: int = MINIMUM_MEMORY_MIB
    console: bool = True
    kernel_options: str = ""
    serial: int
    agent: int | None = None
    monitor: int | None = None
    wires: Sequence[Wire] = ()
    memory: int | None = None
    incoming: bool = False


def arguments(machine: QemuMachine) -> list[str]:
    """Return QEMU's arguments, without its name (qemu(1), version 7.2 or later)."""
    kernel_options = _KERNEL_OPTIONS
    if machine.console:
        kernel_options = f"console=ttyS0 {kernel_options}"
    if machine.accelerator == "tcg":
        kernel_options += f" {_EMULATED_CLOCK}"
    if machine.kernel_options:
        kernel_options += f" {machine.kernel_options}"
    memory_mib = max(machine.memory_mib, MINIMUM_MEMORY_MIB)
    board = "q35"
    result = []
    if machine.memory is not None:
        path = f"/proc/self/fd/{machine.memory}"
        result += ["-object", f"memory-backend-file,id=ram,size={memory_mib}M,mem-path={path},share=on"]
        board = "q35,memory-backend=ram"
    result += [
        # A name may hold letters that are options to QEMU: a comma is escaped by doubling it.
        *("-name", f"guest={machine.name.replace(',', ',,')}"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *(
            "-M",
            board,
            "-accel",
            machine.accelerator,
            "-cpu",
            "host" if machine.accelerator == "kvm" else "qemu64",
        ),
        *("-smp", "1", "-m", str(memory_mib)),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initramfs), "-append", kernel_options),
        *("-chardev", f"socket,id=serial,fd={machine.serial}", "-serial", "chardev:serial"),
    ]
    if machine.agent is not None:
        result += ["-chardev", f"socket,id=agent,fd={machine.agent}", "-serial", "chardev:agent"]
    if machine.monitor is not None:
        result += [
            "-chardev",
            f"socket,id=monitor,fd={machine.monitor}",
            "-mon",
            "chardev=monitor,mode=control",
        ]
    if machine.incoming:
        result += ["-incoming", "defer"]
    for index, wire in enumerate(machine.wires):
        result += ["-netdev", f"dgram,id=net{index},local.type=fd,local.str={wire.descriptor}"]
        result += ["-device", f"virtio-net-pci,netdev=net{index},mac={wire.mac},host_mtu={wire.mtu},romfile="]
    return result
