"""A pytest plugin of the benchmark: notes when each guest's console first showed a login prompt.

That moment ends the guest's boot and begins the plugin's own work, and no report tells it. Load it with
``-p prompt_clock``; the times (seconds of the wall clock) go to the file that ``KVLATENCY_PROMPT_CLOCK`` names.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_PROMPT = re.compile(r"login: ?\Z")
_prompted_at: dict[str, float] = {}


def pytest_runtest_setup() -> None:
    """Listen to what every console receives."""
    from pytest_kvlatency.console.spawn import ConsoleSpawn  # noqa: PLC0415 - not before the plugin imports it

    receive = ConsoleSpawn.receive

    def noting(self: ConsoleSpawn, timeout_seconds: float) -> str:
        text = receive(self, timeout_seconds)
        if self.name not in _prompted_at and _PROMPT.search(text):
            _prompted_at[self.name] = time.time()
        return text

    ConsoleSpawn.receive = noting  # type: ignore[method-assign]


def pytest_sessionfinish(session: pytest.Session) -> None:  # noqa: ARG001 - pytest gives it by this name
    """Write the times down."""
    Path(os.environ["KVLATENCY_PROMPT_CLOCK"]).write_text(json.dumps(_prompted_at), encoding="utf-8")
