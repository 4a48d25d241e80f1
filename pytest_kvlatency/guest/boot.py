"""Which boot of a guest this is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Deadline

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_boot_id(shell: Shell, deadline: Deadline) -> str:
    """Return the UUID that the kernel draws once per boot (proc_sys_kernel(5)); empty where it has none.

    Raises as ``Shell.run`` does.
    """
    said = shell.run(f"cat {_BOOT_ID} 2>/dev/null", deadline=deadline).output.strip()
    return said if _UUID.fullmatch(said) else ""
