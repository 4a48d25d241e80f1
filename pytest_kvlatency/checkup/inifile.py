"""The ``kv_*`` settings of the working directory's ini file, for ``python -m pytest_kvlatency``.

pytest itself reads no ini file then: nothing else that one holds (``addopts``, plugins, warnings) is meant for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from _pytest.config.findpaths import load_config_dict_from_file

from pytest_kvlatency.checkup import own_run as only

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

#: In the order in which pytest looks for them in each directory, the working directory first and then those above.
_NAMES: Final = (
    *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"),
)
_PREFIX: Final = "kv_"


def read(config: pytest.Config, known: Collection[str]) -> tuple[str, Mapping[str, object]]:
    """Return the file's name and its ``kv_*`` values; nothing where pytest reads the ini file itself.

    ``known`` are the names of all settings; of others that begin with ``kv_`` it warns, as pytest would.
    Raises ``pytest.UsageError`` for a file that cannot be read.
    """
    if not only.is_active(config) or not _is_left_out(config):
        return "", {}
    directory = config.invocation_params.dir
    for file in (base / name for base in (directory, *directory.parents) for name in _NAMES):
        values = _load(file)
        if values is None:
            continue
        own = {name: value for name, value in values.items() if name.startswith(_PREFIX)}
        for name in sorted(own.keys() - known):
            warning = pytest.PytestConfigWarning(f"Unknown config option: {name} (in {file.name})")
            # Where warnings are errors pytest's own is one as well, later: here it would be an internal error.
            with suppress(pytest.PytestConfigWarning):
                config.issue_config_time_warning(warning, stacklevel=2)
        return file.name, own
    return "", {}


def _is_left_out(config: pytest.Config) -> bool:
    """Whether pytest was kept from the ini file by this command itself, and not by its user's ``-c``."""
    if config.inipath is not None and str(config.inipath) != os.devnull:
        return False
    return not only.names_config_file(only.as_given(config.invocation_params.args))


def _load(file: Path) -> dict[str, object] | None:
    """What pytest would take from a file; None where it would look further."""
    try:
        found = load_config_dict_from_file(file) if file.is_file() else None
    except (OSError, ValueError, pytest.UsageError, pytest.fail.Exception) as error:
        raise pytest.UsageError(f"cannot read the kv_* settings of {file}: {error}") from None
    if found is None:
        return None
    # pytest 9 wraps each value.
    return {name: getattr(value, "value", value) for name, value in found.items()}
