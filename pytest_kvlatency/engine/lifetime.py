"""How long guests and their VMIs outlive the run that made them: a guest's watchdog powers it off.

It does so ``SLACK_SECONDS`` after the run's time is over. That time stands still while users' tests run, the watchdog
does not: so a run that lives starts a new one whenever half of the slack is used up (see ``keeper``).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import CLEANUP_SECONDS, Deadline
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.guest import watchdog
from pytest_kvlatency.kube.manifest import LONGEST_RUN

if TYPE_CHECKING:
    from pytest_kvlatency.console.shell import Shell

SLACK_SECONDS = 300.0
#: For a look at what ``--kv-keep`` leaves.
KEPT_SECONDS = 3600.0
#: While a test has a guest's console in its own hands nothing else may be typed there.
CONSOLE_SECONDS = 86400.0
#: What a renewal may take. One that fails is tried again at the next round.
RENEWAL_SECONDS = 20.0


def expiry_seconds(deadline: Deadline) -> float:
    """Seconds after which a VMI that is created now may be removed, unless its guest runs.

    No run needs one for longer that is not Running: see ``Provisioner.bring_up``.
    """
    return deadline.seconds + CLEANUP_SECONDS + SLACK_SECONDS


def boot_seconds(deadline: Deadline, *, keeps: bool) -> float:
    """Seconds after which a guest that boots now powers itself off, unless it is logged into."""
    return deadline.seconds + SLACK_SECONDS + (KEPT_SECONDS if keeps else 0.0)


class Watchdog:
    """The watchdog of one guest, as the run has set it. Thread-safe."""

    def __init__(self, shell: Shell, deadline: Deadline, *, keeps: bool = False) -> None:
        """Of a VMI that was just created. ``deadline`` is the run's."""
        self._shell = shell
        self._deadline = deadline
        self._extra = KEPT_SECONDS if keeps else 0.0
        # The VMI has expired by then, and a sweep may remove it although its guest runs.
        self._last_moment = time.monotonic() + LONGEST_RUN.total_seconds()
        #: By the monotonic clock.
        self._ends_at = 0.0
        self.is_renewable = False

    def start(self, deadline: Deadline) -> None:
        """Take over from the one of the guest's boot. Raises as ``Shell.run`` does."""
        self._arm(self._wanted(0.0), deadline)

    def lasts(self, seconds: float = 0.0) -> bool:
        """Whether it needs no renewal for what is left of the run's time, nor for ``seconds``."""
        until = min(time.monotonic() + self._wanted(seconds) + SLACK_SECONDS / 2, self._last_moment - 1.0)
        return not self.is_renewable or self._ends_at >= until

    def cover(self, seconds: float = 0.0) -> None:
        """Have it last for what is left of the run's time, and for ``seconds``; costs nothing where it does.

        Never raises: a guest that cannot be reached says so to who needs it.
        """
        if self.lasts(seconds):
            return
        with contextlib.suppress(KvLatencyError):
            self._arm(self._wanted(seconds), Deadline(RENEWAL_SECONDS, stop=self._deadline.stop))

    def relax(self) -> None:
        """Forget that it was to last for a test's own sake: the next renewal has it last as long as others."""
        usual = time.monotonic() + self._wanted(0.0)
        if self._ends_at > usual + 2 * SLACK_SECONDS:
            self._ends_at = usual

    def _wanted(self, seconds: float) -> float:
        return max(seconds, self._deadline.remaining()) + self._extra

    def _arm(self, seconds: float, deadline: Deadline) -> None:
        before = time.monotonic()
        lasts = min(seconds + SLACK_SECONDS, self._last_moment - before)
        self.is_renewable = watchdog.arm(self._shell, lasts, deadline=deadline)
        if self.is_renewable:
            self._ends_at = before + lasts
