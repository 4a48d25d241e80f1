"""Extension points for conftest files and other plugins. All are optional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.model import Check, Measurement


@pytest.hookspec
def pytest_kvlatency_settings(config: pytest.Config) -> Mapping[str, Any] | None:
    """Give other defaults for options, by their names in the marker's spelling: ``{"max_latency": "10ms"}``.

    They rank below the command line, the ConfigMap and the ini file, and above the plugin's own defaults. A name
    that is no option, or a value that is not valid, is a usage error that names this hook.
    """


@pytest.hookspec
def pytest_kvlatency_vmi_manifest(manifest: dict[str, Any], check: Check) -> None:
    """Change a VMI's manifest (a plain dict, as it would be POSTed) in place before it is created.

    It is called in a thread, for several VMIs at the same time. What it raises is an error of every item that needs
    the VMI.
    """


@pytest.hookspec
def pytest_kvlatency_guest_profiles(config: pytest.Config) -> Iterable[GuestProfile] | None:
    """Register guest profiles, to be chosen by ``--kv-guest NAME``."""


@pytest.hookspec
def pytest_kvlatency_measurement(measurement: Measurement, item: pytest.Item) -> str | None:
    """Observe or judge what was measured for an item, once there are numbers (``measurement.result``).

    A string that is returned fails the item in its call phase with ``RejectedMeasurementError``, the string as its
    reason. What ``kv_ping`` and ``kv_stream`` measure is not judged.
    """
