"""SIGTERM, SIGINT and SIGHUP while checks run: end the current wait, or the test's own body; never clean-up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: SIGQUIT is not among them: it remains the way to end a process at once, with a core dump.
SIGNALS = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


def end_as_first_process() -> None:
    """Let each signal end this process where it is the first of a container, until somebody takes them over.

    The kernel drops a signal that such a process has no handler for: a pod that is stopped while Python still
    imports would go on, and be killed in the middle of a checkup when its grace period is over.
    """
    if os.getpid() != 1:
        return
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    """End as the kernel ends any other process: at once, with the exit status that says by which signal."""
    # Not by sys.stderr: the signal may have come while that was being written to.
    with contextlib.suppress(OSError):
        os.write(2, f"kvlatency: ended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


class SignalGuard:
    """Calls ``hear(name)`` in the main thread for each signal, between ``install`` and ``restore``.

    Handlers can be installed in the main thread only; elsewhere (a test run inside a thread) nothing is done.
    A SIGHUP that is ignored stays so: ``nohup`` has the run outlive its terminal.
    """

    def __init__(self) -> None:
        self.hear: Callable[[str], object] = lambda _: None
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals over, once."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Give the signals back to whom they belonged."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.hear(signal.Signals(number).name)
