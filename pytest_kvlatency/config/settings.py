"""Sources to one frozen ``Settings``: which value wins, what it means, and everything that is wrong, at once.

Precedence: marker, command line, ConfigMap, ini, hook, environment, default. A list replaces the list below it.
``none`` removes an inherited limit. A value of None (from a marker or a hook) is one that was not given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config import conflicts as crosschecks
from pytest_kvlatency.config.configmap import configmap_layer
from pytest_kvlatency.config.nearest import did_you_mean, either
from pytest_kvlatency.config.options import BY_NAME, OPTIONS, SIGNATURE, Option
from pytest_kvlatency.config.parsers import phrase
from pytest_kvlatency.config.sources import PRECEDENCE, Layer, Problem, Source, SourceKind
from pytest_kvlatency.config.values import Refused, default_of, show, value_of
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import GuestSpec, Limits, PingParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.config.parsers import Keep, Network, NodeSet, NodesSpec, Shard, Toleration
    from pytest_kvlatency.model import Check, NadRef

    #: Lists what is wrong with a value; nothing for a right one.
    Judge = Callable[[Any], Sequence[str]]

__all__ = [
    "Layer",
    "MarkerError",
    "Problem",
    "Settings",
    "SettingsError",
    "Source",
    "check_guest",
    "check_timeout",
    "configmap_layer",
    "refuse_negative_values",
    "resolve",
    "timeout_for",
    "with_sources",
]

BASE_TIMEOUT_NS: Final = 300_000_000_000
#: What a round takes beside its sample.
ROUND_NS: Final = 2_000_000_000


class SettingsError(ConfigError):
    """One or more values are wrong. ``str`` has one problem a line; ``reason`` has them all in one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = tuple(problems)

    @property
    def messages(self) -> tuple[str, ...]:
        """Each problem as one line."""
        return tuple(problem.text for problem in self.problems)

    @property
    def involves_marker(self) -> bool:
        """Whether a kvlatency marker takes part: then it is a collection error, no usage error."""
        return any(source.kind == "marker" for problem in self.problems for source in problem.sources)

    def __str__(self) -> str:
        return "\n".join(self.messages)


class MarkerError(SettingsError):
    """A kvlatency marker is wrong; the text quotes the marker's signature."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        super().__init__([Problem(text=problems)] if isinstance(problems, str) else problems)

    @property
    def involves_marker(self) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        return f"{super().__str__()}\nThe marker is {SIGNATURE}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every option's value, and in ``sources`` where it came from (both by the option's name, ``max_latency``)."""

    nad: tuple[NadRef, ...]
    nodes: tuple[NodesSpec, ...]
    node_set: NodeSet | None
    max_latency_ns: int | None
    max_avg_ns: int | None
    max_p99_ns: int | None
    max_loss_percent: float | None
    sample_duration_ns: int
    interval_ns: int
    packet_size: int
    dont_fragment: bool
    warmup: int
    timeout_ns: int | None
    parallel: int | None
    namespace: str | None
    configmap: str | None
    kubeconfig: Path | None
    context: str | None
    subnet: Network | None
    binding: str
    guest: str
    image: str | None
    image_pull_secret: str | None
    tolerations: tuple[Toleration, ...]
    keep: Keep
    artifacts: Path | None
    json: Path | None
    html: Path | None
    prometheus: Path | None
    shard: Shard | None
    baseline: Path | None
    max_regression_percent: float | None
    sweep: bool
    preflight: bool
    lab: str | None
    sources: Mapping[str, Source]

    @property
    def limits(self) -> Limits:
        """What is accepted."""
        return Limits(
            max_latency_ns=self.max_latency_ns,
            max_avg_ns=self.max_avg_ns,
            max_p99_ns=self.max_p99_ns,
            max_loss_percent=self.max_loss_percent,
        )

    @property
    def ping(self) -> PingParameters:
        """How to ping."""
        return PingParameters(
            sample_duration_ns=self.sample_duration_ns,
            interval_ns=self.interval_ns,
            packet_size=self.packet_size,
            dont_fragment=self.dont_fragment,
            warmup=self.warmup,
        )

    @property
    def guest_spec(self) -> GuestSpec:
        """What the VMIs are made of."""
        return GuestSpec(
            profile=self.guest,
            image=self.image,
            binding=self.binding,
            subnet=None if self.subnet is None else str(self.subnet),
        )

    def describe(self, name: str) -> str:
        """Say where an option's value came from: ``--kv-max-latency (command line)``."""
        return str(self.sources[name])

    def text(self, name: str) -> str:
        """Give an option's value as one would write it; ``none`` where there is none."""
        option = BY_NAME[name]
        value = getattr(self, option.attribute)
        if option.repeatable:
            return ", ".join(show(option, one) for one in value) or "none"
        return show(option, value)

    def changed(self) -> list[tuple[str, str, str]]:
        """List what no default decided: the option as its source spells it, the value as text, the place."""
        return [
            (source.name, self.text(option.name), source.place)
            for option in OPTIONS
            if (source := self.sources[option.name]).kind != "default"
        ]


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
                problems += [_problem(source, *one) for one in refused.what]
                continue
            sources[name] = source
            wrong.discard(name)
    for name, judge in (judges or {}).items():
        if name not in wrong and values[name] is not None:
            found = [
                Problem(text=f"{sources[name].label}: {text}{_tail((sources[name],))}")
                for text in judge(values[name])
            ]
            wrong.update([name] if found else [])
            problems += found
    settings = Settings(
        **{option.attribute: values[option.name] for option in OPTIONS}, sources=MappingProxyType(sources)
    )
    is_unread = settings.configmap is not None and all(layer.kind != "ConfigMap" for layer in layers)
    for conflict in crosschecks.find(settings):
        taking_part = tuple(sources[name] for name in conflict.options if sources[name].kind != "default")
        if wrong.intersection(conflict.options) or (is_unread and _may_heal(conflict.options, sources)):
            continue
        if not complete and any(BY_NAME[name].marker for name in conflict.options):
            continue
        problems.append(Problem(text=f"{conflict.text}{_tail(taking_part)}", sources=taking_part))
    if problems:
        error = SettingsError(problems)
        raise MarkerError(problems) if error.involves_marker else error
    return settings


def refuse_negative_values(arguments: Sequence[str]) -> None:
    """Raise ``SettingsError`` for ``--kv-max-latency -5ms`` and the like among a command line's arguments.

    argparse takes the value for an option of its own, and says only that an argument is missing. What else is wrong
    on the command line is said with it.
    """
    flags = {
        option.flag: option for option in OPTIONS if not option.is_switch and option.optional_value is None
    }
    given = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    two_words = [(flag, value) for flag, value in pairwise(given) if flag in flags]
    if not any(_looks_negative(value) for _, value in two_words):
        return
    one_word = [(flag, value) for flag, equals, value in (one.partition("=") for one in given) if equals]
    problems = [
        problem
        for flag, value in (*two_words, *one_word)
        if flag in flags
        for problem in _judge(flags[flag], value, is_two_words=(flag, value) in two_words)
    ]
    raise SettingsError(problems)


def _looks_negative(value: str) -> bool:
    return re.match(r"-[0-9.]", value) is not None


def _judge(option: Option, value: str, *, is_two_words: bool) -> list[Problem]:
    source = Source(kind="command line", name=option.flag)
    try:
        value_of(option, [value] if option.repeatable else value)
    except Refused as refused:
        return [_problem(source, *one) for one in refused.what]
    if is_two_words and _looks_negative(value):
        return [_problem(source, value, f"looks like an option. Write {option.flag}={value}")]
    return []


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


def timeout_for(settings: Settings, checks: Sequence[Check], *, rounds: int) -> int:
    """Nanoseconds of the whole checkup: what was asked for, else 5 minutes and what the plan needs."""
    if settings.timeout_ns is not None:
        return settings.timeout_ns
    longest = sorted((check.ping.sample_duration_ns for check in checks), reverse=True)[:rounds]
    return BASE_TIMEOUT_NS + rounds * ROUND_NS + sum(longest)


def check_timeout(settings: Settings, checks: Sequence[Check], *, rounds: int) -> None:
    """Raise ``SettingsError`` when an explicit ``--kv-timeout`` is too short for the samples of ``rounds`` rounds."""
    if settings.timeout_ns is None or not checks or rounds < 1:
        return
    # At the least: the longest sample fills a round, and the shortest ones the others.
    *shorter, longest = sorted(check.ping.sample_duration_ns for check in checks)
    needed = longest + sum(shorter[: rounds - 1])
    if settings.timeout_ns > needed:
        return
    source = settings.sources["timeout"]
    found = crosschecks.timeout_too_short(settings, rounds=rounds, needed_ns=needed)
    raise SettingsError([Problem(text=f"{found}{_tail((source,))}", sources=(source,))])


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
        problems = [_problem(source, settings.guest, text)]
        raise MarkerError(problems) if source.kind == "marker" else SettingsError(problems)


def with_sources(settings: Settings, options: Sequence[str], error: ConfigError) -> SettingsError:
    """Say of an error in which these options take part where their values came from."""
    taking_part = tuple(
        settings.sources[name] for name in options if settings.sources[name].kind != "default"
    )
    problems = [Problem(text=f"{error.reason}{_tail(taking_part)}", sources=taking_part)]
    found = SettingsError(problems)
    if found.involves_marker:
        found = MarkerError(problems)
    found.hint = error.hint
    return found


def _problem(source: Source, value: object, text: str) -> Problem:
    return Problem(text=f"{source.label}: {phrase(value, text)} (from {source.origin})", sources=(source,))


def _tail(sources: Sequence[Source]) -> str:
    origins = dict.fromkeys(source.origin for source in sources)
    return f" (from {' and '.join(origins)})" if origins else ""


def _may_heal(names: Sequence[str], sources: Mapping[str, Source]) -> bool:
    """Whether a ConfigMap that is still to be read may give one of these options another value."""
    weaker = PRECEDENCE[PRECEDENCE.index("ConfigMap") :]
    return any(BY_NAME[name].configmap is not None and sources[name].kind in weaker for name in names)


def _unknown(layer: Layer, name: str) -> Problem:
    source = Source(kind=layer.kind, name=name, detail=layer.detail)
    guess = did_you_mean(name, BY_NAME)
    instead = f". {guess}" if guess else f": expected {either(BY_NAME)}"
    return Problem(text=f"{name!r} is not an option{instead} (from {source.origin})", sources=(source,))
