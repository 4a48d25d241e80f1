"""A document's migrations, as every table of them lists them: which they are, their order, and their numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.report.entries import extra_verdict, is_failed, verdict
from pytest_kvlatency.report.gapnumbers import gaps_of
from pytest_kvlatency.report.places import is_move

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MigrationRow:
    """A migration: the entry of its test, and what was measured of it, which may be one of the test's ``extra``."""

    test: Entry
    measured: Entry

    @property
    def is_own(self) -> bool:
        """Whether it is what the test's verdict is about."""
        return self.measured is self.test

    @property
    def is_failed(self) -> bool:
        """Whether its test failed, or, of one of ``extra``, it itself."""
        return is_failed(self.test) if self.is_own else self.measured["failureKind"] is not None

    @property
    def verdict(self) -> str:
        """How it ended: its test's verdict, or, of one of ``extra``, its own; empty where it has none."""
        return verdict(self.test) if self.is_own else extra_verdict(self.measured)

    @property
    def gaps(self) -> dict[str, int | None]:
        """The length of each gap in nanoseconds, by its name in the document."""
        return gaps_of(self.measured)

    @property
    def longest(self) -> int:
        """The length of the longest gap in nanoseconds; 0 where none is known."""
        return self.gaps["longestGap"] or 0

    @property
    def lost(self) -> int | None:
        """How many pings got no reply; None where none was sent."""
        sent: int | None = self.measured["transmitted"]
        return None if sent is None else sent - self.measured["received"]

    @property
    def means(self) -> tuple[int | None, int | None]:
        """The mean round-trip times before and after, in nanoseconds."""
        migration = self.measured.get("migration") or {}
        before, after = (
            None if (times := migration.get(name)) is None else times["avgNanoSec"]
            for name in ("rttBefore", "rttAfter")
        )
        return before, after


def migration_rows(entries: Iterable[Entry]) -> list[MigrationRow]:
    """All migrations of these entries: first those of failed tests, then those with the longest gaps."""
    found = [
        MigrationRow(test=entry, measured=one)
        for entry in entries
        for one in (entry, *entry["extra"])
        if is_move(one)
    ]
    return sorted(found, key=lambda row: (not is_failed(row.test), -row.longest))


def resolution(rows: Sequence[MigrationRow]) -> int | None:
    """How exactly the gaps are known, in nanoseconds: to the interval that ping kept; of several the longest."""
    return max(filter(None, (row.measured.get("gapResolutionNanoSec") for row in rows)), default=None)
