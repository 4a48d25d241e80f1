"""What a guest says of its machine: which boot this is, and whether it runs under software emulation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Deadline

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOCKS: Final = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
#: Flags of x86 CPUs (cpufeatures.h) that QEMU's default CPU has under KVM alone, or, the first, since QEMU 9.0.
_FLAGS_OF_KVM: Final = frozenset({"x2apic", "tsc_known_freq", "cpuid_fault"})
_LOOK: Final = (
    f"{{ cat {_BOOT_ID} {_CLOCKS}; systemd-detect-virt --vm; "
    "cat /proc/cpuinfo | sed -n '/^model name/p; /^flags/{p;q;}'; "
    "dmesg | grep -m1 -oE 'Hypervisor detected: .*|paravirtualized kernel on .*'; } 2>/dev/null"
)


@dataclass(frozen=True, kw_only=True)
class Boot:
    """``id`` is the UUID that the kernel draws once per boot (proc_sys_kernel(5)); empty where it has none.

    ``is_emulated``: whether the guest runs without hardware virtualization; None where it does not tell.
    """

    id: str = ""
    is_emulated: bool | None = None


def read_boot_id(shell: Shell, deadline: Deadline) -> str:
    """Return the boot's id alone. Raises as ``Shell.run`` does."""
    said = shell.run(
        f"cat {_BOOT_ID} 2>/dev/null", purpose="reading the boot id", deadline=deadline
    ).output.strip()
    return said if _UUID.fullmatch(said) else ""


def read_boot(shell: Shell, deadline: Deadline) -> Boot:
    """Ask for all of it, by one command. Raises as ``Shell.run`` does."""
    lines = [
        line.strip()
        for line in shell.run(_LOOK, purpose="reading how it booted", deadline=deadline).output.splitlines()
    ]
    return Boot(id=next(filter(_UUID.fullmatch, lines), ""), is_emulated=is_emulated(lines))


def is_emulated(lines: list[str]) -> bool | None:
    """Judge by the lines of the look.

    KVM and QEMU's own emulation (TCG) call themselves so in CPUID (``KVMKVMKVM``, ``TCGTCGTCGTCG``), which
    ``systemd-detect-virt`` and the kernel read. Not every guest has the former or still shows the latter's log. KVM
    gives x86 guests its clock, and emulation does not. The name of the CPU says little: ``QEMU Virtual CPU`` is the
    default model under both, and a model named by libvirt may be emulated.
    """
    words = {word for line in lines for word in line.split()}
    is_x86 = any(line.startswith("model name") for line in lines) and "hypervisor" in words
    if "kvm" in lines or "kvm-clock" in words or any(line.endswith((": KVM", " on KVM")) for line in lines):
        return False
    if not is_x86:
        # The device tree and the firmware's tables of other machines read the same under both.
        return None
    is_tcg = "qemu" in lines or any(
        "QEMU TCG CPU" in line or line.endswith("paravirtualized kernel on bare hardware") for line in lines
    )
    is_default = any("QEMU Virtual CPU" in line for line in lines) and bool(words & {"hpet", "acpi_pm"})
    return True if is_tcg or (is_default and not words & _FLAGS_OF_KVM) else None
