"""Loaded as a plugin (``-p``) it says: run the own check and nothing else. Workers of the run load it too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

NAME = __name__
# The package holds no assertions. pytest would compile each of its modules anew all the same, in every run where it
# may not keep what came of it, as in an image; and would warn of those that Python has imported to get here.
_AS_COMPILED = "--assert=plain"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have usage messages say what was typed."""
    parser.prog = "python -m pytest_kvlatency"


def is_active(config: pytest.Config) -> bool:
    """Whether this run is ``python -m pytest_kvlatency``."""
    return bool(config.pluginmanager.hasplugin(NAME))


def isolated(given: Sequence[str]) -> list[str]:
    """Add to ``given`` what keeps pytest from whatever lies in the working directory.

    No conftest file, no ini file (unless ``given`` names one by ``-c``), no test module. Of the ini file that pytest
    would find the plugin reads its own settings, and nothing else (``inifile``).
    """
    arguments = ["-p", NAME, _AS_COMPILED, "--noconftest", "--rootdir", os.curdir]
    if not names_config_file(given):
        arguments += ["-c", os.devnull]
    return [*arguments, *given]


def names_config_file(given: Sequence[str]) -> bool:
    """Whether the arguments choose an ini file."""
    return any(one == "-c" or one.startswith(("-c=", "--config-file")) for one in given)


def as_given(arguments: Sequence[str]) -> list[str]:
    """What was typed after ``python -m pytest_kvlatency``: the inverse of ``isolated``."""
    for start in range(len(arguments), -1, -1):
        given = list(arguments[start:])
        if isolated(given) == list(arguments):
            return given
    return list(arguments)
