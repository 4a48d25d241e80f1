"""A checkup's ConfigMap to a layer of settings: the keys of KubeVirt's VM latency checkup, and one for each option.

Of that contract: ``spec.timeout`` and the NAD's namespace and name are required, an empty optional parameter is
unset, nodes are given both or neither, numbers are in the unit that their key names. A latency of 0 is refused: to
some it means "no limit", to others that nothing passes.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.nearest import did_you_mean, either
from pytest_kvlatency.config.nodespecs import node, source_node
from pytest_kvlatency.config.options import OPTIONS, Option, Unit
from pytest_kvlatency.config.parsers import phrase
from pytest_kvlatency.config.sources import Layer, Problem, Source
from pytest_kvlatency.units import NANOSECONDS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "spec.param."
TIMEOUT: Final = "spec.timeout"
NAD_NAMESPACE: Final = "networkAttachmentDefinitionNamespace"
NAD_NAME: Final = "networkAttachmentDefinitionName"
SOURCE_NODE: Final = "sourceNode"
TARGET_NODE: Final = "targetNode"

_BY_KEY: Final = {option.configmap: option for option in OPTIONS if option.configmap not in (None, TIMEOUT)}
_NAMES: Final = (NAD_NAMESPACE, NAD_NAME, SOURCE_NODE, TARGET_NODE)
_VALID: Final = (*_NAMES, *(key for key in _BY_KEY if key is not None))
#: Lists that may also be spelled like their option: ``toleration`` for ``tolerations``. What both say adds up.
_AS_OPTION: Final = {"nad": "networkAttachmentDefinitions", "toleration": "tolerations"}
#: The contract's older spelling, still found in the wild.
_OLD: Final = {
    re.sub(r"[A-Z]", lambda capital: "_" + capital[0].lower(), key): key
    for key in (*_NAMES, "maxDesiredLatencyMilliseconds", "sampleDurationSeconds")
}
_SUCH: Final = 10
_MOST_LIKELY: Final = 10**9
_UNITS: Final = {"ms": "milliseconds", "s": "seconds"}
_NUMBER: Final = {"ms": re.compile(r"[0-9]+(\.[0-9]+)?"), "s": re.compile(r"[0-9]+")}


def configmap_layer(data: Mapping[str, str], ref: str) -> tuple[Layer, list[str]]:
    """Return what a ConfigMap's data say, and a deprecation warning for each older key in it.

    ``ref`` is its ``NAMESPACE/NAME``. What is wrong is in the layer's ``problems``, which ``settings.resolve`` raises.
    """
    reader = _Reader(data, f"ConfigMap {ref}")
    reader.read()
    layer = Layer(
        kind="ConfigMap",
        values=reader.values,
        detail=reader.detail,
        names=reader.names,
        problems=tuple(reader.problems),
    )
    return layer, reader.warnings


class _Reader:
    """Takes one ConfigMap apart, and collects all that is wrong with it."""

    def __init__(self, data: Mapping[str, str], detail: str) -> None:
        self.detail = detail
        self.values: dict[str, object] = {}
        self.names: dict[str, str] = {"timeout": TIMEOUT}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._data = data
        self._spelled: dict[str, str] = {}

    def read(self) -> None:
        given = self._parameters()
        timeout = self._data.get(TIMEOUT, "").strip()
        if timeout:
            self.values["timeout"] = timeout
        else:
            self._refuse(TIMEOUT, "is missing: expected a duration such as 5m")
        self._nodes(given)
        self._nads(given)
        for key, value in given.items():
            option = _BY_KEY[key]
            self.names[option.name] = self._spelled[key]
            raw = self._raw(option, self._spelled[key], value)
            if raw is not None:
                self.values[option.name] = raw

    def _parameters(self) -> dict[str, str]:
        """The parameters that are not empty, by their present names."""
        given: dict[str, str] = {}
        old: dict[str, str] = {}
        for key in sorted(self._data):
            if not key.startswith(PREFIX):
                continue
            value = self._data[key].strip()
            name = _AS_OPTION.get(key.removeprefix(PREFIX), key.removeprefix(PREFIX))
            if name in _OLD:
                if value:
                    old[_OLD[name]] = value
                    self._spelled.setdefault(_OLD[name], key)
            elif name not in _VALID:
                self._unknown(key, name)
            elif value:
                given[name] = ",".join(filter(None, (given.get(name), value)))
                self._spelled[name] = key
        self.warnings += [
            self._deprecation(name, old[present], PREFIX + present, given.get(present))
            for name, present in sorted(_OLD.items())
            if present in old
        ]
        return {**old, **given}

    def _deprecation(self, name: str, value: str, present: str, winner: str | None) -> str:
        """What to say of an older key that is set, beside the present one or alone."""
        start = f"{PREFIX}{name} of {self.detail} is deprecated"
        if winner is None:
            return f"{start}. Use {present} instead"
        if winner == value:
            return f"{start} and ignored: {present} is set to the same value"
        return f"{start}, and its value {value!r} is ignored: {present} is set to {winner!r}"

    def _nodes(self, given: dict[str, str]) -> None:
        source, target = given.pop(SOURCE_NODE, ""), given.pop(TARGET_NODE, "")
        if not source and not target:
            return
        if not source or not target:
            there, missing = (SOURCE_NODE, TARGET_NODE) if source else (TARGET_NODE, SOURCE_NODE)
            self._refuse(
                self._spelled[there],
                f"is set without {missing}: set both {SOURCE_NODE} and {TARGET_NODE}, or neither",
                value=source or target,
            )
        elif "nodes" in given:
            self._refuse(PREFIX + "nodes", f"cannot be combined with {SOURCE_NODE} and {TARGET_NODE}")
        elif self._are_nodes(source, target):
            self.values["nodes"] = [f"{source}:{target}"]
            target_name = self._spelled[TARGET_NODE].removeprefix(PREFIX)
            self.names["nodes"] = f"{self._spelled[SOURCE_NODE]}:{target_name}"

    def _are_nodes(self, source: str, target: str) -> bool:
        """Whether each is the name of a node: pairs with a migration, and shapes, are for ``nodes``."""
        is_right = True
        for key, value, parse in ((SOURCE_NODE, source, source_node), (TARGET_NODE, target, node)):
            try:
                parse(value)
            except ValueError as error:
                is_right = False
                self._refuse(self._spelled[key], str(error), value=value)
        return is_right

    def _nads(self, given: dict[str, str]) -> None:
        namespace, name = given.pop(NAD_NAMESPACE, ""), given.pop(NAD_NAME, "")
        if not (namespace or name) and "networkAttachmentDefinitions" in given:
            return
        if not namespace:
            text = "is missing: expected the namespace of a NetworkAttachmentDefinition"
            self._refuse(PREFIX + NAD_NAMESPACE, text)
        if not name:
            self._refuse(PREFIX + NAD_NAME, "is missing: expected the name of a NetworkAttachmentDefinition")
        if namespace and name:
            self.values["nad"] = [
                f"{namespace}/{name}",
                *_items(given.pop("networkAttachmentDefinitions", "")),
            ]
            self.names["nad"] = self._spelled[NAD_NAME]

    def _raw(self, option: Option, key: str, value: str) -> object:
        """The value as the option's parser takes it; None when it was refused here."""
        if option.repeatable:
            return _items(value)
        if option.unit is None or (value == "none" and option.removable):
            return value
        kind = f"{'whole number' if option.unit == 's' else 'number'} of {_UNITS[option.unit]}"
        if value.startswith("-") and _NUMBER[option.unit].fullmatch(value[1:]):
            self._refuse(key, f"is negative. Did you mean {value[1:]}?", value=value)
        elif not _NUMBER[option.unit].fullmatch(value):
            guess = _bare(option.unit, value)
            instead = (
                f" without a unit. Did you mean {guess}?" if guess else f": expected one such as {_SUCH}"
            )
            self._refuse(key, f"is not a {kind}{instead}", value=value)
        elif float(value) == 0 and option.removable:
            self._refuse(key, "is not greater than 0. Leave the parameter out for no limit", value=value)
        elif float(value) == 0:
            self._refuse(key, f"is not greater than 0: expected a {kind} such as {_SUCH}", value=value)
        else:
            return self._with_unit(option.unit, key, value)
        return None

    def _with_unit(self, unit: Unit, key: str, value: str) -> str | None:
        """A number as the duration that it means; None when it was refused."""
        try:
            parse_duration(value + unit)
        except ValueError:
            # All that a number can still be: too large. The message quotes what stands in the ConfigMap.
            text = f"is longer than 292 years: expected a number of {_UNITS[unit]} such as {_SUCH}"
            self._refuse(key, text, value=value)
            return None
        return value + unit

    def _unknown(self, key: str, name: str) -> None:
        guess = did_you_mean(name, _VALID, most=3)
        self._refuse(key, f"is not a parameter{f'. {guess}' if guess else f': expected {either(_VALID)}'}")

    def _refuse(self, key: str, text: str, *, value: str | None = None) -> None:
        """Note what is wrong with a key, or with the value that it has."""
        source = Source(kind="ConfigMap", name=key, detail=self.detail)
        said = f"{key} {text}" if value is None else f"{key}: {phrase(value, text)}"
        self.problems.append(Problem(text=f"{said} (from {source.origin})", sources=(source,)))


def _bare(unit: Unit, value: str) -> str:
    """The number that a duration, or a number that is written in powers of 10, stands for; empty for neither."""
    try:
        written = Decimal(parse_duration(value)) / NANOSECONDS[unit]
    except ValueError:
        try:
            written = Decimal(value)
        except InvalidOperation:
            return ""
    number = f"{written:f}" if written.is_finite() and 0 < written < _MOST_LIKELY else ""
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return number if _NUMBER[unit].fullmatch(number) else ""


def _items(value: str) -> list[str]:
    """A list's items: commas or line breaks between them."""
    return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
