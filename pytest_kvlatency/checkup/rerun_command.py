"""The command that a failure prints: what to type to run just one item again, with the same options."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.checkup.own_check import NODEID
from pytest_kvlatency.config.options import BY_NAME, OPTIONS
from pytest_kvlatency.config.values import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from pytest_kvlatency.config.settings import Settings


def command(config: pytest.Config, nodeid: str, settings: Settings) -> str:
    """Give the command for a POSIX shell in the directory of this run.

    A ConfigMap serves one run only: its parameters are given as options instead. A shard of the whole plan is none of
    the one pair.
    """
    given = [str(one) for one in config.invocation_params.args]
    program = ["pytest"]
    if only.is_active(config):
        program, given = ["python", "-m", "pytest_kvlatency"], only.as_given(given)
    kept = list(_without("shard", _without("configmap", _without_paths(config, given))))
    options = _closed([*kept, *_from_configmap(settings), *_overridden(settings)])
    return shlex.join([*program, *options, _argument(config, nodeid)])


def _closed(options: Sequence[str]) -> list[str]:
    """Give a last option that may go without a value its usual one: it would take the id that follows."""
    *before, last = options or [""]
    usual = {option.flag: option.optional_value for option in OPTIONS if option.optional_value is not None}
    return [*before, f"{last}={usual[last]}"] if last in usual else list(options)


def _argument(config: pytest.Config, nodeid: str) -> str:
    """Turn an id, which counts from pytest's root directory, into what this directory's shell must say."""
    path, separator, name = nodeid.partition("::")
    if path == NODEID:
        return nodeid
    return os.path.relpath(config.rootpath / path, config.invocation_params.dir) + separator + name


def _without_paths(config: pytest.Config, given: Sequence[str]) -> Iterator[str]:
    """Leave out the tests that were asked for; an option's value that reads like one of them stays."""
    paths = list(getattr(config.option, "file_or_dir", None) or ())
    before = ""
    for one in given:
        is_surplus = list(given).count(one) > paths.count(one)
        is_value = is_surplus and before.startswith("-") and "=" not in before
        if one not in paths or is_value:
            yield one
        before = one


def _overridden(settings: Settings) -> Iterator[str]:
    """What takes a ConfigMap and a shard away that no option of the command line gave."""
    for name, value in (("configmap", "none"), ("shard", "0/1")):
        given = getattr(settings, name) is not None and settings.sources[name].kind != "command line"
        if given:
            yield f"{BY_NAME[name].flag}={value}"


def _without(option: str, given: Iterator[str]) -> Iterator[str]:
    flag = BY_NAME[option].flag
    for one in given:
        if one == flag:
            next(given, None)
        elif not one.startswith(flag + "="):
            yield one


def _from_configmap(settings: Settings) -> Iterator[str]:
    for name, source in settings.sources.items():
        option = BY_NAME[name]
        value = getattr(settings, option.attribute)
        if source.kind != "ConfigMap" or value is None:
            continue
        if option.is_switch:
            yield option.flag
            continue
        for one in value if option.repeatable else (value,):
            yield f"{option.flag}={show(option, one)}"
