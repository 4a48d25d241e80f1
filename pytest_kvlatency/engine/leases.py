"""Which guest has which address of the run's block, and which addresses are free again: their guests are gone."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.plan.addresses import AddressPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import GuestSpec
    from pytest_kvlatency.plan.addresses import AddressShare, Interface

#: A deletion takes about ten seconds; one that takes so long is stuck.
LEAVING_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 2.0


class Lease:
    """The address of one guest while that is being brought up."""

    def __init__(self, leases: Leases, address: Interface) -> None:
        self._leases = leases
        self._tokens: list[str] = []
        self.address = address

    @property
    def is_used(self) -> bool:
        """Whether another guest of the run had it before, so that its neighbours may still know that one's MAC."""
        return self._leases.was_used(self.address)

    def hold(self, token: str) -> None:
        """Keep the address for the VMI that comes of this request, as long as there is, or may be, one."""
        self._tokens.append(token)
        self._leases.hold(self.address, token)

    def replace(self, deadline: Deadline, say: Say) -> Interface:
        """Take another address: somebody outside of the run has this one. Raises as ``Leases.lease`` does."""
        self._leases.drop(self.address)
        self.address = self._leases.take(deadline, say)
        for token in self._tokens:
            self._leases.hold(self.address, token)
        return self.address


class Leases:
    """The addresses of one block. Thread-safe.

    An address is free again when no VMI that had it is in the cluster any more, or may be, and none was kept. What
    somebody outside of the run answers for never is.
    """

    def __init__(self, plan: AddressPlan, leftovers: Leftovers) -> None:
        self._plan = plan
        self._leftovers = leftovers
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        #: The requests of the VMIs that have, or had, each address.
        self._held: dict[Interface, set[str]] = {}
        #: Of guests that are being brought up.
        self._busy: set[Interface] = set()
        self._used: set[Interface] = set()

    @contextmanager
    def lease(self, deadline: Deadline, say: Say) -> Iterator[Lease]:
        """Bring a guest up inside. Where no address is left this waits for guests that are being deleted.

        Raises ``ConfigError`` when none is left, and as ``Deadline.check`` does.
        """
        lease = Lease(self, self.take(deadline, say))
        try:
            yield lease
        finally:
            with self._lock:
                self._busy.discard(lease.address)

    def take(self, deadline: Deadline, say: Say) -> Interface:
        """Return an address that nobody of the run has; as ``lease``."""
        limit = deadline.limit(LEAVING_SECONDS)
        while True:
            try:
                return self._take()
            except ConfigError as error:
                leaving = self._holders(self._leftovers.leaving)
                if not leaving or limit.expired():
                    deadline.check("an address for another guest")
                    raise self._explained(error, leaving) from None
            say(
                f"waiting for the address of VMI {leaving[0]}, which is being deleted",
                during="waiting for a free address",
                phase="free address",
            )
            with self._looking:
                self._leftovers.see_gone(leaving, limit.limit(_LOOK_SECONDS))

    def hold(self, address: Interface, token: str) -> None:
        """Know of a VMI that has the address, before it is created."""
        with self._lock:
            self._held[address].add(token)

    def drop(self, address: Interface) -> None:
        """Forget an address for good."""
        with self._lock:
            self._held.pop(address, None)
            self._busy.discard(address)

    def was_used(self, address: Interface) -> bool:
        """Whether it was given back before."""
        with self._lock:
            return address in self._used

    def _take(self) -> Interface:
        with self._lock:
            try:
                address = self._plan.take()
            except ConfigError:
                self._reclaim()
                address = self._plan.take()
            self._busy.add(address)
            self._held[address] = set()
            return address

    def _reclaim(self) -> None:
        """Give back what nothing holds any more; the lock is held."""
        idle = {address: tokens for address, tokens in self._held.items() if address not in self._busy}
        # Only now: a guest that was just brought up is on record before its address is idle.
        there = {one.token for one in (*self._leftovers.outstanding, *self._leftovers.kept)}
        for address, tokens in idle.items():
            if not tokens & there:
                del self._held[address]
                self._used.add(address)
                self._plan.give_back(address)

    def _holders(self, handles: tuple[VmiHandle, ...]) -> list[VmiHandle]:
        with self._lock:
            held = {token for tokens in self._held.values() for token in tokens}
        return [one for one in handles if one.token in held]

    def _explained(self, error: ConfigError, leaving: list[VmiHandle]) -> ConfigError:
        """The same cause, with what holds addresses that could be free."""
        hints = [error.hint]
        if leaving:
            names = ", ".join(map(str, leaving))
            hints.append(
                f"These VMIs still exist after {LEAVING_SECONDS:.0f} s and hold an address each: {names}"
            )
        if kept := self._holders(self._leftovers.kept):
            names = ", ".join(map(str, kept))
            hints.append(f"These VMIs are kept (--kv-keep) and hold an address each: {names}")
        return ConfigError(error.reason, hint="\n".join(hints))


class AddressBook:
    """The blocks of a run's addresses, one for each subnet that its guests name. Thread-safe."""

    def __init__(
        self, share: AddressShare, guests_by_subnet: Mapping[str | None, int], leftovers: Leftovers
    ) -> None:
        self._share = share
        self._guests_by_subnet = guests_by_subnet
        self._leftovers = leftovers
        self._lock = threading.Lock()
        self._leases: dict[str | None, Leases] = {}

    def leases(self, guest: GuestSpec) -> Leases:
        """The addresses that a guest may have."""
        with self._lock:
            known = self._leases.get(guest.subnet)
            if known is None:
                share = self._share
                # A subnet of a marker's holds the guests of its tests only. Each part of it must hold this process's.
                own = self._guests_by_subnet.get(guest.subnet, 0) * share.part[1]
                plan = AddressPlan(
                    run_id=share.run_id,
                    guests=max(2, share.guests if guest.subnet is None else own),
                    part=share.part,
                    subnet=None if guest.subnet is None else ip_network(guest.subnet),
                )
                known = self._leases[guest.subnet] = Leases(plan, self._leftovers)
            return known
