"""What the command line, ini files, the hook and the environment say: a ``Layer`` each.

pytest is met only through the configuration that is handed in, so that this stays pure.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.options import INDEX_VARIABLE, OPTIONS, SHARDS_VARIABLE, Option
from pytest_kvlatency.config.sources import Layer, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOOK: Final = "hook pytest_kvlatency_settings"


def layers(config: Any, file: str = "", values: Mapping[str, object] | None = None) -> list[Layer]:
    """Return what the command line, the ini file and the hook ``pytest_kvlatency_settings`` say.

    ``values`` are those of an ini file, by their names there, that pytest itself does not read; ``file`` is its name.
    """
    given = {
        option.name: value for option in OPTIONS if (value := config.getoption(option.dest, None)) is not None
    }
    found = [Layer(kind="command line", values=given)]
    found += _ini_layers(config, file, values or {})
    found += [hook_layer(values) for values in config.hook.pytest_kvlatency_settings(config=config)]
    if not any("shard" in layer.values for layer in found):
        found += environment_layer(os.environ)
    return found


def environment_layer(environ: Mapping[str, str]) -> list[Layer]:
    """Return the shard that the pod of an Indexed Job is; nothing unless the number of shards is set."""
    count, index = environ.get(SHARDS_VARIABLE, "").strip(), environ.get(INDEX_VARIABLE, "").strip()
    if not count:
        return []
    text = ""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", count):
        text = f"{SHARDS_VARIABLE}: invalid number of shards {count!r}: expected an integer from 1 to 999999"
    elif not index:
        text = f"{SHARDS_VARIABLE}: {count!r} is set without {INDEX_VARIABLE}, which an Indexed Job sets in its pods. "
        text += "Set both, or use --kv-shard I/N"
    elif not re.fullmatch(r"[0-9]{1,6}", index) or int(index) >= int(count):
        text = f"{INDEX_VARIABLE}: {index!r} is not a shard of {count}: expected 0 to {int(count) - 1}. "
        text += f"Give the Job as many completions as {SHARDS_VARIABLE} says"
    values = {} if text else {"shard": f"{index}/{count}"}
    detail = f"{INDEX_VARIABLE} and {SHARDS_VARIABLE}"
    problems = (Problem(text=f"{text} (from the environment)"),) if text else ()
    return [Layer(kind="environment", values=values, detail=detail, problems=problems)]


def hook_layer(values: object) -> Layer:
    """Return what one implementation of the hook ``pytest_kvlatency_settings`` gave."""
    if isinstance(values, dict) and all(isinstance(name, str) for name in values):
        return Layer(kind="hook", values=values, detail=_HOOK)
    expected = "a dict from option names to values, such as {'max_latency': '10ms'}"
    text = f"the {_HOOK} returned {values!r}: expected {expected}"
    return Layer(kind="hook", values={}, detail=_HOOK, problems=(Problem(text=text),))


def _ini_layers(config: Any, other_file: str, others: Mapping[str, object]) -> Iterator[Layer]:
    overridden = {str(one).partition("=")[0].strip() for one in config.getoption("override_ini", None) or ()}
    by_place: dict[str, dict[str, object]] = {}
    file = "the ini file" if config.inipath is None else config.inipath.name
    for option in OPTIONS:
        if option.ini is None:
            continue
        value = config.getini(option.ini)
        place = "-o on the command line" if option.ini in overridden else file
        if value is None or value == []:
            value, place = _as_pytest_reads(others.get(option.ini), option), other_file
        if value is None or value == []:
            continue
        by_place.setdefault(place, {})[option.name] = value
    for place, values in by_place.items():
        yield Layer(kind="ini", values=values, detail=place)


def _as_pytest_reads(value: object, option: Option) -> object:
    """A raw value of an ini file, of the type that the option is registered with."""
    if value is None:
        return None
    if not option.repeatable:
        return value if isinstance(value, str) else str(value)
    lines = value if isinstance(value, list) else str(value).splitlines()
    return [text for one in lines if (text := str(one).strip())]
