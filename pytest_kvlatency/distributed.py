"""pytest-xdist: this version measures in one process only, and says so before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pytest_kvlatency.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSED: Final = (
    "kvlatency checks cannot be distributed by pytest-xdist in this version: "
    "leave out -n, or select other tests for it"
)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def refuse(config: pytest.Config) -> None:
    """Refuse ``-n`` together with options of this plugin, in xdist's controller. Raises ``pytest.UsageError``.

    Tests that carry the marker are known to the workers only: there each of them ends in an error that says the same.
    """
    if is_worker(config) or config.getoption("dist", "no") == "no":
        return
    options: Mapping[str, object] = vars(config.option)
    given = [option.flag for option in OPTIONS if options.get(option.dest) is not None]
    if given:
        raise pytest.UsageError(f"{', '.join(given)}: {REFUSED}")
