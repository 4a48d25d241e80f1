"""Builds the initramfs that all guests share: BusyBox, the virtio modules, and the scripts of ``rootfs``."""

from __future__ import annotations

import subprocess
from importlib import resources
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.qemu import cpio

if TYPE_CHECKING:
    from importlib.abc import Traversable
    from pathlib import Path

_FOLDERS = (
    *(
        "bin",
        "dev",
        "etc",
        "etc/udhcpc",
        "lab",
        "lib",
        "lib/modules",
        "mnt",
        "proc",
        "root",
        "run",
        "sbin",
        "sys",
    ),
    *("tmp", "usr", "usr/bin", "usr/sbin", "var", "var/log", "var/tmp"),
)


def base(busybox: Path, modules: tuple[Path, ...]) -> bytes:
    """Return the archive. Raises ``OSError`` or ``CalledProcessError`` when ``busybox`` cannot be read or run."""
    entries = [cpio.directory(folder) for folder in _FOLDERS]
    # Without this device the kernel can give the first process no console.
    entries.append(cpio.character_device("dev/console", 5, 1))
    entries.append(cpio.file("bin/busybox", busybox.read_bytes(), 0o755))
    listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)  # noqa: S603
    entries += [
        cpio.symlink(f"bin/{name}", "busybox") for name in sorted(set(listed.stdout.split()) - {"busybox"})
    ]
    entries += [cpio.file(f"lib/modules/{path.name}", path.read_bytes()) for path in modules]
    entries.append(cpio.file("lib/modules/order", "".join(f"{path.name}\n" for path in modules).encode()))
    entries += _rootfs(resources.files(__package__) / "rootfs", "")
    return cpio.archive(entries)


def _rootfs(folder: Traversable, prefix: str) -> list[cpio.ArchiveEntry]:
    entries: list[cpio.ArchiveEntry] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        path = prefix + item.name
        if item.is_dir():
            entries += _rootfs(item, path + "/")
            continue
        data = item.read_bytes()
        permissions = 0o755 if data.startswith(b"#!") else 0o600 if item.name == "shadow" else 0o644
        entries.append(cpio.file(path, data, permissions))
    return entries


def without_ping(busybox: Path) -> bytes:
    """Return BusyBox with the applets ``ping`` and ``ping6`` renamed, so that they are not found.

    Removing links would not do: its shell runs applets without looking in PATH. The names stand in one sorted,
    NUL-separated list, and stay sorted. Raises ``ValueError`` when the list is not as expected.
    """
    data = busybox.read_bytes()
    here, there = b"\0ping\0ping6\0", b"\0pinf\0pinf6\0"
    if data.count(here) != 1:
        raise ValueError(
            f"cannot remove ping from {busybox}: its list of applets is not where it is expected"
        )
    return data.replace(here, there)
