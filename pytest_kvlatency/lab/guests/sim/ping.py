"""ping, as BusyBox and iputils have it: options, sending, waiting for the last reply, exit status."""

from __future__ import annotations

import contextlib
import getopt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.sim.clock import Timeline
from pytest_kvlatency.lab.guests.sim.network import parse_address
from pytest_kvlatency.lab.guests.sim.pingtext import (
    BUSYBOX_USAGE,
    IPUTILS_USAGE,
    OLD_BUSYBOX_USAGE,
    BusyBoxWords,
    Counters,
    IputilsWords,
    Words,
)
from pytest_kvlatency.units import parse_duration

if TYPE_CHECKING:
    from pytest_kvlatency.lab.guests.sim.machine import Call, Machine, PingProgram
    from pytest_kvlatency.lab.guests.sim.network import Answered, Echo, IPAddress, Route

_OPTIONS: dict[PingProgram, str] = {
    "busybox": "46c:s:t:w:W:I:i:Aqvnp:",
    "busybox-old": "46c:s:t:w:W:I:qp:",
    "iputils": "46aAbBc:dDe:F:hI:i:l:Lm:M:nOp:qQ:rRs:S:t:T:UvVw:W:",
    "iputils-old": "46aAbBc:dDfF:hI:i:l:Lm:M:nOp:qQ:rRs:S:t:T:UvVw:W:",
}
_USAGE: dict[PingProgram, tuple[str, int]] = {
    "busybox": (BUSYBOX_USAGE, 1),
    "busybox-old": (OLD_BUSYBOX_USAGE, 1),
    "iputils": (IPUTILS_USAGE, 2),
    "iputils-old": (IPUTILS_USAGE, 2),
}
#: What iputils allows a user who is not root.
_SHORTEST_MS: dict[PingProgram, int] = {"iputils": 2, "iputils-old": 200}
_LAST_REPLY_SECONDS = 10.0
#: How long the fault queue holds requests back.
_QUEUE = "1.2s"
#: Between two packets of a queue that is emptied.
_APART_SECONDS = 0.00002


class _UsageError(Exception):
    """What ping says before it gives up, and whether its usage follows."""

    def __init__(self, text: str, *, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


@dataclass(kw_only=True)
class _PingOptions:
    host: str
    version: int | None = None
    count: int = 0
    interval: float = 1.0
    size: int = 56
    linger: float = _LAST_REPLY_SECONDS
    deadline: float | None = None
    source: str | None = None
    quiet: bool = False
    adaptive: bool = False
    stamps: bool = False
    outstanding: bool = False
    dont_fragment: bool = False


def ping(call: Call, machine: Machine) -> None:
    """Run ``ping`` or ``ping6``."""
    failure = 1 if machine.busybox else 2
    if machine.fault("ping-missing") is not None:
        call.err(
            f"{'-sh' if machine.busybox else '-bash'}: {call.name}: "
            + ("not found" if machine.busybox else "command not found")
        )
        call.exit(127)
        return
    if machine.fault("ping-not-permitted") is not None:
        call.err(
            "ping: permission denied (are you root?)"
            if machine.busybox
            else "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted\n"
            "ping: => missing cap_net_raw+p capability or setuid?"
        )
        call.exit(failure)
        return
    try:
        settings = _parse(list(call.arguments), machine.dialect, 6 if call.name == "ping6" else None)
        shortest = _SHORTEST_MS.get(machine.dialect, 0)
        if settings.interval * 1000 < shortest and not machine.is_root(call):
            raise _UsageError(f"ping: cannot flood; minimal interval allowed for user is {shortest}ms")  # noqa: TRY301
        _start(call, machine, settings)
    except _UsageError as error:
        usage, status = _USAGE[machine.dialect]
        if str(error):
            call.err(str(error))
        if error.usage:
            call.err(usage)
        call.exit(status)


def _start(call: Call, machine: Machine, settings: _PingOptions) -> None:
    address = _resolve(settings, machine)
    now = machine.clock.now()
    device = source = None
    shown: str | None = None
    if settings.source is not None:
        source = parse_address(settings.source)
        device = settings.source if source is None else None
        if device is not None and machine.stack.find(device) is None and device != "lo":
            raise _UsageError(
                f"ping: bad address '{device}'" if machine.busybox else f"ping: unknown iface: {device}"
            )
    route = machine.stack.route(address, now, device=device, source=source)
    words: Words = BusyBoxWords() if machine.busybox else IputilsWords(old=machine.dialect == "iputils-old")
    if machine.busybox and source is not None:
        shown = settings.source
    elif not machine.busybox and settings.source is not None and route is not None:
        shown = f"{route.source} {device or ''}"
    if route is None:
        if machine.busybox:
            call.out(words.header(settings.host, address, settings.size, shown))
            call.err("ping: sendto: Network unreachable")
            call.exit(1)
        else:
            call.err("ping: connect: Network is unreachable")
            call.exit(2)
        return
    call.out(words.header(settings.host, address, settings.size, shown))
    _RunningPing(call, machine, settings, address, route, words).start(now)
    call.flush()


class _RunningPing:
    """A ping under way."""

    def __init__(
        self,
        call: Call,
        machine: Machine,
        settings: _PingOptions,
        address: IPAddress,
        route: Route,
        words: Words,
    ) -> None:
        self._call = call
        self._machine = machine
        self._settings = settings
        self._address = address
        self._route = route
        self._words = words
        self._counters = Counters()
        self._answered: set[int] = set()
        self._timeline = Timeline(machine.clock, call.flush)
        self._stray = machine.strays.next_sample(settings.count)
        self._started = self._latest = self._emptied = 0.0
        self._turn = 0
        self._done = False

    def start(self, now: float) -> None:
        """Send the first request now."""
        self._started = self._latest = now
        self._call.on_interrupt = self._interrupted
        self._call.on_end = self._timeline.stop
        if self._settings.deadline is not None:
            self._timeline.at(now + self._settings.deadline, self._finish)
        self._send(now)

    def _send(self, now: float) -> None:
        settings, counters = self._settings, self._counters
        sequence = self._words.first_sequence + counters.transmitted
        if settings.outstanding and counters.transmitted and sequence - 1 not in self._answered:
            self._call.out(f"no answer yet for icmp_seq={sequence - 1}")
        counters.transmitted += 1
        self._latest = max(self._latest, now)
        overhead = 28 if self._address.version == 4 else 48
        interface = self._route.interface
        if settings.dont_fragment and interface is not None and settings.size + overhead > interface.mtu:
            self._call.err(f"ping: local error: message too long, mtu={interface.mtu}")
            counters.errors += 1
        else:
            self._request(sequence, now)
        if self._done:
            return
        self._turn += 1
        if self._sends_more():
            turn = self._turn
            self._timeline.at(now + settings.interval, lambda due: self._send_if_turn(turn, due))
        else:
            self._wait_for_the_last(now)

    def _request(self, sequence: int, now: float) -> None:
        route = self._machine.stack.route(self._address, now) or self._route
        echo = self._machine.stack.echo(route, self._address, self._settings.size, now)
        if echo.returns:
            late = self._queued(now)
            due = now + late + echo.arrives
            self._timeline.at(
                self._in_line(due) if late else due, _Request(self, sequence, now, late, route, echo)
            )
        if echo.unreachable is not None and not self._machine.busybox:
            self._timeline.at(now + echo.unreachable, lambda due: self._unreachable(sequence, due))

    def _queued(self, now: float) -> float:
        """How long a request that is sent now waits in the queue of the fault, which is emptied all at once."""
        fault = self._machine.fault("queue")
        if fault is None:
            return 0.0
        seconds = parse_duration(str(fault.parameters.get("delay", _QUEUE))) / 1e9
        begins = self._started + fault.after_seconds
        return begins + seconds - now if begins <= now < begins + seconds else 0.0

    def answered(self, request: _Request, now: float) -> None:
        """Let the replies to a request come back that has arrived, if it is answered."""
        answer = self._machine.stack.answer(request.route, self._address, now)
        if answer is None:
            return
        for number, rtt in enumerate(request.echo.returns):
            due = request.sent + request.late + answer.held + rtt
            waited = request.late or answer.held
            reply = _DueReply(self, request, answer, duplicate=number > 0)
            self._timeline.at(self._in_line(due) if waited else due, reply)

    def _in_line(self, due: float) -> float:
        """When it is the turn of one that waited and would come at ``due``: after all that waited before it."""
        self._emptied = max(due, self._emptied + _APART_SECONDS)
        return self._emptied

    def _send_if_turn(self, turn: int, now: float) -> None:
        if turn == self._turn and not self._done:
            self._send(now)

    def _sends_more(self) -> bool:
        if not self._settings.count or self._counters.transmitted < self._settings.count:
            return True
        # iputils with a deadline goes on until as many replies as asked for came back.
        return self._settings.deadline is not None and not self._machine.busybox

    def _wait_for_the_last(self, now: float) -> None:
        """Both wait long for a first reply, but only about two RTTs once there was one."""
        longest = max(self._counters.rtts_us, default=0) / 1_000_000
        if not self._counters.received:
            wait = self._settings.linger
        elif self._machine.busybox:
            wait = max(1, int(longest * 1_000_000 / (512 * 1024)))
        else:
            wait = max(2 * longest, self._settings.interval)
        self._timeline.at(now + wait, self._finish)
        self._finish_if_complete(now)

    def reply(self, request: _Request, answer: Answered, now: float, *, duplicate: bool) -> None:
        """Take one reply, if it gets through."""
        if self._done or not self._machine.stack.receives(request.route, self._address, answer, now):
            return
        counters = self._counters
        sequence, rtt_us = request.sequence, round((now - request.sent) * 1_000_000)
        self._latest = max(self._latest, now)
        if duplicate:
            counters.duplicates += 1
        else:
            counters.received += 1
            self._answered.add(sequence)
            self._note_pipe(sequence)
        shown = rtt_us if self._settings.size >= (4 if self._machine.busybox else 16) else None
        if shown is not None:
            counters.rtts_us.append(shown)
        if not self._settings.quiet:
            text = self._words.reply(self._address, self._settings.size, sequence, shown, duplicate=duplicate)
            for line in self._stray.around(text, str(self._address)):
                self._call.out(self._stamp(now) + line)
        if self._settings.adaptive and self._sends_more():
            self._turn += 1
            turn = self._turn
            self._timeline.at(now, lambda due: self._send_if_turn(turn, due))
        self._finish_if_complete(now)

    def _unreachable(self, sequence: int, now: float) -> None:
        if self._done:
            return
        self._latest = max(self._latest, now)
        self._counters.errors += 1
        self._note_pipe(sequence)
        what = (
            "Destination Host Unreachable"
            if self._address.version == 4
            else "Destination unreachable: Address unreachable"
        )
        if not self._settings.quiet:
            self._call.out(f"{self._stamp(now)}From {self._route.source} icmp_seq={sequence} {what}")
        self._finish_if_complete(now)

    def _stamp(self, now: float) -> str:
        return f"[{self._machine.clock.wall_time(now):.6f}] " if self._settings.stamps else ""

    def _note_pipe(self, sequence: int) -> None:
        self._counters.pipe = max(self._counters.pipe, self._counters.transmitted - sequence + 1)

    def _finish_if_complete(self, now: float) -> None:
        settled = self._counters.received + (0 if self._machine.busybox else self._counters.errors)
        if self._settings.count and settled >= self._settings.count:
            self._finish(now)

    def _interrupted(self) -> None:
        self._finish(self._machine.clock.now())

    def _finish(self, _now: float) -> None:
        if self._done:
            return
        self._done = True
        counters = self._counters
        counters.elapsed_ms = int((self._latest - self._started) * 1000)
        for line in self._stray.at_the_end(str(self._address)):
            self._call.out(line)
        self._call.out(self._words.statistics(self._settings.host, counters))
        too_few = self._settings.deadline is not None and counters.received < self._settings.count
        self._call.exit(1 if counters.received == 0 or too_few else 0)


class _Request:
    """A request on its way: a small object, for there may be many thousands of them."""

    __slots__ = ("_run", "echo", "late", "route", "sent", "sequence")

    def __init__(
        self, run: _RunningPing, sequence: int, sent: float, late: float, route: Route, echo: Echo
    ) -> None:
        self._run = run
        self.sequence = sequence
        self.sent = sent
        self.late = late
        self.route = route
        self.echo = echo

    def __call__(self, now: float) -> None:
        self._run.answered(self, now)


class _DueReply:
    """A reply on its way; as small."""

    __slots__ = ("_answer", "_duplicate", "_request", "_run")

    def __init__(self, run: _RunningPing, request: _Request, answer: Answered, *, duplicate: bool) -> None:
        self._run = run
        self._request = request
        self._answer = answer
        self._duplicate = duplicate

    def __call__(self, now: float) -> None:
        self._run.reply(self._request, self._answer, now, duplicate=self._duplicate)


def _resolve(settings: _PingOptions, machine: Machine) -> IPAddress:
    host = settings.host
    if host in {"localhost", machine.hostname}:
        host = "::1" if settings.version == 6 else "127.0.0.1"
    address = parse_address(host)
    if address is None or (settings.version is not None and address.version != settings.version):
        raise _UsageError(
            f"ping: bad address '{settings.host}'"
            if machine.busybox
            else f"ping: {settings.host}: Name or service not known"
        )
    return address


def _parse(arguments: list[str], dialect: PingProgram, version: int | None) -> _PingOptions:
    busybox = dialect.startswith("busybox")
    try:
        options, hosts = getopt.gnu_getopt(arguments, _OPTIONS[dialect])
    except getopt.GetoptError as error:
        if "requires argument" in error.msg:
            raise _UsageError(f"ping: option requires an argument -- '{error.opt}'", usage=True) from None
        letter = error.opt[:1] or "-"
        raise _UsageError(f"ping: invalid option -- '{letter}'", usage=True) from None
    values = dict(options)
    if "-V" in values:
        raise _UsageError(
            "ping utility, iputils-sss20101006" if dialect == "iputils-old" else "ping from iputils 20221126"
        )
    if not hosts:
        raise _UsageError("" if busybox else "ping: usage error: Destination address required", usage=busybox)
    settings = _PingOptions(host=hosts[-1], version=6 if "-6" in values else 4 if "-4" in values else version)
    for option, attribute, low, high in (
        ("-c", "count", 1, 2**31 - 1),
        ("-s", "size", 0, 65535 if busybox else 65507),
        ("-w", "deadline", 0, 2**31 - 1),
    ):
        if option in values:
            setattr(settings, attribute, _whole(values[option], low, high, busybox=busybox))
    if "-W" in values:
        settings.linger = _fraction(values["-W"], busybox=busybox)
    if "-i" in values:
        settings.interval = _fraction(values["-i"], busybox=busybox)
    settings.source = values.get("-I")
    settings.quiet = "-q" in values
    settings.adaptive = "-A" in values
    settings.stamps = "-D" in values
    settings.outstanding = "-O" in values
    if "-M" in values:
        if values["-M"] not in {"do", "dont", "want", "probe"}:
            raise _UsageError(f"ping: invalid -M argument: {values['-M']}")
        settings.dont_fragment = values["-M"] in {"do", "probe"}
    return settings


def _whole(text: str, low: int, high: int, *, busybox: bool) -> int:
    try:
        value = int(text)
    except ValueError:
        raise _UsageError(
            f"ping: invalid number '{text}'" if busybox else f"ping: invalid argument: '{text}'"
        ) from None
    if not low <= value <= high:
        raise _UsageError(
            f"ping: number {text} is not in {low}..{high} range"
            if busybox
            else f"ping: invalid argument: '{text}': out of range: {low} <= value <= {high}"
        )
    return value


def _fraction(text: str, *, busybox: bool) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 <= value < 2**31:
            return max(value, 0.001)
    raise _UsageError(f"ping: invalid number '{text}'" if busybox else f"ping: bad timing interval: '{text}'")
