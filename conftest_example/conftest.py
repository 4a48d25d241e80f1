"""What your suite can add: other defaults, an overridden fixture, and your own verdict on each measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kvlatency.model import Measurement
    from pytest_kvlatency.ping.latency import Latency


def pytest_kvlatency_settings() -> dict[str, str]:
    """Set the defaults of this suite. The command line and the ini file override them."""
    return {"sample_duration": "2s", "max_latency": "250ms"}


@pytest.hookimpl
def pytest_kvlatency_measurement(measurement: Measurement) -> str | None:
    """Fail every measurement in which a packet came back twice. The plugin has no limit for this."""
    if measurement.result is not None and measurement.result.duplicates:
        return f"{measurement.result.duplicates} replies came more than once"
    return None


@pytest.fixture
def kv_latency(kv_latency: Latency) -> Latency:
    """Override the fixture: every test of this suite that uses it also requires a steady network."""
    assert kv_latency.stddev_ms < 100, f"the round-trip times spread by {kv_latency.stddev_ms:.1f} ms"
    return kv_latency
