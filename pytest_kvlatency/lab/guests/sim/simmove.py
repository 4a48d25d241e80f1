"""The live migration of a simulated guest: what it does to the guest's clock, its place, and its network."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.lab.guests.base import HypervisorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.lab.guests.sim.clock import Clock
    from pytest_kvlatency.lab.guests.sim.network import Stack
    from pytest_kvlatency.lab.spec.labspec import MigrationSpec

#: What a migration does by itself, in the guest's seconds: while the target is set up, and at the switch-over.
_PREPARATION_SECONDS: Final = (0.08, 0.25)
_SWITCHOVER_SECONDS: Final = (0.05, 0.15)


class SimMove:
    """See ``base.Move``.

    ``confuses``: a bridge learns a wrong port when the target is set up. ``is_over`` says whether the guest has ended
    meanwhile.
    """

    def __init__(
        self,
        *,
        node: str,
        stack: Stack,
        clock: Clock,
        spec: MigrationSpec,
        confuses: bool,
        is_over: Callable[[], bool],
    ) -> None:
        self._node = node
        self._stack = stack
        self._clock = clock
        self._spec = spec
        self._is_over = is_over
        self._cancelled = asyncio.Event()
        preparation = stack.draw("preparation", node, *_PREPARATION_SECONDS) if confuses else 0.0
        self._downtime = stack.draw("switchover", node, *_SWITCHOVER_SECONDS) + spec.downtime_seconds
        stack.go_deaf(preparation + spec.preparation_gap_seconds)

    async def run(self) -> None:
        """See ``base.Move``."""
        await self._pass(self._spec.copy_seconds)
        self._clock.pause()
        self._stack.hold(self._downtime)
        try:
            await self._pass(self._downtime / self._clock.scale)
            self._stack.node = self._node
        except HypervisorError:
            self._stack.hold(0.0)
            raise
        finally:
            self._clock.resume()

    async def cancel(self) -> None:
        """See ``base.Move``. What the set-up of the target did to the network takes its time all the same."""
        self._cancelled.set()

    async def _pass(self, seconds: float) -> None:
        """Let time pass. Raises ``HypervisorError`` if the guest ended or the move was cancelled meanwhile."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), seconds)
        if self._cancelled.is_set():
            raise HypervisorError("the migration was cancelled")
        if self._is_over():
            raise HypervisorError("the guest ended while it was migrated")
