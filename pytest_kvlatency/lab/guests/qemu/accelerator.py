"""Finds out whether KVM really works here: the device file says little in nested and restricted machines."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.qemu import commandline
from pytest_kvlatency.lab.guests.qemu.qemuprocess import Process, open_channel

if TYPE_CHECKING:
    from pathlib import Path

KVM, TCG = "kvm", "tcg"
_PROBE_SECONDS = 4.0
_found: dict[Path, str] = {}


async def choose(qemu: Path, kernel: Path, initramfs: Path) -> str:
    """Return the accelerator to use. The answer holds for the life of this process."""
    if qemu not in _found:
        _found[qemu] = KVM if await _kvm_works(qemu, kernel, initramfs) else TCG
    return _found[qemu]


async def _kvm_works(qemu: Path, kernel: Path, initramfs: Path) -> bool:
    """Boot a guest that powers itself off at once; whatever else it does, KVM does not work."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    channel, end = await open_channel(lambda _data: None)
    try:
        machine = commandline.QemuMachine(
            name="probe",
            accelerator=KVM,
            kernel=kernel,
            initramfs=initramfs,
            kernel_options="lab.probe",
            serial=end.fileno(),
        )
        process = await Process.start(qemu, commandline.arguments(machine), [end.fileno()])
    finally:
        end.close()
    try:
        return (
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(process.wait())), _PROBE_SECONDS) == 0
        )
    except asyncio.TimeoutError:
        return False
    finally:
        process.kill()
        await process.wait()
        channel.close()
