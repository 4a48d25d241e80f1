"""What the tests of single modules share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Behaviour is tested, not the time it takes: a busy machine is slow, and not wrong.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
