"""What ping complains of, and whose fault it is: the guest's, the configuration's, or the network's. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import ConfigError, ConnectivityError, GuestError

if TYPE_CHECKING:
    from pytest_kvlatency.errors import KvLatencyError, Stage


class PingUnreadable(GuestError):  # noqa: N818 - reads as what it says of the output
    """Ping ran, but its output does not say for sure what came of it."""

    stage: Stage = "run"


class PingDoubtful(PingUnreadable):
    """What ping printed is incomplete or contradicts itself: measured again, it may not."""


# glibc and musl word errno differently ("Network is unreachable", "Network unreachable"): both stand here.
#: How a complaint reads, in whatever case; what is wrong with the guest, and the way out.
_GUEST: Final = (
    (
        r"ping6?['\u2019]?: (?:(?:command |applet )?not found|No such file or directory)",
        "the guest has no ping",
        "use a guest image with BusyBox or iputils ping: --kv-image",
    ),
    (
        r"sudo: .*(?:password is required|terminal is required|not in the sudoers file|not allowed)|doas: ",
        "the guest's user cannot become root for ping",
        "let the user become root without a password, or leave become_root out of the guest profile",
    ),
    (
        r"Network (?:is )?unreachable",
        "the guest has no route to its peer's address: Network is unreachable",
        "the guest's interface has no address of that network, or is down",
    ),
    (
        # connect() is refused (EACCES) by a prohibiting route too; iputils takes that for a broadcast address.
        r"Operation not permitted|permission denied|Do you want to ping broadcast",
        "the guest does not let ping send",
        "log in as root, or check the guest's image for packet filters",
    ),
    (
        r"bad address|Name or service not known|unknown host|Name does not resolve|Temporary failure in name",
        "the guest's ping does not understand the address",
        "use a guest image whose ping supports IPv6",
    ),
    (
        r"Address not available|Cannot assign requested address|No such device|Network is down",
        "the guest's interface is not usable",
        "run `ip addr` in the guest: the interface is down or has lost its address",
    ),
    (
        (
            r"(?:invalid|unrecognized|illegal) option|invalid (?:number|argument)|bad (?:linger|timing|wait)"
            r"|not in .* range|out of range"
        ),
        "the guest's ping refuses its arguments",
        "--kv-interval or --kv-packet-size may be out of its range, or it is not the ping that it seems to be",
    ),
    (
        r"address family not supported|protocol not supported|can't create raw socket",
        "the guest cannot open a socket for ping",
        "its kernel may not support IPv6; log in as root",
    ),
    (
        r"(?:No buffer space available|Cannot allocate memory|Out of memory)",
        "the guest has no memory for ping's packets",
        "give the guest more memory, or ping less often: --kv-interval",
    ),
)
# "cannot flood; minimal interval allowed for user is 200ms"; 2 ms since 20210722, and worded anew in 2023:
# "cannot flood, minimal interval for user must be >= 2 ms, use -i 0.002 (or higher)".
_TOO_FAST: Final = re.compile(r"minimal interval\b[^0-9]*(?P<ms>[0-9]+) ?ms", re.IGNORECASE)
_TOO_LONG: Final = re.compile(r"message too l(?:ong|arge)(?:, mtu ?[=:] ?(?P<mtu>\d+))?", re.IGNORECASE)
_ON_THE_WAY: Final = re.compile(r"Frag(?:mentation)? needed|Packet too big", re.IGNORECASE)
_PATH_MTU: Final = re.compile(
    r"(?:Frag needed and DF set \(|Packet too big: |message too long, )mtu ?[=:] ?(\d+)", re.IGNORECASE
)
_NOBODY: Final = re.compile(
    r"(?:sendto|sendmsg|connect): (?:Host is unreachable|No route to host)", re.IGNORECASE
)
_SPEAKS: Final = re.compile(r"(?:\S*/)?(?:ping6?|-?[a-z]*sh|busybox|sudo|doas|env)\b[^:]*: ")


def find_error(output: str, *, fits: bool = False) -> KvLatencyError | None:
    """The first complaint of ping itself (or of the shell about it) as the exception to raise; None without one.

    ``fits``: the own interface is known to carry the packet. A kernel that was told of a narrower path, and remembers
    it for ten minutes, then words its refusal as it does for its own interface.

    Only lines that ping or a shell speaks are looked at: kernel messages may hold the same words.
    """
    for said in map(str.strip, output.splitlines()):
        error = _error_in(said, output, fits=fits) if _SPEAKS.match(said) else None
        if error is not None:
            error.transcript = output
            return error
    return None


def _error_in(said: str, output: str, *, fits: bool) -> KvLatencyError | None:
    """The exception for one line of ``output``, if it is a complaint."""
    too_long = _TOO_LONG.search(said)
    if too_long is not None and not fits and not _ON_THE_WAY.search(output):
        return _too_long_packet(too_long["mtu"])
    too_fast = _TOO_FAST.search(said)
    if too_fast is not None:
        return _refused_interval(too_fast["ms"], said)
    if _NOBODY.search(said):
        return ConnectivityError(
            "failed to run check: failed due to connectivity issue: no answer for that address (no ARP or "
            "neighbour reply)",
            hint="the two guests cannot reach each other on the network at all",
        )
    for pattern, reason, hint in _GUEST:
        if re.search(pattern, said, re.IGNORECASE):
            return GuestError(f"{reason} ({said})", hint=hint, stage="run")
    return None


def _too_long_packet(mtu: str | None) -> ConfigError:
    own = f" ({mtu} bytes)" if mtu else ""
    return ConfigError(
        f"the packet is longer than the MTU of the guest's own interface{own}",
        hint="choose a smaller --kv-packet-size, or raise the MTU of the guest's interface",
        stage="setup",
    )


def _refused_interval(milliseconds: str, said: str) -> ConfigError:
    least = f"{milliseconds}ms"
    return ConfigError(
        f"--kv-interval is too short: the guest's ping needs at least {least} for a user who is not root ({said})",
        hint=f"use --kv-interval {least} or longer, or a guest profile that logs in as root or has become_root",
        stage="setup",
    )


def path_mtu(output: str) -> int | None:
    """The narrowest MTU that ping was told of, by the way or by its own kernel."""
    return min((int(found) for found in _PATH_MTU.findall(output)), default=None)


def count_unsent(output: str) -> int:
    """How many requests never left the guest: iputils says so of each, and counts it as transmitted."""
    return sum(isinstance(find_error(line), GuestError) for line in output.splitlines())
