"""The command that a failure prints: what to type to run just one item again, with the same options.

It overwrites no report of the whole run, and says nothing twice: what its id has is not among its options.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.checkup.own_check import NODEID, says_all
from pytest_kvlatency.checkup.testitem import SETTINGS_KEY, planned_check
from pytest_kvlatency.config.options import BY_NAME, OPTIONS
from pytest_kvlatency.config.values import show
from pytest_kvlatency.model import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from pytest_kvlatency.config.settings import Settings

#: Options of pytest and of its plugins that write a file or a folder, besides this plugin's own.
_WRITE: Final = frozenset(
    {
        "--junitxml",
        "--junit-xml",
        "--html",
        "--css",
        "--report-log",
        "--json-report-file",
        "--alluredir",
        "--log-file",
        "--csv",
        "--md-report-output",
        "--cov-report",
        "--pastebin",
    }
)
#: Those that write, and stand alone: the first only says how.
_WRITING_SWITCHES: Final = frozenset(
    {"--self-contained-html", "--json-report", "--clean-alluredir", "--md-report", "--debug"}
)
_SELECT_PAIRS: Final = ("nad", "nodes", "node_set")


def command(config: pytest.Config, item: pytest.Item, nodeid: str, settings: Settings) -> str:
    """Give the command for a POSIX shell in the directory of this run. ``settings`` are without the item's marker.

    A ConfigMap serves one run only: its parameters are given as options instead. A shard of the whole plan is none of
    the one pair.
    """
    given = [str(one) for one in config.invocation_params.args]
    program = ["pytest"]
    if only.is_active(config):
        program, given = ["python", "-m", "pytest_kvlatency"], only.as_given(given)
    pair, said = _pair(item, settings)
    unneeded = {BY_NAME[name].flag for name in ("shard", "configmap", *said)} | _written()
    options = [
        *_without(unneeded, list(_without_paths(config, given))),
        *_from_configmap(settings, said),
        *_overridden(settings),
        *pair,
    ]
    words = shlex.join([*program, *_usual_options(config), *_closed(options), _argument(config, nodeid)])
    usual = _usual_environment()
    return words if usual is None else f"{usual} {words}"


def _pair(item: pytest.Item, settings: Settings) -> tuple[list[str], tuple[str, ...]]:
    """The options that the id needs to be found, and the names of those that are not needed beside it and these."""
    planned, own = planned_check(item), item.stash.get(SETTINGS_KEY, None)
    if planned is None or planned.check is None:
        return [], ()
    # Where the target may go to any node, that is one of the node set.
    unneeded = _SELECT_PAIRS if planned.check.pair.destination != ANYWHERE else ("nad", "nodes")
    if settings.sources["nad"].kind == "command line" and settings.configmap is None:
        nodes = str(planned.check.pair)
        if says_all(item.nodeid, nad=planned.id.removesuffix(f"-{nodes}"), nodes=nodes):
            return [], unneeded
    marked = {name for name in _SELECT_PAIRS if own is not None and own.sources[name].kind == "marker"}
    options: list[str] = []
    if "nad" not in marked:
        options += [BY_NAME["nad"].flag, _as_given(planned.check.nad, settings)]
    if "nodes" in marked:
        # A shape of the marker's is over the node set, wherever that comes from.
        return options, ("nad", "nodes")
    pair = str(planned.check.pair)
    # An option of this run may have stood over an ini file that says otherwise: it is left out of the command.
    if pair != "auto" or settings.sources["nodes"].kind != "default":
        options += [BY_NAME["nodes"].flag, pair]
    return options, unneeded


def _as_given(nad: object, settings: Settings) -> str:
    """The network as it was named: without its namespace where that was left to the run."""
    for one in settings.nad:
        if not one.namespace and str(nad).endswith(f"/{one}"):
            return str(one)
    return str(nad)


def _written() -> frozenset[str]:
    return _WRITE | {option.flag for option in OPTIONS if option.writes}


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


def _without(flags: frozenset[str] | set[str], given: Sequence[str]) -> list[str]:
    """Leave out the options of these flags with their values, and all switches that write."""
    kept: list[str] = []
    rest = iter(given)
    for one in rest:
        if one in flags:
            next(rest, None)
        elif one.partition("=")[0] not in flags | _WRITING_SWITCHES:
            kept.append(one)
    return kept


def _usual_options(config: pytest.Config) -> list[str]:
    """What takes options that write out of the ini file's ``addopts``; nothing where there are none."""
    usual = [str(one) for one in config.getini("addopts")]
    kept = _without(_written(), usual)
    return [] if kept == usual else ["-o", f"addopts={shlex.join(kept)}"]


def _usual_environment() -> str | None:
    """The same of ``PYTEST_ADDOPTS``, to stand before the command; None where nothing is to be taken out."""
    usual = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    kept = _without(_written(), usual)
    return None if kept == usual else f"PYTEST_ADDOPTS={shlex.quote(shlex.join(kept))}"


def _from_configmap(settings: Settings, said: Sequence[str]) -> Iterator[str]:
    for name, source in settings.sources.items():
        option = BY_NAME[name]
        value = getattr(settings, option.attribute)
        if source.kind != "ConfigMap" or value is None or name in said:
            continue
        if option.is_switch:
            yield option.flag
            continue
        for one in value if option.repeatable else (value,):
            yield f"{option.flag}={show(option, one)}"
