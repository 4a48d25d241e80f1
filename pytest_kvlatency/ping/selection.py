"""Which of the lines that ping printed are this ping's: replies to its requests, and its own statistics. Pure."""

from __future__ import annotations

import functools
import ipaddress
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from pytest_kvlatency.ping.complaints import PingDoubtful

if TYPE_CHECKING:
    from pytest_kvlatency.ping.lines import Printed, Reply, Summary

    Kind = Literal["ours", "elsewhere", "corrupted", "late", "stray", "nothing"]

#: The way out where something stands in ping's output that is not ping's.
MIXED_HINT: Final = (
    "something else prints into ping's output: check for programs that write to the guest's console, and at the "
    "guest's own ping"
)
_WRAP: Final = 0x10000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What ping was asked for, as far as it is known: without an address it is the one that ping names itself.

    ``sent`` is its ``-c``; ``first`` the number of its first request; no reply takes longer than ``longest_ns``.
    """

    address: str | None = None
    sent: int | None = None
    first: int | None = None
    longest_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The lines that are this ping's. ``elsewhere`` are replies to its requests that another address sent.

    ``strays`` are lines that look like replies and answer no request of this ping, ``late`` came below the statistics.
    """

    summary: Summary | None
    ours: tuple[tuple[int, Reply], ...]
    elsewhere: tuple[tuple[int, Reply], ...]
    corrupted: int
    strays: int
    late: int


def select(printed: Printed, asked: Asked) -> Selected:
    """Sort the lines. Raises ``PingDoubtful`` when there are statistics of more than one ping to that address."""
    target = _target(printed, asked)
    summary = _summary(printed, asked, target)
    sent = asked.sent if summary is None else summary.transmitted
    end = next((line for line, host in printed.headlines if target is None or _same(host, target)), None)
    found: dict[Kind, list[tuple[int, Reply]]] = defaultdict(list)
    highest = 0
    for reply in printed.replies:
        first = reply.first if asked.first is None else asked.first
        index = _unwrapped(reply.sequence - first, highest)
        kind = _kind(reply, index, target=target, sent=sent, end=end)
        if kind == "ours":
            highest = max(highest, index)
        found[kind].append((index, reply))
    return Selected(
        summary=summary,
        ours=tuple(found["ours"]),
        elsewhere=tuple(found["elsewhere"]),
        corrupted=len(found["corrupted"]),
        strays=len(found["stray"]),
        late=len(found["late"]),
    )


def _target(printed: Printed, asked: Asked) -> str | None:
    """The address that was pinged: as asked for, or as ping says in its first line or above its statistics."""
    named = (host for _, host in printed.headlines if _address(host) is not None)
    return asked.address or printed.target or next(named, None)


def _kind(reply: Reply, index: int, *, target: str | None, sent: int | None, end: int | None) -> Kind:
    """What a reply to request ``index`` is, when ``sent`` were sent and the statistics begin at line ``end``."""
    is_from_target = not reply.is_elsewhere and (target is None or _same(reply.sender, target))
    if index < 0 or (sent is not None and index >= sent):
        return "stray"
    if end is not None and reply.line > end:
        return "late" if is_from_target else "stray"
    if reply.is_corrupted:
        return "corrupted" if is_from_target else "nothing"
    return "ours" if is_from_target else "elsewhere"


def _summary(printed: Printed, asked: Asked, target: str | None) -> Summary | None:
    """The counters of this ping, from the lines mended or as they are; None when none can be trusted.

    A front torn off would leave a plausible line with a smaller count. Trusted is therefore only a line that follows
    its own headline, or that sent as many as asked.
    """
    mended, raw = ([one for one in some if _is_trusted(one, asked, target)] for some in printed.summaries)
    found = mended or raw
    if not found:
        return None
    summary = found[0]
    if any(one != summary for one in found):
        raise PingDoubtful("ping printed two summaries that differ", hint=MIXED_HINT)
    if summary.extremes:
        return summary
    # What was taken out of the lines may have held the minimum and maximum, too.
    return next((one for one in raw if replace(one, extremes=()) == summary), summary)


def _is_trusted(summary: Summary, asked: Asked, target: str | None) -> bool:
    if summary.host is None:
        return summary.transmitted == asked.sent
    return target is None or _same(summary.host, target)


def _unwrapped(index: int, highest: int) -> int:
    """The number near ``highest`` that shows as ``index`` in 16 bits: after a wrap they go on."""
    candidate = highest - highest % _WRAP + index
    if candidate < highest - _WRAP // 2:
        return candidate + _WRAP
    if candidate > highest + _WRAP // 2 and candidate >= _WRAP:
        return candidate - _WRAP
    return candidate


def _same(one: str, other: str) -> bool:
    """Whether both are one address, however it is written. BusyBox leaves a zone (``%eth0``) out."""
    return one == other or (_address(one) is not None and _address(one) == _address(other))


@functools.lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
