"""Connectivity and latency checks of KubeVirt virtual machines, as a pytest plugin.

The public names are the exceptions: ``pytest.mark.xfail(raises=LimitExceeded)`` and the like. Everything else is
reached by options, the ``kvlatency`` marker, fixtures and hooks.
"""

from pytest_kvlatency.errors import (
    CheckFailedError,
    CheckupTimeoutError,
    CommandError,
    ConfigError,
    ConnectivityError,
    GuestError,
    InterruptedRunError,
    KvLatencyError,
    LimitExceeded,
    NoValue,
    PermissionDeniedError,
    ProvisionError,
    RejectedMeasurementError,
    TeardownError,
)

__all__ = [
    "CheckFailedError",
    "CheckupTimeoutError",
    "CommandError",
    "ConfigError",
    "ConnectivityError",
    "GuestError",
    "InterruptedRunError",
    "KvLatencyError",
    "LimitExceeded",
    "NoValue",
    "PermissionDeniedError",
    "ProvisionError",
    "RejectedMeasurementError",
    "TeardownError",
]
