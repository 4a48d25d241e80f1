"""Connectivity and latency checks of KubeVirt virtual machines, as a pytest plugin.

The public names are the exceptions: ``pytest.mark.xfail(raises=LimitExceeded)`` and the like. Everything else is
reached by options, the ``kvlatency`` marker, fixtures and hooks.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kvlatency.errors import (
        CheckFailedError,
        CheckupTimeoutError,
        CommandError,
        ConfigError,
        ConnectivityError,
        GapExceeded,
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
    "GapExceeded",
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


def __getattr__(name: str) -> object:
    """Load the exceptions when one of them is named: the plugin is part of pytest runs that never raise any."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_kvlatency import errors  # noqa: PLC0415 - that is the purpose

    return getattr(errors, name)
