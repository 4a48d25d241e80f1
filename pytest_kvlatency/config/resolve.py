"""Sources to one frozen ``Settings``: which value wins, what it means, and everything that is wrong, at once.

Precedence: marker, command line, ConfigMap, ini, hook, environment, default. A list replaces the list below it.
``none`` removes an inherited limit. A value of None (from a marker or a hook) is one that was not given.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config import conflicts
from pytest_kvlatency.config.nearest import did_you_mean, either
from pytest_kvlatency.config.options import BY_NAME, OPTIONS, Option
from pytest_kvlatency.config.problems import problem_of, settings_error, tail
from pytest_kvlatency.config.settings import Settings
from pytest_kvlatency.config.sources import PRECEDENCE, Layer, Problem, Source, SourceKind
from pytest_kvlatency.config.values import Refused, default_of, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: Lists what is wrong with a value; nothing for a right one.
    Judge = Callable[[Any], Sequence[str]]


def resolve(
    layers: Sequence[Layer], *, complete: bool = True, judges: Mapping[str, Judge] | None = None
) -> Settings:
    """Merge the layers into settings; among layers of one kind the first wins.

    Values that contradict each other are no problem as long as a source that is still to come may change one of them: a
    marker, when the layers are not ``complete``, or the ConfigMap that the settings name.

    Raises ``SettingsError`` with every problem, or its subclass ``MarkerError`` when a marker takes part in one. A
    value that a stronger source overrides is judged too: a slip in an ini file shows at once. ``judges`` say, by an
    option's name, what is wrong with the value that is used beyond what its parser can know.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {option.name: default_of(option) for option in OPTIONS}
    sources = {option.name: Source(kind="default", name=option.flag) for option in OPTIONS}
    wrong: set[str] = set()
    # From the weakest to the strongest, so that what is stronger replaces what is there.
    for layer in sorted(layers, key=lambda one: PRECEDENCE.index(one.kind))[::-1]:
        problems += layer.problems
        for name, raw in layer.values.items():
            option = BY_NAME.get(name)
            if option is None:
                problems.append(_unknown(layer, name))
                continue
            if raw is None:
                continue
            source = source_of(layer, option)
            try:
                values[name] = value_of(option, raw)
            except Refused as refused:
                wrong.add(name)
                problems += [problem_of(source, *one) for one in refused.what]
                continue
            sources[name] = source
            wrong.discard(name)
    for name, judge in (judges or {}).items():
        if name not in wrong and values[name] is not None:
            found = [
                Problem(text=f"{sources[name].label}: {text}{tail((sources[name],))}")
                for text in judge(values[name])
            ]
            wrong.update([name] if found else [])
            problems += found
    settings = Settings(
        **{option.attribute: values[option.name] for option in OPTIONS}, sources=MappingProxyType(sources)
    )
    is_unread = settings.configmap is not None and all(layer.kind != "ConfigMap" for layer in layers)
    for conflict in conflicts.find(settings):
        taking_part = tuple(sources[name] for name in conflict.options if sources[name].kind != "default")
        if wrong.intersection(conflict.options) or (is_unread and _may_heal(conflict.options, sources)):
            continue
        if not complete and any(BY_NAME[name].marker for name in conflict.options):
            continue
        problems.append(Problem(text=f"{conflict.text}{tail(taking_part)}", sources=taking_part))
    if problems:
        raise settings_error(problems)
    return settings


def check_guest(settings: Settings, profiles: Callable[[], Iterable[str]]) -> None:
    """Raise ``SettingsError`` when the guest is none of the ``profiles``, which are asked for only when in doubt."""
    source = settings.sources["guest"]
    if source.kind == "default":
        return
    known = set(profiles())
    if settings.guest not in known:
        guess = did_you_mean(settings.guest, known)
        more = "(the hook pytest_kvlatency_guest_profiles can register more)"
        text = (
            f"is not a guest profile{f'. {guess}' if guess else f': expected {either(sorted(known))} {more}'}"
        )
        raise settings_error([problem_of(source, settings.guest, text)])


def source_of(layer: Layer, option: Option) -> Source:
    """Where a layer's value of an option came from."""
    usual: dict[SourceKind, str] = {
        "command line": option.flag,
        "default": option.flag,
        "ini": option.ini or option.flag,
        "ConfigMap": f"spec.param.{option.configmap}",
        "marker": option.name,
        "hook": option.name,
        "environment": option.flag,
    }
    name = layer.names.get(option.name, usual[layer.kind])
    return Source(kind=layer.kind, name=name, detail=layer.detail)


def _may_heal(names: Sequence[str], sources: Mapping[str, Source]) -> bool:
    """Whether a ConfigMap that is still to be read may give one of these options another value."""
    weaker = PRECEDENCE[PRECEDENCE.index("ConfigMap") :]
    return any(BY_NAME[name].configmap is not None and sources[name].kind in weaker for name in names)


def _unknown(layer: Layer, name: str) -> Problem:
    source = Source(kind=layer.kind, name=name, detail=layer.detail)
    guess = did_you_mean(name, BY_NAME)
    instead = f". {guess}" if guess else f": expected {either(BY_NAME)}"
    return Problem(text=f"{name!r} is not an option{instead} (from {source.origin})", sources=(source,))
