"""A guest's terminal: set for commands, and set back as it was found, for people. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

# A width at which no line wraps; no history, no kernel messages. All are kindnesses, none is needed. The echo stays:
# without it BusyBox does not edit lines but reads them in a way that takes the end of a background job for the end of
# its input, and ends the session (lineedit.c: "Happens when e.g. stty -echo was run before").
# First of all it says how the terminal was found.
_ROWS: Final = 100
_COLUMNS: Final = 4096
_PREPARE: Final = (
    "stty -g <&1 2>/dev/null; stty size <&1 2>/dev/null; "
    f"stty echo icanon icrnl cols {_COLUMNS} rows {_ROWS} <&1 2>/dev/null; unset HISTFILE; "
    "{root}dmesg -n 1 >/dev/null 2>&1; true"
)
# As it was found, but so that a person can type in any case: getty has Enter translated only where the user's name
# ended in a carriage return, and ours does not.
_RESTORE: Final = (
    "stty {settings} <&1 >/dev/null 2>&1; "
    "stty echo icanon icrnl isig opost onlcr rows {rows} cols {columns} <&1 2>/dev/null; true"
)
_SETTINGS: Final = re.compile(r"(?m)^[0-9a-f]+(?::[0-9a-f]+)+$")
_SIZE: Final = re.compile(r"(?m)^(\d+) (\d+)$")


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """How a terminal was found; ``settings`` as of ``stty -g``, empty where the guest does not tell."""

    settings: str = ""
    rows: int = 24
    columns: int = 80

    @classmethod
    def read(cls, said: str) -> Terminal:
        """Read what ``preparation`` printed."""
        settings, size = _SETTINGS.search(said), _SIZE.search(said)
        found = cls(settings=settings[0] if settings else "")
        # The size for commands is what an earlier run was kept from undoing.
        if size is None or (int(size[1]), int(size[2])) == (_ROWS, _COLUMNS):
            return found
        return replace(found, rows=int(size[1]), columns=int(size[2]))

    @property
    def restoration(self) -> str:
        """The command that sets it back."""
        return _RESTORE.format(settings=self.settings, rows=self.rows, columns=self.columns)


def preparation(become_root: str) -> str:
    """The command that sets a terminal for commands, and says how it was found."""
    return _PREPARE.format(root=become_root)
