"""Checkups that are told of a hang-up, however their tests were started."""

from __future__ import annotations

import contextlib
import signal
import threading


@contextlib.contextmanager
def told_when_hung_up():
    """Have what is started here told of SIGHUP, even if its tests are not: an ignored signal is inherited as such.

    Only the main thread can see to it. Who starts checkups in others does so beforehand.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
