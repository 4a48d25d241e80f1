"""Times as Kubernetes' objects hold them."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
