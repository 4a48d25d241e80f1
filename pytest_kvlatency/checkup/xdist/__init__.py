"""pytest-xdist: what of a run its controller does, and what its workers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.checkup.role import Role

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.checkup import Checkup


def role_of(checkup: Checkup) -> Role:
    """What this process does of the run. Nothing of the machinery is loaded where nothing is distributed."""
    config = checkup.config
    if hasattr(config, "workerinput"):
        from pytest_kvlatency.checkup.xdist.worker import Worker

        return Worker(checkup)
    is_distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    if is_distributed and not config.option.collectonly:
        from pytest_kvlatency.checkup.xdist.controller import Controller

        return Controller(checkup)
    return Role(checkup)
