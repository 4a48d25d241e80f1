"""Which role a process has in its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.checkup.role import Role

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.run_state import RunState


def role_of(state: RunState) -> Role:
    """What this process does of the run. Nothing of the machinery is loaded where nothing is distributed."""
    config = state.config
    if hasattr(config, "workerinput"):
        from pytest_kvlatency.checkup.xdist.worker import Worker

        return Worker(state)
    is_distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    if is_distributed and not config.option.collectonly:
        from pytest_kvlatency.checkup.xdist.controller import Controller

        return Controller(state)
    return Role()
