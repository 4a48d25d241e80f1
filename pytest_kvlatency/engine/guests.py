"""One guest: from the plan's key to a VMI that is booted, logged into and has its address."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import GuestFacts, Timings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.engine.lifetime import Watchdog
    from pytest_kvlatency.guest.address import GuestAddress
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.nad import NadFacts
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.ping.command import Dialect
    from pytest_kvlatency.plan.checks import VmiKey


@dataclass(kw_only=True)
class ReadyGuest:
    """A guest that can be measured from and to. ``node`` is where it was when it was last looked at."""

    key: VmiKey
    handle: VmiHandle
    profile: GuestProfile
    nad: NadFacts
    shell: Shell
    watchdog: Watchdog
    address: GuestAddress
    node: str
    #: None where the guest does not tell.
    software_emulation: bool | None
    create_seconds: float
    running_seconds: float
    login_seconds: float
    #: Empty where the guest does not tell.
    boot_id: str = ""
    #: Whether another guest of the run had its address before.
    has_used_address: bool = False
    dialect: Dialect | None = None
    #: Whether a live migration of it was asked for; there is only one for each guest.
    has_migrated: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def facts(self) -> GuestFacts:
        """What the reports say of it."""
        return GuestFacts(
            vmi_name=self.handle.name,
            namespace=self.handle.namespace,
            node=self.node,
            address=self.address.address,
            interface=self.address.interface,
            mac=self.address.mac,
            notes=(*self.address.notes, *self.notes),
            software_emulation=self.software_emulation,
        )


def check_distinct(pair: tuple[ReadyGuest, ReadyGuest], others: Iterable[ReadyGuest]) -> None:
    """Raise ``ConfigError`` when a guest of the pair shares its address with another guest on its network.

    Pings would be answered by the source itself, or by a guest beside it, and prove nothing. Only a network's own
    IPAM gives an address twice: host-local does on two nodes, for each knows nothing of the other.
    """
    for guest in pair:
        for other in (*pair, *others):
            if other is guest or other.key.nad != guest.key.nad:
                continue
            if other.address.address == guest.address.address:
                raise ConfigError(
                    f"the IPAM of NAD {guest.key.nad} gave the address {guest.address.address} twice: to VMI "
                    f"{guest.handle} on {guest.node}, and to VMI {other.handle} on {other.node}",
                    hint="host-local IPAM only knows the addresses of its own node: use whereabouts, or a NAD without "
                    "IPAM",
                    stage="setup",
                )


def setup_timings(*guests: ReadyGuest | None) -> Timings:
    """How long the guests' set-up took; each stage by the slower of them."""
    ready = [guest for guest in guests if guest is not None]
    if not ready:
        return Timings()
    return Timings(
        create=max(guest.create_seconds for guest in ready),
        running=max(guest.running_seconds for guest in ready),
        login=max(guest.login_seconds for guest in ready),
    )


def is_lost(future: Future[ReadyGuest]) -> bool:
    """Whether a guest did not come up."""
    return future.cancelled() or future.exception() is not None


def up_or_none(future: Future[ReadyGuest] | None) -> ReadyGuest | None:
    """A guest that is up; None for one that is not, or that nobody has asked for."""
    return future.result() if future is not None and future.done() and not is_lost(future) else None


def those_up(futures: Iterable[Future[ReadyGuest]]) -> list[ReadyGuest]:
    """The guests that are up."""
    return [guest for guest in map(up_or_none, futures) if guest is not None]


class Stopwatch:
    """Seconds since the last lap, by the monotonic clock."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last call, or since it was made."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        return seconds
