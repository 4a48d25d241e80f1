"""What ends a run before its time: signals, and whatever else has pytest break it off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.deadline import Stop

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState


class Stopping:
    """Hears signals and pytest's own interruptions, and keeps why the run was stopped.

    While the run is ending a signal stops nothing; but a SIGINT that is not the first signal sets ``end_stop``, which
    ends the wait for deletions, and nothing else: the status is always written.
    """

    def __init__(self, state: RunState, role: Role) -> None:
        self._state = state
        self._role = role
        self._count = 0
        self._said_to_pytest = ""
        self.end_stop = Stop()
        #: The first signal that came while the run was ending; empty without one.
        self.signal_at_the_end = ""
        #: Whether the run was stopped, as far as that is known when its end begins.
        self.is_interrupted = False
        state.signals.hear = self.on_signal
        state.config.pluginmanager.register(self, "kvlatency-stopping")

    def on_signal(self, name: str) -> None:
        """Stop what the main thread does, whatever that is."""
        state = self._state
        if name == "SIGHUP" and self._count:
            # A terminal that goes sends several, by the kernel and by its shell: they are one.
            return
        state.stop.set(f"interrupted by {name}")
        if state.session is not None:
            state.session.shouldstop = state.stop.reason
        self._count += 1
        if state.is_ending:
            self.signal_at_the_end = self.signal_at_the_end or name
            if name == "SIGINT" and self._count > 1:
                self.end_stop.set(f"interrupted by {name}")
        elif not state.waiter.is_waiting:
            self._role.interrupt(name, state.stop.reason, is_collecting=state.session is None)

    @property
    def hurries(self) -> bool:
        """Whether a signal has come: the one who sent it may kill the run soon."""
        return self.is_interrupted or bool(self.signal_at_the_end)

    # A wrapper, so that it has been called before another plugin's implementation may raise.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Generator[None, None, None]:
        """Keep why pytest breaks the run off (what ``pytest.exit`` was given, say), which it tells nobody else."""
        self._state.is_ending = True
        # A session's shouldstop may be just True.
        self._said_to_pytest = "" if excinfo.value.args == (True,) else str(excinfo.value)
        return (yield)

    def why(self, session: pytest.Session) -> str:
        """Why the run ended before its time; empty when nothing says that it did."""
        said = [self._state.stop.reason, self._role.stop_reason]
        # Either may be just True.
        said += [one for one in (session.shouldfail, session.shouldstop) if isinstance(one, str)]
        said.append(self._said_to_pytest)
        if self._state.config.getoption("setuponly", default=False):
            said.append("--setup-only runs no test")
        return next(filter(None, said), "")
