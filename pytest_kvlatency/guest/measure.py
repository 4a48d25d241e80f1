"""Pinging from one guest to another: dialect, MTU, warm-up, the sample, and what its silence means."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console.detached import run_detached
from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, ConfigError, GuestError, PermissionDeniedError
from pytest_kvlatency.guest import iproute
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.ping.command import (
    PROBE,
    Dialect,
    asked_of,
    bound_seconds,
    compose,
    detect,
    effective,
    required_mtu,
    surplus_of,
)
from pytest_kvlatency.ping.complaints import PingDoubtful
from pytest_kvlatency.ping.output import parse, reads_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.model import PingParameters, PingResult

WARM_UP_SECONDS: Final = 30.0
#: Each waits a second of the guest's time: where that runs faster than ours, the warm-up ends sooner.
WARM_UP_ATTEMPTS: Final = 30
_UNANSWERED: Final = re.compile(r"1 packets transmitted, 0 (?:packets )?received, 100% packet loss")
PAUSES: Final = Backoff(first=0.05, longest=1.0)


def detect_dialect(shell: Shell, deadline: Deadline) -> Dialect:
    """Which ping the guest has. Raises ``GuestError`` for none (E38)."""
    probe = shell.profile.become_root + PROBE
    purpose = "checking its ping program"
    said = shell.run(probe, purpose=purpose, deadline=deadline).output
    try:
        return detect(said)
    except GuestError:
        # What else prints on the console meanwhile may have torn the word that tells.
        return detect(shell.run(probe, purpose=purpose, deadline=deadline).output)


def check_mtu(parameters: PingParameters, address: str, mtus: Mapping[str, int]) -> None:
    """Raise ``ConfigError`` when a packet that must not be fragmented exceeds the MTU of a guest (E27).

    ``mtus`` has both guests' by name. BusyBox would fragment silently, iputils would refuse to send.
    """
    needed = required_mtu(parameters.packet_size, address)
    if parameters.dont_fragment and needed > min(mtus.values()):
        both = " and ".join(f"{mtu} on {name}" for name, mtu in mtus.items())
        largest = min(mtus.values()) - (needed - parameters.packet_size)
        raise ConfigError(
            f"--kv-packet-size {parameters.packet_size} with --kv-dont-fragment needs an MTU of {needed}, but the "
            f"guests' is {both}",
            hint=f"use --kv-packet-size {largest} or less",
            stage="setup",
        )


def warm_up(
    shell: Shell, address: str, parameters: PingParameters, dialect: Dialect, deadline: Deadline
) -> float:
    """Wait for ``parameters.warmup`` replies, at most 30 s (E35): what is lost is no loss. Seconds that it took.

    Small packets warm up, whatever the sample's size: what they are for is ARP and the setting up of flows.
    """
    started, replies, misses, pauses = time.monotonic(), 0, 0, iter(PAUSES)
    while (
        replies < parameters.warmup
        and misses < WARM_UP_ATTEMPTS
        and time.monotonic() - started < WARM_UP_SECONDS
    ):
        deadline.check(f"a reply of {address} to VMI {shell.name}")
        asked_at = time.monotonic()
        answered = shell.run(
            _one_ping(shell, address, dialect),
            purpose=f"the first ping of {address}",
            deadline=deadline,
            timeout_seconds=20.0,
        )
        if answered.exit_status == 0:
            replies += 1
            continue
        misses += 1
        if time.monotonic() - asked_at < 0.5 and not _UNANSWERED.search(answered.output):
            # Ping gave up at once (no route yet, a neighbour that failed before): asking faster does not help.
            deadline.pause(next(pauses), f"a reply of {address} to VMI {shell.name}")
    return time.monotonic() - started


def take_sample(
    shell: Shell,
    address: str,
    parameters: PingParameters,
    dialect: Dialect,
    deadline: Deadline,
    *,
    mtu: int = 0,
) -> PingResult:
    """Ping as ``parameters`` say, in the guest's background: a lost console does not lose the sample (E10).

    What contradicts itself, or was answered by another address, is measured again, once (E75); the second time
    stands. ``mtu`` is that of the guest's own interface, where it is known.

    Raises as ``parse`` does for output that is no measurement, and as ``Shell.run`` does.
    """
    sample = partial(_sample, shell, address, parameters, dialect, deadline, mtu=mtu)
    try:
        first = sample()
    except PingDoubtful as error:
        doubt: PingDoubtful | None = error
        why = error.reason
    else:
        if not first.answered_elsewhere:
            return first
        doubt, why = None, f"another address answered ({', '.join(first.answered_elsewhere)})"
    try:
        second = sample()
    except CheckupTimeoutError:
        if doubt is None:
            return first
        raise doubt from None
    return replace(second, warnings=(f"discarded the first sample: {why}", *second.warnings))


def _sample(
    shell: Shell, address: str, parameters: PingParameters, dialect: Dialect, deadline: Deadline, *, mtu: int
) -> PingResult:
    """One sample. iputils sends a surplus, which is no part of it: while it sends, it listens for late replies."""
    actual, surplus = effective(parameters, dialect), surplus_of(parameters, dialect)
    sent = actual.count + surplus
    asked = asked_of(parameters, address, dialect=dialect, count=sent)
    started, started_at = time.monotonic(), datetime.now(timezone.utc)
    result = run_detached(
        shell,
        compose(parameters, address, dialect=dialect, count=sent, become_root=shell.profile.become_root),
        purpose=f"the ping of {address}",
        timeout_seconds=bound_seconds(parameters, dialect=dialect, count=sent),
        deadline=deadline,
        is_whole=lambda output: reads_whole(output, asked),
    )
    seconds = time.monotonic() - started - surplus * actual.interval_ns / 1e9
    return parse(
        result.output,
        expected_count=actual.count,
        surplus=surplus,
        asked=asked,
        fits=required_mtu(parameters.packet_size, address) <= mtu,
        started_at=started_at,
        duration_seconds=max(0.0, seconds),
    )


def explain_silence(shell: Shell, interface: str, address: str, dialect: Dialect, deadline: Deadline) -> str:
    """Say how far a ping got that nobody answered: whether the neighbour's MAC is known, or not even that (E28).

    A kernel knows for most of a minute what was answered before the silence: it is made to forget, and asks anew.
    The sample is made: a console, an API server or a checkup whose time is over changes nothing of it.
    """
    is_ipv6 = ":" in address
    what = "neighbour discovery" if is_ipv6 else "ARP"
    forget = f"{shell.profile.become_root}ip neigh flush to {address} dev {interface}"
    anew = f"{forget} >/dev/null 2>&1; {_one_ping(shell, address, dialect)} >/dev/null; ip neigh show dev {interface}"
    try:
        purpose = f"reading the neighbour {address}"
        table = shell.run(anew, purpose=purpose, deadline=deadline).output
        answers = iproute.neighbour_answers(table, address)
        if answers is None and not is_ipv6:
            table = shell.run("cat /proc/net/arp", purpose=purpose, deadline=deadline).output
            answers = iproute.arp_answers(table, address)
    except (GuestError, CheckupTimeoutError, KubeApiError, PermissionDeniedError):
        answers = None
    if answers is None:
        return f"could not tell whether {what} is answered"
    if answers:
        return f"{what} is answered, but ICMP is not"
    return f"not even {what} is answered"


def _one_ping(shell: Shell, address: str, dialect: Dialect) -> str:
    flag = " -6" if ":" in address and dialect is not Dialect.BUSYBOX_OLD else ""
    name = "ping6" if ":" in address and dialect is Dialect.BUSYBOX_OLD else "ping"
    return f"{shell.profile.become_root}{name}{flag} -c 1 -W 1 {address} 2>&1"
