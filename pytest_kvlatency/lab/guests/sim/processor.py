"""The processor of a simulated guest as its kernel shows it: QEMU's, under KVM or under emulation (TCG)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_COMMON: Final = (
    "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2 syscall nx lm"
)


@dataclass(frozen=True, kw_only=True)
class Processor:
    """``clocks`` are the kernel's clock sources, ``kernel_log`` what its log says of the hypervisor."""

    model: str
    flags: str
    clocks: str
    kernel_log: tuple[str, ...]

    @property
    def cpuinfo(self) -> str:
        """``/proc/cpuinfo``, as far as programs look at it (proc_cpuinfo(5))."""
        lines = ("processor\t: 0", "vendor_id\t: AuthenticAMD", f"model name\t: {self.model}")
        return "\n".join((*lines, f"flags\t\t: {_COMMON} {self.flags}", ""))


PROCESSORS: Final = {
    "kvm": Processor(
        model="AMD EPYC-Rome Processor",
        flags="cpuid extd_apicid tsc_known_freq pni x2apic hypervisor",
        clocks="kvm-clock tsc acpi_pm",
        kernel_log=(
            "[    0.000000] Hypervisor detected: KVM",
            "[    0.100000] Booting paravirtualized kernel on KVM",
        ),
    ),
    "tcg": Processor(
        model="QEMU Virtual CPU version 2.5+",
        flags="cpuid extd_apicid pni hypervisor",
        clocks="tsc hpet acpi_pm",
        kernel_log=("[    0.100000] Booting paravirtualized kernel on bare hardware",),
    ),
}
