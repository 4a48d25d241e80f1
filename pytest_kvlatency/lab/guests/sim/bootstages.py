"""What cloud-init does while a simulated guest boots: its network, then the commands of the boot."""

from __future__ import annotations

import asyncio
import os
import shlex
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import datasource_wait_seconds
from pytest_kvlatency.lab.guests.cloudinit import read_user_data
from pytest_kvlatency.lab.guests.sim import unattended, wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kvlatency.lab.guests.base import GuestRequest
    from pytest_kvlatency.lab.guests.sim.machine import Machine


class BootStages:
    """The stages of one boot.

    ``emit`` prints on the console; ``later`` calls after so many seconds of the guest's; ``spawn`` starts the guest's
    shell as root with these arguments, returns its pid, and raises ``OSError``.
    """

    def __init__(
        self,
        request: GuestRequest,
        machine: Machine,
        *,
        emit: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], None],
        spawn: Callable[[Sequence[str]], int],
    ) -> None:
        self._request = request
        self._machine = machine
        self._emit = emit
        self._later = later
        self._spawn = spawn

    def run(self) -> None:
        """Run them all; without cloud-init, the kernel's link-local addresses are all there is."""
        stack = self._machine.stack
        for interface in stack.interfaces:
            stack.configure(interface, wiring.link_local(interface.mac), self._machine.clock.now())
        if self._machine.fault("no-cloud-init") is None:
            self._configure_network()
            self._run_commands()

    def _configure_network(self) -> None:
        if not self._request.network_data.strip():
            return
        if wait_seconds := datasource_wait_seconds(self._request):
            self._later(wait_seconds, self._apply_network_data)
        else:
            self._apply_network_data()

    def _apply_network_data(self) -> None:
        complaint = wiring.apply_network_data(self._machine, self._request.network_data)
        if complaint is not None:
            self._emit(f"cloud-init[402]: {complaint}\r\n")

    def _run_commands(self) -> None:
        commands = read_user_data(self._request.user_data).boot_commands
        if not commands:
            return
        # As cloud-init joins them.
        script = "".join(f"{one if isinstance(one, str) else shlex.join(one)}\n" for one in commands)
        try:
            pid = self._spawn(("sh", "-c", script))
        except OSError as error:
            self._emit(f"cloud-init[402]: failed to run bootcmd: {os.strerror(error.errno or 0)}\r\n")
        else:
            unattended.reap(asyncio.get_running_loop(), pid)
