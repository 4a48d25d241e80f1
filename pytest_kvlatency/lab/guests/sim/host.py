"""What all guests of one simulated hypervisor share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kvlatency.lab.guests.sim.calls import CallServer
    from pytest_kvlatency.lab.guests.sim.guard import Guard
    from pytest_kvlatency.lab.guests.sim.network import Networks
    from pytest_kvlatency.lab.guests.sim.programs import ShellProgram
    from pytest_kvlatency.lab.guests.sim.reaper import Reaper
    from pytest_kvlatency.lab.spec.labspec import LabSpec


@dataclass(frozen=True, kw_only=True)
class Host:
    """``directory`` holds ``rc``, the guests' PATH (``programs``) and a directory for each guest."""

    spec: LabSpec
    directory: Path
    programs: Path
    fifo: Path
    shell: ShellProgram
    networks: Networks
    calls: CallServer
    reaper: Reaper
    guard: Guard
