"""A pytest plugin of the benchmark: notes the moments between the stages of a check, as far as nothing else tells them.

Load it with ``-p stage_clock`` before all other plugins. The moments (seconds of the wall clock) go to the file that
``KVLATENCY_STAGE_CLOCK`` names: ``pytest`` when pytest was loaded, ``configure`` when its plugins were, ``setup`` when
the check was collected, ``prompt`` when the later console first showed a login prompt, ``measure`` when both guests
were ready, and ``end`` when the reports were written.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_PROMPT = re.compile(r"login: ?\Z")
_LOOK_SECONDS = 0.005
_moments: dict[str, float] = {"pytest": time.time()}
_prompted_at: dict[str, float] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """See that all plugins are loaded."""
    _moments["configure"] = time.time()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """See that the check is collected; listen to console and engine once the run has loaded them, and no sooner."""
    _moments["setup"] = time.time()
    threading.Thread(target=_listen, name="stage-clock", daemon=True).start()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Write the moments down."""
    moments = {**_moments, "prompt": max(_prompted_at.values(), default=0.0), "end": time.time()}
    Path(os.environ["KVLATENCY_STAGE_CLOCK"]).write_text(json.dumps(moments), encoding="utf-8")


def _listen() -> None:
    spawn = _awaited("pytest_kvlatency.console.spawn", "ConsoleSpawn")
    spawn.receive = _noting_prompts(spawn.receive)
    measurer = _awaited("pytest_kvlatency.engine.measuring", "Measurer")
    measurer.measure = _noting_the_call(measurer.measure)


def _awaited(module: str, name: str) -> Any:
    while not hasattr(sys.modules.get(module), name):
        time.sleep(_LOOK_SECONDS)
    return getattr(sys.modules[module], name)


def _noting_prompts(receive: Callable[..., str]) -> Callable[..., str]:
    @wraps(receive)
    def noting(spawn: Any, timeout_seconds: float) -> str:
        text = receive(spawn, timeout_seconds)
        if spawn.name not in _prompted_at and _PROMPT.search(text):
            _prompted_at[spawn.name] = time.time()
        return text

    return noting


def _noting_the_call(measure: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(measure)
    def noting(*arguments: Any, **more: Any) -> Any:
        _moments["measure"] = time.time()
        return measure(*arguments, **more)

    return noting
