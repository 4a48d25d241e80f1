"""One simulated guest: powered on, booting, at its login prompt, in a shell, gone."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.lab.guests.base import GuestExit, HypervisorError
from pytest_kvlatency.lab.guests.cloudinit import read_user_data
from pytest_kvlatency.lab.guests.serialoutput import SerialOutput
from pytest_kvlatency.lab.guests.sim import bootmessages, commands, confine, wiring
from pytest_kvlatency.lab.guests.sim.bootstages import BootStages
from pytest_kvlatency.lab.guests.sim.clock import Clock
from pytest_kvlatency.lab.guests.sim.loginprompt import LoginPrompt
from pytest_kvlatency.lab.guests.sim.loginshell import ShellProcess
from pytest_kvlatency.lab.guests.sim.machine import Machine, find_fault
from pytest_kvlatency.lab.guests.sim.network import Stack
from pytest_kvlatency.lab.guests.sim.noise import Noise
from pytest_kvlatency.lab.guests.sim.processor import PROCESSORS
from pytest_kvlatency.lab.guests.sim.simmove import SimMove
from pytest_kvlatency.lab.guests.sim.strays import StrayLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.lab.guests.base import GuestRequest, Move
    from pytest_kvlatency.lab.guests.sim.calls import PipeCall
    from pytest_kvlatency.lab.guests.sim.host import Host
    from pytest_kvlatency.lab.guests.sim.machine import PingProgram
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

_SHUTDOWN_SECONDS = 0.2

_LOADER_SECONDS = 10.0

_Phase = Literal["off", "loader", "boot", "login", "shell", "down", "over"]


class SimGuest:
    """See ``base.Guest``."""

    def __init__(self, request: GuestRequest, host: Host, directory: Path) -> None:
        self._request = request
        self._host = host
        self._directory = directory
        self._phase: _Phase = "off"
        self._output = SerialOutput()
        self._shell: ShellProcess | None = None
        self._login: LoginPrompt | None = None
        self._machine: Machine | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._exit: asyncio.Future[GuestExit] | None = None
        self._tears = 0
        self._on_output: Callable[[], None] | None = None
        self._used = False
        self._cleaning: asyncio.Task[None] | None = None
        self._fedora = "fedora" in request.image
        self._silent = self._fault("silent") is not None
        self._noise: Noise | None = None
        self._stack = Stack(
            networks=host.networks,
            node=request.node,
            interfaces=wiring.interfaces(request.nics, changed=self._fault("mac-changed") is not None),
            taken=self._fault("address-taken"),
        )

    @property
    def over(self) -> bool:
        """Whether it is gone, and nothing of it is left."""
        return self._phase == "over" and (self._cleaning is None or self._cleaning.done())

    @property
    def serial_log(self) -> bytes:
        """See ``base.Guest``."""
        return self._output.log

    async def start(self) -> None:
        """See ``base.Guest``."""
        if self._phase != "off":
            raise HypervisorError(f"guest {self._request.name} was started before")
        self._exit = asyncio.get_running_loop().create_future()
        (self._directory / "root").mkdir(parents=True)
        self._boot()

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """See ``base.Guest``."""
        self._output.attach(sink)

    def detach(self, sink: Callable[[bytes], None]) -> None:
        """See ``base.Guest``."""
        self._output.detach(sink)

    def write(self, data: bytes) -> None:
        """See ``base.Guest``. What is typed before the login prompt is lost."""
        if self._silent or not data:
            return
        if self._machine is not None and self._machine.clock.is_paused:
            self._machine.clock.when_resumed(lambda: self.write(data))
            return
        if self._phase == "loader" and data.strip(b"\r\n"):
            # Where a key that means nothing to it leads a boot loader: to its own prompt, and nowhere from there.
            self._stop_timers()
            self._emit("\r\nBoot aborted.\r\ngrub> ")
        elif self._phase == "login" and self._login is not None:
            self._login.feed(data)
        elif self._phase == "shell" and self._shell is not None:
            self._shell.write(data)

    async def wait_exit(self) -> GuestExit:
        """See ``base.Guest``."""
        if self._exit is None:
            raise HypervisorError(f"guest {self._request.name} was never started")
        result = await asyncio.shield(self._exit)
        if self._cleaning is not None:
            await asyncio.shield(self._cleaning)
        return result

    async def addresses(self) -> Mapping[str, Sequence[str]]:
        """See ``base.Guest``."""
        if self._phase not in {"login", "shell"} or self._silent or not self._host.spec.agent:
            return {}
        return {
            interface.mac: [
                str(address.value.ip)
                for address in sorted(interface.addresses, key=lambda a: (a.value.version, a.link_local))
            ]
            for interface in self._stack.interfaces
        }

    async def prepare_move(self, node: str) -> Move:
        """See ``base.Guest``."""
        if self._machine is None or self._phase in {"off", "over"}:
            raise HypervisorError(f"guest {self._request.name} is not running")
        return SimMove(
            node=node,
            stack=self._stack,
            clock=self._machine.clock,
            spec=self._host.spec.migration,
            confuses=any(nic.has_container_interface for nic in self._request.nics),
            is_over=lambda: self._phase == "over",
        )

    async def shutdown(self) -> None:
        """See ``base.Guest``. Today's Alpine image has no acpid; Fedora goes down."""
        if self._fedora and self._phase in {"login", "shell"}:
            self._power("poweroff")

    async def kill(self) -> None:
        """See ``base.Guest``."""
        if self._exit is None:
            self._phase = "over"
            return
        self._end(GuestExit(how="stopped"))
        await self.wait_exit()

    # Power.

    def _boot(self) -> None:
        loop = asyncio.get_running_loop()
        clock = self._stack.clock = Clock(loop, self._host.spec.time_scale)
        self._phase = "boot"
        named = self._fault("no-cloud-init") is None
        self._machine = machine = Machine(
            clock=clock,
            stack=self._stack,
            dialect=_dialect(self._host.spec.dialect, fedora=self._fedora),
            processor=PROCESSORS[self._host.spec.accelerator],
            fedora=self._fedora,
            hostname=self._request.hostname if named else "localhost",
            faults=self._request.faults,
            power=self._power,
            strays=StrayLines(self._fault("stray-line")),
        )
        noise = self._fault("kernel-noise")
        self._noise = None if noise is None else Noise(int(noise.parameters.get("every", 5)), clock.now)
        machine.boot_log = commands.boot_log(machine)
        slow = self._fault("slow-boot")
        seconds = self._host.spec.boot_seconds + (0.0 if slow is None else slow.after_seconds)
        loader = self._fault("boot-loader")
        if loader is None:
            self._start_kernel(seconds)
        else:
            self._phase = "loader"
            self._later(loader.after_seconds or _LOADER_SECONDS, lambda: self._start_kernel(seconds))

    def _start_kernel(self, seconds: float) -> None:
        assert self._machine is not None  # noqa: S101 - set by _boot
        self._phase = "boot"
        self._emit("\r\n".join(self._machine.boot_log) + "\r\n")
        stages = BootStages(
            self._request,
            self._machine,
            emit=self._emit,
            later=self._later,
            spawn=lambda arguments: self._spawn(arguments, os.devnull, user="root"),
        )
        # Once the system is up, before its login prompt is.
        self._later(seconds - self._host.spec.boot_seconds / 2, stages.run)
        self._later(seconds, self._booted)

    def _booted(self) -> None:
        assert self._machine is not None  # noqa: S101 - set by _boot
        self._phase = "login"
        prompt, late = self._fault("password-prompt"), self._fault("password-late")
        passwords = self._passwords()
        self._login = login = LoginPrompt(
            hostname=self._machine.hostname,
            passwords={name: passwords[name] for name in passwords if not passwords[name] or late is None},
            emit=self._emit,
            later=self._later,
            accepted=self._accepted,
            password_prompt="Password: "
            if prompt is None
            else str(prompt.parameters.get("prompt", "Passwort: ")),
            is_expired=self._fault("password-expired") is not None,
        )
        if late is not None:
            self._later(late.after_seconds, lambda: login.set_passwords(passwords))
        if self._fault("already-logged-in") is not None:
            self._resume_command()
            return
        failed = self._fault("last-failed-login")
        self._emit(
            bootmessages.issue(fedora=self._fedora)
            + (bootmessages.last_failed_login() if failed is not None else "")
        )
        self._prompt()

    def _prompt(self) -> None:
        """Print the login prompt, torn by cloud-init's lines if the fault says so (once, or ``times``)."""
        assert self._login is not None  # noqa: S101 - set by _booted
        assert self._machine is not None  # noqa: S101 - set by _boot
        prompt = self._login.prompt
        torn = self._fault("torn-prompt")
        if torn is None or self._tears >= (torn.times or 1):
            self._emit(prompt)
            return
        self._tears += 1
        now = self._machine.clock.now()
        middle = len(prompt) - 5
        lines = [bootmessages.stamped(now, text) for text in bootmessages.CLOUD_INIT]
        self._emit(prompt[:middle] + lines[0] + "\r\n" + prompt[middle:])
        self._emit("\r\n".join(["", *lines[1:], ""]))

    def _power(self, how: str) -> None:
        """Go down; ``reboot`` comes up again in the same machine."""
        if self._phase not in {"boot", "login", "shell"}:
            return
        self._emit("\r\n" + bootmessages.SHUTDOWN.format(how=how))
        self._phase = "down"
        if how == "reboot":
            self._later(_SHUTDOWN_SECONDS, self._reboot)
        else:
            self._later(_SHUTDOWN_SECONDS, lambda: self._end(GuestExit(how="poweroff")))

    def _reboot(self) -> None:
        self._stop_timers()
        self._stack.clear()
        used = self._end_shell()
        self._cleaning = asyncio.ensure_future(self._boot_again(used=used))

    async def _boot_again(self, *, used: bool) -> None:
        """No program outlives a reboot."""
        if used:
            await self._host.reaper.reap(str(self._directory))
        if self._phase == "down":
            self._boot()

    def _end(self, result: GuestExit) -> None:
        if self._exit is None or self._exit.done():
            return
        self._phase = "over"
        self._stop_timers()
        self._stack.clear()
        used = self._end_shell()
        self._output.detach()
        self._cleaning = asyncio.ensure_future(self._clean_up(used=used))
        self._exit.set_result(result)

    async def _clean_up(self, *, used: bool) -> None:
        if used:
            await self._host.reaper.reap(str(self._directory))
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end_shell(self) -> bool:
        """Kill the shell; whether there ever was one (which may have left processes behind)."""
        self._host.calls.unregister(str(self._directory))
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        return self._used

    # The login shell.

    def _passwords(self) -> dict[str, str]:
        if self._fault("login-refused") is not None:
            return {}
        if self._fedora:
            return {"fedora": read_user_data(self._request.user_data).password or "fedora"}
        return {"root": ""}

    def _accepted(self, typed_ahead: bytes, *, sends_returns: bool) -> None:
        failed = self._fault("last-failed-login")
        text = bootmessages.last_failed_login() if failed is not None else ""
        self._emit(text + bootmessages.welcome(fedora=self._fedora))
        self._start_shell(sends_returns=sends_returns)
        if typed_ahead and self._shell is not None:
            self._shell.write(typed_ahead)

    def _spawn(self, arguments: Sequence[str], terminal: str, *, user: str) -> int:
        """Start the guest's shell; return its pid. Raises ``OSError``."""
        assert self._machine is not None  # noqa: S101 - set by _boot
        host = self._host
        environment = {
            "ENV": str(host.directory / "rc"),
            "HOME": str(self._directory / "root"),
            "KVLAB": str(self._directory),
            "LAB_HOST": self._machine.hostname,
            "LAB_PERSONA": "fedora" if self._fedora else "alpine",
            "LOGNAME": user,
            "PATH": str(host.programs),
            "SHELL": "/bin/bash" if self._fedora else "/bin/sh",
            "TERM": "vt100",
            "TMPDIR": str(self._directory / "tmp"),
            "USER": user,
        }
        self._used = True
        host.calls.register(str(self._directory), self._call)
        return confine.spawn(
            host.shell.path,
            arguments,
            environment,
            terminal=terminal,
            directory=self._directory,
            fifo=host.fifo,
        )

    def _start_shell(self, *, sends_returns: bool = True) -> None:
        shell, user = self._host.shell, "fedora" if self._fedora else "root"
        try:
            self._shell = ShellProcess(
                asyncio.get_running_loop(),
                spawn=lambda terminal: self._spawn(shell.arguments, terminal, user=user),
                on_output=self._emit_bytes,
                on_exit=self._logged_out,
                is_busybox=not self._fedora,
                sends_returns=sends_returns,
            )
        except OSError as error:
            self._emit(f"login: can't execute '{shell.path}': {os.strerror(error.errno or 0)}\r\n")
            self._prompt()
            return
        self._phase = "shell"

    def _logged_out(self) -> None:
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        if self._phase == "shell":
            self._phase = "login"
            self._emit("\r\n" + bootmessages.issue(fedora=self._fedora))
            self._prompt()

    def _resume_command(self) -> None:
        """Be where an earlier session left the console: in a shell, in the middle of a command."""
        fault = self._fault("already-logged-in")
        command = "cat" if fault is None else str(fault.parameters.get("command", "cat"))
        self._on_output = lambda: None if self._shell is None else self._shell.write(command.encode() + b"\n")
        self._start_shell()

    def _call(self, call: PipeCall) -> None:
        """Run a program for the shell."""
        if self._machine is None:
            call.close()
        else:
            commands.run(call, self._machine)

    # The console.

    def _emit(self, text: str) -> None:
        self._emit_bytes(text.encode())

    def _emit_bytes(self, data: bytes) -> None:
        if self._silent or not data:
            return
        if self._noise is not None and self._phase != "boot":
            data = self._noise.apply(data)
        self._output.add(data)
        if self._on_output is not None:
            first, self._on_output = self._on_output, None
            first()

    # Helpers.

    def _fault(self, name: str) -> FaultSpec | None:
        return find_fault(self._request.faults, name)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        assert self._machine is not None  # noqa: S101 - set by _boot
        clock = self._machine.clock

        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = clock.call_at(clock.now() + seconds, run)
        self._timers.add(timer)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _dialect(wanted: PingProgram, *, fedora: bool) -> PingProgram:
    """Fedora has iputils' ping in any case."""
    return "iputils" if fedora and not wanted.startswith("iputils") else wanted
