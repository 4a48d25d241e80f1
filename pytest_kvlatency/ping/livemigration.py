"""What the fixture ``kv_migration`` gives: the live migration of one measurement, for a test's own assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.errors import NoValue
from pytest_kvlatency.model import ANYWHERE
from pytest_kvlatency.ping.latency import in_milliseconds
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from pytest_kvlatency.model import Gap, Measurement, Migration, MigrationPhase, RttSummary

# pytest leaves this module's frames out of the traceback of a test: the test's own line tells.
__tracebackhide__ = True
T = TypeVar("T")


class LiveMigration:
    """A target's migration during its sample. What cannot be given raises ``NoValue``; ``get`` gives None then.

    ``…_ns`` are integers in nanoseconds, ``…_ms`` their twins as floats in milliseconds.
    """

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement

    @property
    def name(self) -> str:
        """The name of its VirtualMachineInstanceMigration."""
        return self._migration.name

    @property
    def source_node(self) -> str:
        """The node that the guest left."""
        return self._migration.source_node

    @property
    def requested_node(self) -> str | None:
        """The node that was asked for; None where the cluster was to choose."""
        asked = self._migration.requested_node
        return None if asked == ANYWHERE else asked

    @property
    def target_node(self) -> str:
        """The node on which the guest is now."""
        return _known(self._migration.target_node, "the node after the migration")

    @property
    def mode(self) -> str:
        """KubeVirt's mode, e.g. ``PreCopy``."""
        return _known(self._migration.mode, "the mode of the migration")

    @property
    def phases(self) -> tuple[MigrationPhase, ...]:
        """Its phases in order, in nanoseconds since its creation."""
        return self._migration.phases

    @property
    def created_ns(self) -> int:
        """When it was created, since ping began."""
        return _known(self._migration.created_ns, "the time of the creation")

    @property
    def ended_ns(self) -> int:
        """When it was seen to have ended, since ping began."""
        return _known(self._migration.ended_ns, "the time of the end")

    @property
    def preparation_gap_ns(self) -> int:
        """The longest time without a reply that began before the guest's memory was being copied."""
        return _length(self._migration.preparation_gap, "preparation gap")

    @property
    def switchover_gap_ns(self) -> int:
        """The longest time without a reply that began later."""
        return _length(self._migration.switchover_gap, "switch-over gap")

    @property
    def longest_gap_ns(self) -> int:
        """The longest time without a reply of the whole sample."""
        gaps = self._measurement.gaps
        return _length(None if gaps is None else gaps.longest, "longest gap")

    preparation_gap_ms = in_milliseconds("preparation_gap_ns")
    switchover_gap_ms = in_milliseconds("switchover_gap_ns")
    longest_gap_ms = in_milliseconds("longest_gap_ns")

    @property
    def lost_in_gaps(self) -> int:
        """Requests that were lost because of the migration."""
        return self._migration.lost_in_gaps

    @property
    def rtt_before(self) -> RttSummary:
        """The round-trip times before it was created."""
        return _known(self._migration.rtt_before, "the round-trip times before the migration")

    @property
    def rtt_after(self) -> RttSummary:
        """The round-trip times after it had ended."""
        return _known(self._migration.rtt_after, "the round-trip times after the migration")

    def get(self, name: str) -> object:
        """Return the value ``name``, or None where it would raise ``NoValue``. ``AttributeError``: no such value."""
        try:
            value: object = getattr(self, name)
        except NoValue:
            return None
        return value

    def __repr__(self) -> str:
        found = self._measurement.migration
        if found is None:
            return f"<LiveMigration {self._measurement.check.pair}: not begun>"
        parts = [
            f"{name} gap {format_duration(value)}"
            for name, value in (
                ("preparation", self.get("preparation_gap_ns")),
                ("switch-over", self.get("switchover_gap_ns")),
            )
            if isinstance(value, int)
        ]
        where = f"{found.source_node} -> {found.target_node or found.requested_node}"
        return f"<LiveMigration {where}: {', '.join(parts) or 'no gap is known'}>"

    @property
    def _migration(self) -> Migration:
        return _known(self._measurement.migration, "the migration")


def _length(gap: Gap | None, what: str) -> int:
    return _known(gap, f"the {what}").length_ns


def _known(value: T | None, what: str) -> T:
    if value is None:
        raise NoValue(f"{what} is not known")
    return value
