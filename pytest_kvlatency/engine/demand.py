"""Who still needs each guest: tests, measurements ahead, and tickets. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kvlatency.plan.checks import vmi_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kvlatency.engine.ticket import Ticket
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey


@dataclass(kw_only=True)
class _Need:
    """What one guest is needed for.

    ``tests`` have it in their plan and are not over. ``measurements`` ahead are planned, or run. ``tickets`` ask for it
    now.
    """

    tests: int = 0
    measurements: int = 0
    tickets: set[Ticket] = field(default_factory=set)


class Demand:
    """What each guest is still needed for. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._needs: defaultdict[VmiKey, _Need] = defaultdict(_Need)

    def plan(self, checks: Iterable[Check]) -> None:
        """Count the tests that will use each guest."""
        for need in self._needs.values():
            need.tests = 0
        for check in checks:
            self.add_test(check)

    def add_test(self, check: Check) -> None:
        """Count one test more."""
        for key in vmi_keys(check):
            self._needs[key].tests += 1

    def end_test(self, check: Check) -> list[VmiKey]:
        """Count one test less; the guests that none needs any more."""
        keys = vmi_keys(check)
        for key in keys:
            self._needs[key].tests -= 1
        return [key for key in dict.fromkeys(keys) if self._needs[key].tests <= 0]

    def add_measurement(self, check: Check) -> None:
        """Count one measurement ahead more."""
        for key in vmi_keys(check):
            self._needs[key].measurements += 1

    def begin_measurement(self, check: Check) -> list[bool]:
        """Count one measurement less to begin; of each guest, whether none that is planned needs it after this one."""
        keys = vmi_keys(check)
        for key in keys:
            self._needs[key].measurements -= 1
        return [self._needs[key].measurements <= 0 for key in keys]

    def add_ticket(self, ticket: Ticket) -> None:
        """Know that a ticket asks for its guests."""
        for key in vmi_keys(ticket.check):
            self._needs[key].tickets.add(ticket)

    def end_ticket(self, ticket: Ticket) -> None:
        """Know that a ticket asks for its guests no more."""
        for key in vmi_keys(ticket.check):
            self._needs[key].tickets.discard(ticket)

    def tickets_for(self, keys: Iterable[VmiKey]) -> list[Ticket]:
        """The tickets that ask for these guests."""
        return [ticket for key in keys for ticket in self._needs[key].tickets]
