"""pytest-xdist: what of a run its controller does, and what its workers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.distribution.role import Role

if TYPE_CHECKING:
    from pytest_kvlatency.session import Checkup


def role_of(checkup: Checkup) -> Role:
    """What this process does of the run. Nothing of the machinery is loaded where nothing is distributed."""
    config = checkup.config
    if hasattr(config, "workerinput"):
        from pytest_kvlatency.distribution.worker import Worker  # noqa: PLC0415

        return Worker(checkup)
    is_distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    if is_distributed and not config.option.collectonly:
        from pytest_kvlatency.distribution.controller import Controller  # noqa: PLC0415

        return Controller(checkup)
    return Role(checkup)
