"""A ping in the background of a guest, while something is done to its peer that may cut the network off for a while.

Each line gets the time at which it came from a reader in the guest (``ping/stamps``). Ping ends when it is told to, and
prints its counters then. Nothing of it needs the console while it runs: one that is lost costs nothing.
"""

from __future__ import annotations

import contextlib
import math
import re
import shlex
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import detached
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import ConfigError, GuestError, KvLatencyError
from pytest_kvlatency.model import STREAM_INTERVAL_NS
from pytest_kvlatency.ping import stamps
from pytest_kvlatency.ping.arrivals import corrected
from pytest_kvlatency.ping.command import Dialect, asked_of, compose, effective
from pytest_kvlatency.ping.complaints import find_error
from pytest_kvlatency.ping.interruption import with_overflow, without_end
from pytest_kvlatency.ping.output import parse, reads_whole

if TYPE_CHECKING:
    from pytest_kvlatency.console.detached import Detached
    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.model import PingParameters, PingResult
    from pytest_kvlatency.ping.stamps import Stamp

#: The intervals that a stream tries, in this order.
INTERVALS_NS: Final = (STREAM_INTERVAL_NS, 100_000_000, 200_000_000)
_CLOCK_READINGS: Final = 4
_GOOD_ERROR_NS: Final = 5_000_000
#: What was interrupted ends at once; its guest may be busy.
_END_SECONDS: Final = 20.0
_DISCARD_SECONDS: Final = 5.0
_LAST_BYTES: Final = 400
# Only what a shell does itself: a program for each line would cost a slow guest more than ping does.
_CLOCK: Final = """
LC_ALL=C; export LC_ALL
if { read -r x && read -r x && read -r a b m c; } </proc/timer_list && [ "$a $b $c" = "now at nsecs" ]; then
  now() { { read -r x; read -r x; read -r x x m x; } </proc/timer_list; e=${EPOCHREALTIME:--}; }
else
  now() { read -r m x </proc/uptime; e=${EPOCHREALTIME:--}; }
fi 2>/dev/null
"""
# What ping is told to do goes on standard error, too: the lines belong together. Ping has SIGINT ignored, and takes it.
_READ: Final = """
i=0; now; echo "$i $m $e {begin}"
sh -c 'echo $$ >"$0/ping"; {ping}' "$1" 2>&1 |
while IFS= read -r l || [ -n "$l" ]; do
  now
  case $l in *" bytes from "*) i=$((i + 1));; esac
  echo "$i $m $e $l"
done
"""
_LOOK: Final = """
now; echo "0 $m $e {now}"
"""
# BusyBox' ping has room for some 14 replies: the kernel drops what is answered beyond them in one go, and counts it.
# Before it says its first word ping may not be ready to be interrupted; iputils says it with its first reply.
_INTERRUPT: Final = """
d={directory} n=0
until [ -f $d/rc ] || [ $n -ge 60 ]; do
  if read -r p <$d/ping && {{ [ $n -ge 10 ] || {{ read -r x && read -r x; }} <$d/out; }}; then
    [ -f $d/full ] || {{
      s=$(ls -l /proc/$p/fd || {root}ls -l /proc/$p/fd); f=0
      while read -r x x x x x x x x x i x x m; do
        case $s in *"socket:[$i]"*) f=$((f + m));; esac
      done </proc/net/raw{version}
      echo $f >$d/full
    }}
    {kill}
  fi
  n=$((n + 1))
  sleep 0.1 || sleep 1
done 2>/dev/null
f=0; {{ read -r f <$d/full; }} 2>/dev/null
echo "full: $f"
"""
_FULL: Final = re.compile(r"^full: ([0-9]{1,9})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ClockReading:
    """Where the host's ``time.monotonic_ns()`` and a stream's time meet: right to ``error_ns`` either way.

    ``stream_ns`` counts from when ping began, as ``PingResult.replied_at_ns`` does.
    """

    monotonic_ns: int
    stream_ns: int
    error_ns: int

    def at(self, monotonic_ns: int, pace: float = 1.0) -> int:
        """The stream's time at a moment of the host's; ``pace`` is how fast the guest's clock runs beside ours."""
        return self.stream_ns + round((monotonic_ns - self.monotonic_ns) * pace)


class Stream:
    """A ping that runs in the guest of ``shell`` until ``stop``, or until its longest time is over."""

    def __init__(
        self,
        shell: Shell,
        address: str,
        parameters: PingParameters,
        dialect: Dialect,
        running: Detached,
        *,
        count: int,
    ) -> None:
        self.shell = shell
        self.parameters = effective(parameters, dialect)
        self._address = address
        self._dialect = dialect
        self._running = running
        self._count = count
        self._started = time.monotonic()
        self._started_at = datetime.now(timezone.utc)
        self._began: Stamp | None = None

    @classmethod
    def start(
        cls,
        shell: Shell,
        address: str,
        parameters: PingParameters,
        dialect: Dialect,
        deadline: Deadline,
        *,
        longest_seconds: float,
    ) -> Stream:
        """Start to ping ``address`` as ``parameters`` say, apart from how long: at most ``longest_seconds``.

        Raises ``GuestError`` where the guest has no ``/tmp`` to write to, and as ``Shell.run`` does.
        """
        actual = effective(parameters, dialect)
        count = max(1, math.ceil(longest_seconds * 1e9 / actual.interval_ns))
        command = compose(
            parameters, address, dialect=dialect, count=count, become_root="exec ", stamped=True
        )
        script = _CLOCK + _READ.format(begin=stamps.BEGIN, ping=command)
        running = detached.start(
            shell,
            f"{shell.profile.become_root}sh -c {shlex.quote(script)} sh $d",
            purpose=f"the ping of {address}",
            deadline=deadline,
        )
        if running is None:
            raise GuestError(
                f"the guest of VMI {shell.name} has no writable /tmp: a ping that runs beside other commands needs one",
                transcript=shell.transcript_end,
                stage="run",
            )
        return cls(shell, address, parameters, dialect, running, count=count)

    def clock(self, deadline: Deadline) -> ClockReading:
        """What the stream's time is now. Right to half of what the console takes for a question, or better."""
        began = self._beginning(deadline)
        look, root = _CLOCK + _LOOK.format(now=stamps.NOW), self.shell.profile.become_root
        script = f"{root}sh -c {shlex.quote(look)}" if root else f"({look})"
        low, high = -math.inf, math.inf
        for _ in range(_CLOCK_READINGS):
            asked = time.monotonic_ns()
            said = self.shell.run(script, purpose="reading its clock", deadline=deadline).output
            answered = time.monotonic_ns()
            found = stamps.only(said)
            if found is None:
                continue
            # Each reading says that the guest's clock stood at one time somewhere between two of ours.
            low = max(low, found.low_ns - began.high_ns - answered)
            high = min(high, found.high_ns - began.low_ns - asked)
            if high - low < 2 * _GOOD_ERROR_NS:
                break
        if math.isinf(low):
            raise GuestError(
                f"could not read the clock of the guest of VMI {self.shell.name}",
                transcript=self.shell.transcript_end,
                stage="run",
            )
        ahead = round((low + high) / 2)
        at = time.monotonic_ns()
        return ClockReading(
            monotonic_ns=at, stream_ns=at + ahead, error_ns=max(1, math.ceil(abs(high - low) / 2))
        )

    def replies(self, deadline: Deadline) -> int:
        """How many replies there are by now."""
        said = self.shell.run(
            f"tail -c {_LAST_BYTES} {self._running.directory}/out",
            purpose="counting the replies so far",
            deadline=deadline,
        ).output
        return stamps.read(said).replies

    def has_reply(self, deadline: Deadline, *, seconds: float) -> bool:
        """Wait for the first reply, at most so long, and not for a ping that has ended. False: there is none."""
        directory = self._running.directory
        until = f"n=0; until grep -q ' bytes from ' {directory}/out || [ -f {directory}/rc ]"
        waits = (
            f"{until} || [ $n -ge {math.ceil(10 * seconds)} ]; do n=$((n + 1)); sleep 0.1 || sleep 1; done"
        )
        self.shell.run(
            f"{{ {waits}; }} 2>/dev/null",
            purpose=f"the first reply of {self._address}",
            timeout_seconds=2 * seconds + _END_SECONDS,
            deadline=deadline,
        )
        return self.replies(deadline) > 0

    def has_ended(self, deadline: Deadline) -> bool:
        """Whether ping has ended by itself."""
        test = f"[ -f {self._running.directory}/rc ]"
        return self.shell.run(test, purpose="looking at the ping", deadline=deadline).exit_status == 0

    def stop(self, deadline: Deadline) -> PingResult:
        """End ping and read what it measured. Safe to repeat.

        Raises as ``parse`` does for output that is no measurement, and as ``Shell.run`` does.
        """
        seconds = time.monotonic() - self._started
        said = self.shell.run(
            self._interrupt(), purpose=f"the end of the ping of {self._address}", deadline=deadline
        ).output
        full = _FULL.search(said)
        asked = replace(
            asked_of(self.parameters, self._address, dialect=self._dialect, count=self._count), sent=None
        )
        is_busybox = self._dialect is not Dialect.IPUTILS
        stamped = stamps.read(self._collected(deadline))
        for _ in range(detached.READINGS - 1):
            if reads_whole(stamped.text, asked):
                break
            before, stamped = stamped, stamps.read(self._collected(deadline))
            if stamped == before:
                # So it stands in its file: no other program printed into it on the console.
                break
        result = parse(
            stamped.text,
            asked=asked,
            came_at_ns=stamped.at_ns,
            is_interrupted=is_busybox,
            started_at=self._started_at,
            duration_seconds=seconds,
        )
        result = with_overflow(result, int(full[1]) if full else 0)
        if is_busybox:
            result = corrected(result, self.parameters.interval_ns)
        return without_end(result, self.parameters.interval_ns)

    def discard(self) -> None:
        """End ping where nothing of it is wanted any more, and leave nothing of it in the guest, as ``remove``."""
        self._clean(self._interrupt() + self._removal(), purpose="the end of a ping")

    def remove(self) -> None:
        """Leave nothing of it in the guest, once it is read: it takes memory, and a process.

        Never raises; takes a few seconds at most.
        """
        self._clean(self._removal(), purpose="the removal of a ping's output")

    def _clean(self, script: str, *, purpose: str) -> None:
        with contextlib.suppress(KvLatencyError):
            self.shell.run(script, purpose=purpose, deadline=Deadline(_DISCARD_SECONDS))

    def _removal(self) -> str:
        # What ran it waits for a reader of its pipe, and would wait on without a file.
        directory = self._running.directory
        return f"[ ! -p {directory}/pipe ] || true <>{directory}/pipe; rm -rf {directory}"

    def _collected(self, deadline: Deadline) -> str:
        """What the reader has written, once ping has ended."""
        return detached.collect(
            self.shell,
            self._running,
            purpose=f"the ping of {self._address}",
            timeout_seconds=_END_SECONDS + self._count / 500,
            deadline=deadline,
        ).output

    def _interrupt(self) -> str:
        # The guest may have no sudo, and needs none for a process of its own.
        root = self.shell.profile.become_root
        kill = "kill -INT $p 2>/dev/null" + (f' || {root}sh -c "kill -INT $p"' if root else "")
        version = "6" if ":" in self._address else ""
        return _INTERRUPT.format(directory=self._running.directory, kill=kill, root=root, version=version)

    def _beginning(self, deadline: Deadline) -> Stamp:
        """When ping began, by the guest's clock."""
        if self._began is None:
            said = self.shell.run(
                f"until [ -s {self._running.directory}/out ]; do sleep 0.1 || sleep 1; done; "
                f"head -n 1 {self._running.directory}/out",
                purpose=f"the beginning of the ping of {self._address}",
                deadline=deadline,
            ).output
            self._began = stamps.only(said, stamps.BEGIN)
        if self._began is None:
            raise GuestError(
                f"the ping of {self._address} did not begin on VMI {self.shell.name}",
                transcript=self.shell.transcript_end,
                stage="run",
            )
        return self._began


def shortest_interval_ns(shell: Shell, dialect: Dialect, deadline: Deadline) -> int:
    """The shortest of ``INTERVALS_NS`` that the guest's ping allows its user; a second for one without ``-i``."""
    if dialect is Dialect.BUSYBOX_OLD:
        return 1_000_000_000
    for interval_ns in INTERVALS_NS[:-1]:
        said = shell.run(
            f"{shell.profile.become_root}ping -c 1 -i {interval_ns / 1e9:g} -W 1 127.0.0.1 2>&1",
            purpose="asking how often its ping may send",
            deadline=deadline,
        ).output
        if not isinstance(find_error(said), ConfigError):
            return interval_ns
    return INTERVALS_NS[-1]
