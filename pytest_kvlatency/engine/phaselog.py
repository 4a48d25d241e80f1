"""What looks at a live migration showed of its phases, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.model import MigrationPhase

if TYPE_CHECKING:
    from pytest_kvlatency.kube.migration import MigrationState


@dataclass(kw_only=True)
class PhaseLog:
    """A migration's phases as they are seen, in nanoseconds since it was asked for."""

    began: int
    phases: list[MigrationPhase] = field(default_factory=list)
    looked_at: int = 0

    def see(self, state: MigrationState, asked_at: int, seen_at: int) -> None:
        """Take what a look showed that was asked for and answered at these times."""
        known = {one.name for one in self.phases}
        # Those that came and went between two looks have a timestamp, too.
        passed = [name for name in state.timestamps if name not in known and name != state.phase]
        fresh = [*passed, state.phase] if state.phase and state.phase not in known else passed
        self.phases = [
            replace(one, timestamp=one.timestamp or state.timestamps.get(one.name)) for one in self.phases
        ]
        self.phases += [
            MigrationPhase(
                name=name,
                not_before_ns=self.looked_at,
                seen_ns=seen_at - self.began,
                timestamp=state.timestamps.get(name),
            )
            for name in fresh
        ]
        self.looked_at = asked_at - self.began

    @property
    def seconds_in_phase(self) -> float:
        """Since when the latest phase has lasted."""
        since = self.phases[-1].seen_ns if self.phases else 0
        return (time.monotonic_ns() - self.began - since) / 1e9
