"""Which plugins of pytest a checkup under test finds: those of a plain installation, not those that test it.

Hypothesis alone takes longer to load than pytest itself.
"""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

#: Names of the entry points, by the plugin that a test may keep.
_PLUGINS = {
    "forked": ("pytest_forked",),
    "hypothesis": ("hypothesispytest",),
    "rerunfailures": ("rerunfailures",),
    "timeout": ("timeout",),
    "xdist": ("xdist", "xdist.looponfail"),
}
_OPTIONS = {
    "-n": "xdist", "-n1": "xdist", "-n2": "xdist", "--forked": "forked", "--html": "html", "--reruns": "rerunfailures",
}  # fmt: skip


def plain(*kept: str, arguments: Sequence[object] = ()) -> dict[str, str]:
    """Give the environment variables for it. ``kept`` names plugins that stay, as do those of an option among these."""
    return {"PYTEST_ADDOPTS": " ".join(f"-p no:{name}" for name in _left_out(kept, arguments))}


def plainly_installed(*kept: str, arguments: Sequence[object] = ()) -> AbstractContextManager[object]:
    """Let a run in this process find no others either, and read once what tells about all that is installed.

    Nothing of it is in the run's arguments or environment. A run that writes no report of pytest-html does without that,
    which prepares one at the start of each: a tenth of what a short checkup takes. Workers expect it where they have it.
    """
    left_out = set(_left_out(kept, arguments))
    if not needs("html", arguments) and not needs("xdist", arguments):
        left_out |= {"html", "metadata"}
    found = [one for one in _distributions() if not left_out & {point.name for point in one.entry_points}]
    return mock.patch.object(importlib.metadata, "distributions", return_value=found)


def needs(plugin: str, arguments: Sequence[object]) -> bool:
    """Whether one of the arguments is an option of the plugin."""
    words = {str(one).partition("=")[0] for one in arguments}
    return any(option in words for option, owner in _OPTIONS.items() if owner == plugin)


def remember_what_is_installed() -> None:
    """Let runs in this process, and in those forked from it, read once what tells about what is installed now."""
    look, places, found = importlib.metadata.distributions, set(sys.path), _distributions()

    def distributions(**more: Any) -> Iterable[importlib.metadata.Distribution]:
        if more:
            return look(**more)
        return (*look(path=[place for place in sys.path if place not in places]), *found)

    importlib.metadata.distributions = distributions


class _Distribution(importlib.metadata.PathDistribution):
    """Reads each of its files once: pytest asks for the same at the start of every run."""

    def __init__(self, found: importlib.metadata.PathDistribution) -> None:
        super().__init__(found._path)

    metadata = cached_property(importlib.metadata.PathDistribution.metadata.fget)
    entry_points = cached_property(importlib.metadata.PathDistribution.entry_points.fget)
    files = cached_property(importlib.metadata.PathDistribution.files.fget)


@cache
def _distributions() -> tuple[_Distribution, ...]:
    return tuple(map(_Distribution, importlib.metadata.distributions()))


def _left_out(kept: Sequence[str], arguments: Sequence[object]) -> list[str]:
    assert _PLUGINS.keys() >= {*kept}, kept
    return [
        name
        for plugin, names in _PLUGINS.items()
        if plugin not in kept and not needs(plugin, arguments)
        for name in names
    ]
