"""The files that a run has written, as the end of its terminal's report names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pytest

    from pytest_kvlatency.config.settings import Settings

#: Those of pytest and pytest-html, by their names in pytest's namespace of options.
_OF_OTHERS: Final = {"xmlpath": "--junitxml", "htmlpath": "--html"}
_FOLDERS: Final = frozenset(option.flag for option in OPTIONS if option.metavar == "DIR")
#: A file system may keep time less exactly than the clock.
_TOLERANCE: Final = 2.0


def written(config: pytest.Config, settings: Settings, since: datetime) -> list[str]:
    """Each file and folder that is there since the run began, with the option that asked for it."""
    return [
        f"{path} ({flag})"
        for path, flag in _asked_for(config, settings)
        if _is_new(path, since, is_folder=flag in _FOLDERS)
    ]


def _asked_for(config: pytest.Config, settings: Settings) -> Iterator[tuple[str, str]]:
    for option in OPTIONS:
        path = getattr(settings, option.attribute) if option.writes else None
        if path is not None:
            yield str(path), option.flag
    for name, flag in _OF_OTHERS.items():
        path = getattr(config.option, name, None)
        if path:
            yield os.path.expandvars(path), flag


def _is_new(path: str, since: datetime, *, is_folder: bool) -> bool:
    """Whether it was written by this run: what an earlier one left is not named."""
    try:
        place = Path(path).expanduser()
        state = place.stat()
        if place.is_dir():
            return is_folder
        return not place.is_file() or state.st_mtime >= since.timestamp() - _TOLERANCE
    except OSError:
        return False
