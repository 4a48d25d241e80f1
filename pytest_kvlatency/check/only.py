"""Loaded as a plugin (``-p``) it says: run the own check and nothing else. Workers of the run load it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

NAME = __name__


def is_active(config: pytest.Config) -> bool:
    """Whether this run is ``python -m pytest_kvlatency``."""
    return bool(config.pluginmanager.hasplugin(NAME))
