"""What guests say of their machine, as it was recorded: QEMU's CPUs under KVM and emulated, and others."""

from __future__ import annotations

import pytest
from guestfakes import FakeShell

from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.guest.boot import Boot, read_boot

BOOT = "d3b0e2ce-6b0f-4f8d-9b3e-1a2b3c4d5e6f"
KVM_CLOCKS, CLOCKS = "kvm-clock tsc acpi_pm ", "tsc hpet acpi_pm "
DETECTED = "Hypervisor detected: KVM"
BARE = "paravirtualized kernel on bare hardware"
BASE = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm"
DEFAULT = "model name\t: QEMU Virtual CPU version 2.5+"
EPYC = "model name\t: AMD EPYC-Rome Processor"
SKYLAKE = "model name\t: Intel Xeon Processor (Skylake, IBRS)"
MAX = "model name\t: QEMU TCG CPU version 2.5+"


def flags(more):
    return f"flags\t\t: {BASE} {more}"


@pytest.mark.parametrize(
    ("lines", "is_emulated"),
    [
        pytest.param([KVM_CLOCKS, EPYC, flags("x2apic hypervisor"), DETECTED], False, id="kvm"),
        pytest.param([KVM_CLOCKS, DEFAULT, flags("pni hypervisor")], False, id="kvm-default-cpu"),
        pytest.param([KVM_CLOCKS, SKYLAKE, flags("hypervisor")], False, id="kvm-without-log"),
        pytest.param([CLOCKS, "kvm", SKYLAKE, flags("hypervisor")], False, id="kvm-by-systemd"),
        pytest.param(
            [CLOCKS, SKYLAKE, flags("hypervisor"), "paravirtualized kernel on KVM"], False, id="kvm-by-log"
        ),
        pytest.param([CLOCKS, MAX, flags("hypervisor")], True, id="tcg-max"),
        pytest.param(
            [CLOCKS, DEFAULT, flags("pni cx16 hypervisor lahf_lm svm vmmcall"), BARE], True, id="tcg-default"
        ),
        pytest.param(
            [CLOCKS, DEFAULT, flags("pni cx16 hypervisor lahf_lm svm")], True, id="tcg-default-without-log"
        ),
        pytest.param([CLOCKS, EPYC, flags("hypervisor"), BARE], True, id="tcg-named-cpu"),
        pytest.param([CLOCKS, "qemu", EPYC, flags("hypervisor")], True, id="tcg-by-systemd"),
        # KVM may hide its clock, or a kernel not know it.
        pytest.param([CLOCKS, EPYC, flags("hypervisor")], None, id="named-cpu-alone"),
        pytest.param(
            [CLOCKS, DEFAULT, flags("x2apic hypervisor cpuid_fault")],
            None,
            id="default-cpu-with-flags-of-kvm",
        ),
        pytest.param([DEFAULT, flags("hypervisor")], None, id="clocks-not-known"),
        pytest.param([CLOCKS, "microsoft", SKYLAKE, flags("hypervisor")], None, id="another-hypervisor"),
        pytest.param([CLOCKS, SKYLAKE, flags("vmx"), BARE], None, id="no-hypervisor"),
        pytest.param(["arch_sys_counter ", "qemu"], None, id="arm64"),
        pytest.param(["tod "], None, id="s390x"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_E37_emulation_is_told_by_what_only_kvm_or_only_emulation_shows(lines, is_emulated):
    shell = FakeShell(answers={"boot_id": CommandResult(exit_status=1, output="\r\n".join([BOOT, *lines]))})
    assert read_boot(shell, Deadline(60)) == Boot(id=BOOT, is_emulated=is_emulated)
    assert len(shell.commands) == 1
