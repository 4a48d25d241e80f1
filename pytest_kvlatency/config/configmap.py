"""A checkup's ConfigMap to a layer of settings: the keys of KubeVirt's VM latency checkup, and one for each option.

Of that contract: ``spec.timeout`` and the NAD's namespace and name are required, an empty optional parameter is
unset, nodes are given both or neither, numbers are in the unit that their key names. A latency of 0 is refused: to
some it means "no limit", to others that nothing passes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.options import OPTIONS, Option, Unit
from pytest_kvlatency.config.sources import Layer, Problem, Source
from pytest_kvlatency.units import parse_duration

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
            self._refuse(TIMEOUT, "is missing; valid is a duration such as 5m")
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
        """What to say of an older key that stands there, beside the present one or alone."""
        start = f"{PREFIX}{name} of {self.detail} is deprecated"
        if winner is None:
            return f"{start}: use {present}, which wins where both stand"
        if winner == value:
            return f"{start}: {present} says the same, and is the one that is read"
        return f"{start}: its value {value!r} is not used, {present} wins with {winner!r}"

    def _nodes(self, given: dict[str, str]) -> None:
        source, target = given.pop(SOURCE_NODE, ""), given.pop(TARGET_NODE, "")
        if not source and not target:
            return
        if not source or not target:
            there, missing = (SOURCE_NODE, TARGET_NODE) if source else (TARGET_NODE, SOURCE_NODE)
            self._refuse(
                self._spelled[there],
                f"{source or target!r} stands without {missing}; valid are both or neither",
            )
        elif "nodes" in given:
            self._refuse(
                PREFIX + "nodes", f"stands beside {SOURCE_NODE} and {TARGET_NODE}; valid is one of the two"
            )
        else:
            self.values["nodes"] = [f"{source}:{target}"]
            target_name = self._spelled[TARGET_NODE].removeprefix(PREFIX)
            self.names["nodes"] = f"{self._spelled[SOURCE_NODE]}:{target_name}"

    def _nads(self, given: dict[str, str]) -> None:
        namespace, name = given.pop(NAD_NAMESPACE, ""), given.pop(NAD_NAME, "")
        if not (namespace or name) and "networkAttachmentDefinitions" in given:
            return
        if not namespace:
            self._refuse(PREFIX + NAD_NAMESPACE, "is missing; valid is the namespace of the NAD")
        if not name:
            self._refuse(PREFIX + NAD_NAME, "is missing; valid is the name of a NAD")
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
        unit = _UNITS[option.unit]
        if value.startswith("-") and _NUMBER["ms"].fullmatch(value[1:]):
            self._refuse(key, f"{value!r} must not be negative; valid is a number of {unit} such as 10")
        elif not _NUMBER[option.unit].fullmatch(value):
            kind = "whole number" if option.unit == "s" else "number"
            self._refuse(key, f"{value!r} is no {kind} of {unit}, without unit; valid is one such as 10")
        elif float(value) == 0 and option.removable:
            self._refuse(key, f"{value!r} is not greater than 0; leave it out, or empty, for no limit")
        elif float(value) == 0:
            self._refuse(key, f"{value!r} is not greater than 0; valid is a number of {unit} such as 10")
        else:
            return self._with_unit(option.unit, key, value)
        return None

    def _with_unit(self, unit: Unit, key: str, value: str) -> str | None:
        """A number as the duration that it means; None when it was refused."""
        try:
            parse_duration(value + unit)
        except ValueError:
            # All that a number can still be: too large. The message quotes what stands in the ConfigMap.
            self._refuse(
                key, f"{value!r} is longer than 292 years; valid is a number of {_UNITS[unit]} such as 10"
            )
            return None
        return value + unit

    def _unknown(self, key: str, name: str) -> None:
        import difflib  # noqa: PLC0415 - needed only to word this error

        close = difflib.get_close_matches(name, _VALID, n=3)
        valid = f"did you mean {' or '.join(close)}?" if close else f"valid are {', '.join(_VALID)}"
        self._refuse(key, f"is no parameter; {valid}")

    def _refuse(self, key: str, text: str) -> None:
        source = Source(kind="ConfigMap", name=key, detail=self.detail)
        self.problems.append(Problem(text=f"{key}: {text} (from {source.origin})", sources=(source,)))


def _items(value: str) -> list[str]:
    """A list's items: commas or line breaks between them."""
    return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
