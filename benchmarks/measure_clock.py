"""A pytest plugin of the benchmark: notes when each measurement began and ended, and when each guest was up.

No report tells the moments, only how long each took. Load it with ``-p measure_clock``; the times (seconds of the
monotonic clock) go to the file that ``KVLATENCY_MEASURE_CLOCK`` names.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

_SPANS: dict[str, list[tuple[str, float, float]]] = {"measured": [], "brought_up": []}


def _noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any, **more: Any) -> Any:
        began = time.monotonic()
        try:
            return call(*arguments, **more)
        finally:
            # The first argument is the check, or the guest's key.
            subject = str(getattr(arguments[1], "id", arguments[1]))
            _SPANS[name].append((subject, began, time.monotonic()))

    return noted


def pytest_collection_finish() -> None:
    """Listen to the engine."""
    from pytest_kvlatency.engine.measuring import Measurer  # noqa: PLC0415 - not before the plugin imports it
    from pytest_kvlatency.engine.provision import Provisioner  # noqa: PLC0415

    Measurer.measure = _noting("measured", Measurer.measure)  # type: ignore[method-assign]
    Provisioner.bring_up = _noting("brought_up", Provisioner.bring_up)  # type: ignore[method-assign]


def pytest_sessionfinish(session: pytest.Session) -> None:  # noqa: ARG001 - pytest gives it by this name
    """Write the times down."""
    Path(os.environ["KVLATENCY_MEASURE_CLOCK"]).write_text(json.dumps(_SPANS), encoding="utf-8")
