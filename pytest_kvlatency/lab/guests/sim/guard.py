"""Kills what the guests' shells have left, also when the lab is killed itself, and no longer can."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Most end with their terminal. A program that was just starting is in no terminal's foreground, and what was put in
# the background may have a session of its own. The pipe's other end is the lab's alone: it closes when that dies.
# grep's exit status says nothing: it is that of an error as soon as one process may not be read, or has just ended.
# Two looks that find nothing: what a process forked just before it ended was in no list yet.
_SCRIPT = """\
trap '' INT TERM HUP QUIT
read -r none
round=0 empty=0
while [ $round -lt 200 ] && [ $empty -lt 2 ]; do
  found=$(grep -Flzs "KVLAB=$1/" /proc/[0-9]*/environ)
  empty=$((empty + 1))
  for one in $found; do
    empty=0
    one=${one#/proc/}
    kill -9 "${one%/environ}"
  done 2>/dev/null
  round=$((round + 1))
  [ $empty -gt 0 ] || sleep 0.05
done
"""


class Guard:
    """A process that outlives the lab for as long as it takes to kill all guests' processes in ``directory``."""

    def __init__(self, shell: str, directory: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the shell that the guests get
            [shell, "-c", _SCRIPT, shell, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Have it look once, and end; returns when no process is left."""
        self._process.communicate()
