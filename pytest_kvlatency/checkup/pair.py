"""What ``kv_pair`` and ``kv_ping`` give: both guests, for a test's own commands, and a way to measure them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.engine.lifetime import CONSOLE_SECONDS
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    CommandError,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    again,
)
from pytest_kvlatency.units import parse_duration, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.console.shell import CommandResult
    from pytest_kvlatency.console.spawn import ConsoleSpawn
    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.model import NadRef
    from pytest_kvlatency.ping.latency import Latency

DEFAULT_TIMEOUT_SECONDS = 60.0
#: So much of a command stands in an error.
SHOWN_CHARACTERS = 200
# pytest leaves this module's frames out of the traceback of a test: the test's own line tells.
__tracebackhide__ = True
T = TypeVar("T")


class PairGuest:
    """One guest of a pair: ``node``, ``vmi_name``, ``address``, its ``console`` and ``run``."""

    def __init__(self, guest: ReadyGuest, stop: Stop) -> None:
        self._guest = guest
        self._stop = stop

    def __repr__(self) -> str:
        return f"<guest {self.vmi_name} on {self.node}, {self.address}>"

    @property
    def node(self) -> str:
        """The node it runs on."""
        return self._guest.node

    @property
    def vmi_name(self) -> str:
        """The name of its VirtualMachineInstance."""
        return self._guest.handle.name

    @property
    def address(self) -> str:
        """Its address on the network under test, without prefix length."""
        return self._guest.address.address

    @property
    def console(self) -> ConsoleSpawn:
        """A pexpect spawn on its serial console, logged in.

        Nothing else may be typed there while the test has it in its own hands: so its guest is kept for a day.
        """
        watchdog = self._guest.watchdog
        if not self._guest.shell.is_in_use and not watchdog.lasts(CONSOLE_SECONDS / 2):
            watchdog.cover(CONSOLE_SECONDS)
        return asked_for(lambda: self._guest.shell.console)

    def run(
        self, command: str, *, timeout: float | str = DEFAULT_TIMEOUT_SECONDS, check: bool = False
    ) -> CommandResult:
        """Run a shell command; the result has ``.output`` and ``.exit_status``.

        ``timeout`` is in seconds, or a duration such as ``"2m"``. Raises ``CommandError`` for a non-zero status when
        ``check`` is true, and ``GuestError`` when the command does not end in time, or the console is lost while it
        runs: nobody but its author knows whether it may run twice.
        """
        shown = command if len(command) <= SHOWN_CHARACTERS else f"{command[:SHOWN_CHARACTERS]}…"
        seconds = to_seconds(parse_duration(timeout)) if isinstance(timeout, str) else float(timeout)
        self._guest.watchdog.cover(seconds)
        result = asked_for(
            lambda: self._guest.shell.run(
                command,
                purpose=f"the command {shown!r}",
                timeout_seconds=seconds,
                stop=self._stop,
                rerunnable=False,
                may_leave_jobs=True,
            )
        )
        if check and result.exit_status != 0:
            raise CommandError(command=command, exit_status=result.exit_status, output=result.output)
        return result


class Pair:
    """Two guests on one network: ``nad`` (``NAMESPACE/NAME``), ``source`` and ``target``."""

    def __init__(self, *, nad: NadRef, source: PairGuest, target: PairGuest) -> None:
        self.nad = str(nad)
        self.source = source
        self.target = target

    def __repr__(self) -> str:
        return f"<pair on {self.nad}: {self.source!r} and {self.target!r}>"


class Ping:
    """Call it with ping parameters to measure the item's pair again."""

    def __init__(self, measure: Callable[[dict[str, object]], Latency]) -> None:
        self._measure = measure

    def __call__(self, *unnamed: object, **parameters: object) -> Latency:
        """Measure with ``sample_duration``, ``interval``, ``packet_size``, ``dont_fragment`` or ``warmup`` changed.

        Raises ``ConfigError`` for a wrong parameter, and what a measurement raises; limits do not apply.
        """
        if unnamed:
            raise ConfigError("kv_ping takes keyword arguments only, such as kv_ping(packet_size=1400)")
        return self._measure(parameters)


def asked_for(ask: Callable[[], T]) -> T:
    """Return what a test asks for; the error, if it is one, begins here.

    A test learns nothing from the frames of the console below, and some of them hold the cluster's credentials.
    """
    try:
        return ask()
    except KvLatencyError as error:
        failure = again(error)
    if isinstance(failure, InterruptedRunError | CheckupTimeoutError):
        # The pair has been set up.
        failure.stage = "run"
    raise failure
