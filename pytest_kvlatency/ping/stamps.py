"""Lines of ping that carry the time at which they came, and those times by one clock that never steps. Pure.

A reader in the guest writes before each line how many replies there are by now, a monotonic time (nanoseconds of
``/proc/timer_list``, or seconds of ``/proc/uptime``, which are cut to hundredths), and the wall clock where its shell
has ``EPOCHREALTIME`` (bash 5, BusyBox 1.34): ``12 21.53 1700000000.564255 64 bytes from …``. iputils' own ``-D`` stands
before its line, as wall clock too.

The monotonic time says when a line came, right to its resolution; the wall clock, which may be set meanwhile, says the
rest: what it is ahead of the monotonic one stays the same for as long as it is not set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.ping.lines import without_kernel_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What the reader prints in place of a line, before it reads the first one.
BEGIN: Final = "BEGIN"
#: What is printed where only the time is asked for.
NOW: Final = "NOW"
_UPTIME_NS: Final = 10_000_000
#: So many lines are looked at before and after one for what both clocks say of each other.
_AROUND: Final = 30
_STAMPED: Final = re.compile(
    r"(?P<count>[0-9]{1,9}) (?P<mono>[0-9]{1,19}|[0-9]{1,10}\.[0-9]{2})"
    r" (?P<wall>-|[0-9]{9,11}[.,][0-9]{6}) (?P<line>.*)"
)
# -D of iputils. The kernel's stamps have fewer digits: it would have to run for 31 years.
_OWN: Final = re.compile(r"\[(?P<wall>[0-9]{9,11}\.[0-9]{6})\] ")


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """When a line was read: not before ``low_ns`` and not after ``high_ns`` of a monotonic clock.

    ``wall_ns`` is the wall clock's time, which is finer, or that of ping itself, which is no later, and which may be
    set at any moment; None where there is none.
    """

    low_ns: int
    high_ns: int
    wall_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stamped:
    """``text`` is what ping printed; of its line ``n`` ``at_ns[n]`` says when it came, counted from when ping began.

    None for a line without a stamp. ``replies`` is how many replies the reader had counted at the last line.
    """

    text: str
    at_ns: tuple[int | None, ...]
    replies: int


def read(output: str) -> Stamped:
    """Take the stamps off what a reader wrote. A line that was torn keeps what stands before it, and has none."""
    found: list[tuple[str, Stamp | None]] = []
    began: Stamp | None = None
    replies = 0
    for raw in without_kernel_messages(output).split("\n"):
        match = _STAMPED.fullmatch(raw.strip("\r"))
        if match is None:
            found.append((raw, None))
            continue
        own = _OWN.match(match["line"])
        line = match["line"][own.end() :] if own else match["line"]
        stamp = stamp_of(match["mono"], match["wall"], own=own["wall"] if own else None)
        if line == BEGIN:
            began = began or stamp
            continue
        replies = max(replies, int(match["count"]))
        found.append((line, stamp))
    stamps = [began, *(stamp for _, stamp in found)]
    zero, *times = _monotonic(stamps)
    if zero is None:
        zero = next((time for time in times if time is not None), 0)
    return Stamped(
        text="\n".join(line for line, _ in found),
        at_ns=tuple(None if time is None else max(0, time - zero) for time in times),
        replies=replies,
    )


def only(output: str, line: str = NOW) -> Stamp | None:
    """The stamp of the first line that reads ``line``; None without one."""
    for raw in without_kernel_messages(output).split("\n"):
        match = _STAMPED.fullmatch(raw.strip("\r"))
        if match is not None and match["line"] == line:
            return stamp_of(match["mono"], match["wall"])
    return None


def stamp_of(mono: str, wall: str, *, own: str | None = None) -> Stamp:
    """The stamp that was written as ``mono`` and ``wall``; ``own`` is ping's own wall clock, taken before both."""
    wall_ns = _wall(own if own is not None else wall)
    if "." in mono:
        low = int(Decimal(mono) * 1_000_000_000)
        return Stamp(low_ns=low, high_ns=low + _UPTIME_NS, wall_ns=wall_ns)
    exact = int(mono)
    # No other clock of the reader's is better.
    return Stamp(low_ns=exact, high_ns=exact, wall_ns=wall_ns if own is not None else None)


def _wall(text: str) -> int | None:
    return None if text == "-" else int(Decimal(text.replace(",", ".")) * 1_000_000_000)


def _monotonic(stamps: Sequence[Stamp | None]) -> Iterator[int | None]:
    """The times of all lines by the monotonic clock, as fine as the wall clock gives them, in no case running back."""
    latest: int | None = None
    for stamp, ahead in zip(stamps, _ahead(stamps), strict=True):
        if stamp is None:
            yield None
            continue
        time = stamp.high_ns
        if stamp.wall_ns is not None and ahead is not None:
            time = min(stamp.wall_ns - ahead, stamp.high_ns)
        latest = time if latest is None else max(latest, time)
        yield latest


def _ahead(stamps: Sequence[Stamp | None]) -> list[int | None]:
    """For each line what the wall clock was ahead of the monotonic one, at least; None for a line without both.

    A reader may be late, or the monotonic time be cut: then the wall clock seems to be less ahead than it is. So it is
    the most that lines around say. The lines before a clock was set and those after it say different things: then the
    smaller is believed, which moves no line beyond what its own stamp bears out.
    """
    known = [(index, one.wall_ns - one.high_ns) for index, one in enumerate(stamps) if one and one.wall_ns]
    values = [value for _, value in known]
    found: list[int | None] = [None] * len(stamps)
    for number, (index, _) in enumerate(known):
        before = max(values[max(0, number - _AROUND) : number + 1])
        after = max(values[number : number + _AROUND + 1])
        is_set = abs(before - after) > _UPTIME_NS
        found[index] = min(before, after) if is_set else max(before, after)
    return found
