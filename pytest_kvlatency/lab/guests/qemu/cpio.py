"""Writes cpio archives in the ``newc`` format, which is what the kernel unpacks as initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel. Deterministic: owner root, time 0,
inode numbers in order of the entries. Archives may be concatenated.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One file: ``path`` is relative, without a leading slash; ``mode`` holds type and permissions."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str, permissions: int = 0o755) -> ArchiveEntry:
    """Make an entry for a directory."""
    return ArchiveEntry(path=path, mode=stat.S_IFDIR | permissions)


def file(path: str, data: bytes, permissions: int = 0o644) -> ArchiveEntry:
    """Make an entry for a regular file."""
    return ArchiveEntry(path=path, mode=stat.S_IFREG | permissions, data=data)


def symlink(path: str, target: str) -> ArchiveEntry:
    """Make an entry for a symbolic link."""
    return ArchiveEntry(path=path, mode=stat.S_IFLNK | 0o777, data=target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> ArchiveEntry:
    """Make an entry for a character device."""
    return ArchiveEntry(path=path, mode=stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: list[ArchiveEntry]) -> bytes:
    """Return the archive that holds ``entries`` in this order; directories must come before what is in them."""
    out = bytearray()
    for inode, entry in enumerate(entries, start=1):
        _append(out, inode, entry)
    _append(out, 0, ArchiveEntry(path="TRAILER!!!", mode=0))
    out += bytes(-len(out) % 512)
    return bytes(out)


def _append(out: bytearray, inode: int, entry: ArchiveEntry) -> None:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    out += b"070701" + "".join(f"{field:08X}" for field in fields).encode()
    out += name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)
