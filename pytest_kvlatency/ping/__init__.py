"""Ping in the guest: the command to type (``command``), and what its answer is read as. Pure.

``lines`` reads what stands there, ``reconcile`` checks it against itself and against what was asked for, ``output``
makes a result of it with ``notes`` on what is odd, and ``complaints`` says whose fault it is when ping stopped.
"""

from pytest_kvlatency.ping.command import (
    LATE_SECONDS,
    LISTEN_SECONDS,
    PROBE,
    Dialect,
    asked_of,
    bound_seconds,
    compose,
    detect,
    effective,
    required_mtu,
    surplus_of,
)
from pytest_kvlatency.ping.complaints import PingDoubtful, PingUnreadable
from pytest_kvlatency.ping.output import parse, reads_whole
from pytest_kvlatency.ping.reconcile import Asked

__all__ = [
    "LATE_SECONDS",
    "LISTEN_SECONDS",
    "PROBE",
    "Asked",
    "Dialect",
    "PingDoubtful",
    "PingUnreadable",
    "asked_of",
    "bound_seconds",
    "compose",
    "detect",
    "effective",
    "parse",
    "reads_whole",
    "required_mtu",
    "surplus_of",
]
