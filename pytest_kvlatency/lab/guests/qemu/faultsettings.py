"""Which of the lab's faults real guests can have, and the settings that make them happen (read by ``rootfs/init``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_kvlatency.lab.spec.labspec import FaultSpec

SUPPORTED = frozenset(
    {
        "slow-boot", "torn-prompt", "kernel-noise", "last-failed-login", "already-logged-in", "silent",
        "login-refused", "no-cloud-init", "mac-changed", "ping-missing", "address-taken", "no-dhcp", "datasource-wait",
    }
)  # fmt: skip
UNSUPPORTED = {
    "ping-not-permitted": "their root may always send pings",
    "password-late": "their root needs no password",
    "password-expired": "the passwords of their BusyBox never expire",
    "password-prompt": "their BusyBox speaks only English",
    "boot-loader": "QEMU loads their kernel without a boot loader",
    "queue": "the lab's switch holds no frames back",
    "lease-unused": "their DHCP client always configures its lease",
}
_NOISE_SECONDS = 0.3


def by_name(faults: Iterable[FaultSpec]) -> dict[str, FaultSpec]:
    """Return the faults by name. Raises ``ValueError`` for one that real guests cannot have."""
    found = {}
    for fault in faults:
        if fault.fault not in SUPPORTED:
            reason = UNSUPPORTED.get(fault.fault, "it is not a fault of guests")
            raise ValueError(
                f"real guests do not support the fault {fault.fault!r}: {reason}. "
                f"Use simulated guests, or one of {', '.join(sorted(SUPPORTED))}"
            )
        found[fault.fault] = fault
    return found


def settings(faults: Mapping[str, FaultSpec]) -> dict[str, str]:
    """Return what the guest's scripts read."""
    values = {"LAB_CLOUD_INIT": "" if "no-cloud-init" in faults else "1"}
    if "slow-boot" in faults:
        values["LAB_SLOW_BOOT"] = str(faults["slow-boot"].after_seconds)
    if "silent" in faults:
        values["LAB_SILENT"] = "1"
    if "kernel-noise" in faults:
        values["LAB_KERNEL_NOISE"] = str(_NOISE_SECONDS)
        values["LAB_KERNEL_NOISE_AFTER"] = str(faults["kernel-noise"].after_seconds)
    if "ping-missing" in faults:
        values["LAB_NO_PING"] = "1"
    if "torn-prompt" in faults:
        values["LAB_GETTY"] = "-n -l /bin/lab-torn-login"
    if "already-logged-in" in faults:
        values["LAB_GETTY"] = "-n -l /bin/lab-busy-login"
        values["LAB_BUSY"] = str(faults["already-logged-in"].parameters.get("command", "cat"))
    return values
