"""Which dialect the guest's ping speaks, and the command to type (``output`` reads its answer). Pure."""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import GuestError
from pytest_kvlatency.ping.complaints import find_error
from pytest_kvlatency.ping.selection import Asked

if TYPE_CHECKING:
    from pytest_kvlatency.model import PingParameters

#: What to type to learn the dialect: BusyBox refuses ``-V`` and prints its usage, iputils its version.
PROBE: Final = "ping -V 2>&1"
#: How long ping waits after its last request while no reply at all has come (``-W``).
LATE_SECONDS: Final = 3
#: What is not answered for so long is lost: the shortest time that BusyBox listens after its last request. iputils
#: listens as long only while it sends.
LISTEN_SECONDS: Final = 1
_SLOW_INTERVAL_NS: Final = 1_000_000_000


class Dialect(enum.Enum):
    """The pings that are understood. ``BUSYBOX_OLD`` has no ``-i``: it pings once a second."""

    BUSYBOX = "busybox"
    BUSYBOX_OLD = "busybox_old"
    IPUTILS = "iputils"


def detect(usage_output: str) -> Dialect:
    """Which dialect the output of ``PROBE`` tells. Raises ``GuestError`` for no ping, or one not understood."""
    if "BusyBox" in usage_output:
        if not re.search(r"^\s*-c\b", usage_output, re.MULTILINE):
            raise GuestError(
                "the guest's BusyBox ping was built without options: expected one with -c, -s and -W",
                hint="use a guest image whose BusyBox has FEATURE_FANCY_PING, or one with iputils",
                transcript=usage_output,
            )
        has_interval = re.search(r"^\s*-i\b", usage_output, re.MULTILINE)
        return Dialect.BUSYBOX if has_interval else Dialect.BUSYBOX_OLD
    if "iputils" in usage_output:
        return Dialect.IPUTILS
    error = find_error(usage_output)
    if error is not None:
        raise error
    raise GuestError(
        "the guest's ping is neither BusyBox nor iputils",
        hint="use a guest image with BusyBox or iputils ping: --kv-image",
        transcript=usage_output,
    )


def effective(parameters: PingParameters, dialect: Dialect) -> PingParameters:
    """What this dialect really does: an old BusyBox pings once a second, whatever the interval asked for (E34)."""
    if dialect is Dialect.BUSYBOX_OLD:
        return replace(parameters, interval_ns=_SLOW_INTERVAL_NS)
    return parameters


def compose(
    parameters: PingParameters,
    address: str,
    *,
    dialect: Dialect,
    count: int | None = None,
    become_root: str = "",
    stamped: bool = False,
) -> str:
    """The command that pings ``address`` (an IP address, with or without a zone) ``count`` times.

    Without ``count``: as often as the sample holds. ``become_root`` stands before it (``"sudo "``): a user who is not
    root may not ping often. ``stamped`` has iputils print the wall clock before each line; BusyBox cannot. Raises
    ``ValueError`` when ``address`` is none.

    Both pings end when each request is answered, or else some time after the last one: ``LATE_SECONDS`` without
    any reply; with replies BusyBox waits twice the longest round trip, at least 1 s, and iputils twice the
    longest round trip, at least the interval. BusyBox gets ``-w`` as a bound far beyond. With iputils ``-w`` changes
    what ``-c`` means (it goes on sending until so many are *answered*), so there is none: the one who runs the command
    bounds it by ``bound_seconds``.
    """
    version = ipaddress.ip_address(address).version
    actual = effective(parameters, dialect)
    number = actual.count if count is None else count
    words = ["ping"]
    if dialect is Dialect.IPUTILS:
        # What becomes root takes a program, and may drop the shell's variables.
        words = [*(["env"] if become_root else []), "LC_ALL=C", "ping", "-n"]
        words += ["-D"] if stamped else []
    if version == 6:
        words.append("-6")
    words += ["-c", str(number)]
    if dialect is not Dialect.BUSYBOX_OLD:
        words += ["-i", _seconds(actual.interval_ns)]
    words += ["-W", str(LATE_SECONDS), "-s", str(actual.packet_size)]
    if dialect is not Dialect.IPUTILS:
        words += ["-w", str(bound_seconds(parameters, dialect=dialect, count=number))]
    elif actual.dont_fragment:
        words += ["-M", "do"]
    return become_root + " ".join([*words, address])


def asked_of(parameters: PingParameters, address: str, *, dialect: Dialect, count: int) -> Asked:
    """What the answer to ``compose`` is held against. iputils counts from 1, BusyBox from 0."""
    return Asked(
        address=address,
        sent=count,
        first=1 if dialect is Dialect.IPUTILS else 0,
        longest_ns=bound_seconds(parameters, dialect=dialect, count=count) * 1_000_000_000,
    )


def bound_seconds(parameters: PingParameters, *, dialect: Dialect, count: int | None = None) -> int:
    """Seconds after which the command has surely ended: twice what it should take, and half a minute."""
    actual = effective(parameters, dialect)
    number = actual.count if count is None else count
    return math.ceil(2 * number * actual.interval_ns / 1e9) + LATE_SECONDS + 30


def surplus_of(parameters: PingParameters, dialect: Dialect) -> int:
    """Requests beyond a sample that have ping listen for ``LISTEN_SECONDS`` after the sample's last one.

    BusyBox does so by itself. iputils ends an interval after its last request when the others were answered quickly:
    at 10 ms a last reply that takes 50 ms is lost to it (seen with 20210202 to 20250605). Afterwards nobody can tell
    such a reply from a lost one, and a second sample would not: it would pass over real losses.
    """
    if dialect is not Dialect.IPUTILS:
        return 0
    return math.ceil(LISTEN_SECONDS * 1e9 / parameters.interval_ns) - 1


def required_mtu(packet_size: int, address: str) -> int:
    """The MTU that carries a payload of ``packet_size`` bytes to ``address`` in one piece."""
    return packet_size + (28 if ipaddress.ip_address(address).version == 4 else 48)


def _seconds(nanoseconds: int) -> str:
    text = f"{Decimal(nanoseconds) / 1_000_000_000:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
