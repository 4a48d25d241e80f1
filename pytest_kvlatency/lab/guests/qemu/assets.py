"""Where the parts that guests are made of lie on this machine, and what is missing of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
CACHE_VARIABLE = "KVLATENCY_LAB_CACHE"

MODULES = (
    "failover",
    "net_failover",
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_net",
)
"""What a guest loads, in this order. A module may be missing where the kernel has it built in."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel in the cache: its image, and those of ``MODULES`` that it does not have built in, in their order."""

    version: str
    image: Path
    modules: tuple[Path, ...]


def cache_directory() -> Path:
    """Where ``setup`` puts the kernel: ``$KVLATENCY_LAB_CACHE``, or below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pytest-kvlatency"


def kernel() -> Kernel | None:
    """Find the kernel that ``setup`` left in the cache; the newest by time of arrival, if there are several."""
    candidates = [
        path for path in cache_directory().glob("kernel-*") if (path / "vmlinuz").is_file() and path.is_dir()
    ]
    if not candidates:
        return None
    newest = max(candidates, key=lambda path: (path.stat().st_mtime, path.name))
    modules = tuple(newest / f"{name}.ko" for name in MODULES if (newest / f"{name}.ko").is_file())
    return Kernel(
        version=newest.name.removeprefix("kernel-"),
        image=newest / "vmlinuz",
        modules=modules,
    )


def qemu() -> Path | None:
    """Find QEMU for x86-64 guests."""
    found = shutil.which(QEMU)
    return Path(found) if found else None


def busybox() -> Path | None:
    """Find a BusyBox that is linked statically, so that it runs in a guest where there is nothing else."""
    for name in ("busybox-static", "busybox"):
        found = shutil.which(name)
        if found and _is_static(Path(found)):
            return Path(found)
    return None


def missing() -> list[str]:
    """Say in plain words what is not there; empty when guests can be made."""
    lacks = []
    if qemu() is None:
        lacks.append(f"{QEMU} (QEMU 7.2 or later)")
    if busybox() is None:
        lacks.append("a static busybox")
    if kernel() is None:
        lacks.append(f"a guest kernel in {cache_directory()}")
    return lacks


def _is_static(path: Path) -> bool:
    """Tell whether an x86-64 ELF program asks for no loader (has no ``PT_INTERP``; ELF-64 specification)."""
    data = path.read_bytes()
    if data[:5] != b"\x7fELF\x02" or data[18:20] != b"\x3e\x00":
        return False
    offset = int.from_bytes(data[32:40], "little")
    size = int.from_bytes(data[54:56], "little")
    count = int.from_bytes(data[56:58], "little")
    kinds = (int.from_bytes(data[offset + i * size : offset + i * size + 4], "little") for i in range(count))
    return 3 not in kinds
