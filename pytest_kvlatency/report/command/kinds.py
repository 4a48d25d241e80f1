"""What a value of a document may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report.document import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_SHOWN: Final = 60


def _nothing(_value: object, _path: str) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is expected, in words; whether a value is that; and what is wrong inside of one that is."""

    words: str
    fits: Callable[[object], bool]
    inside: Callable[[Any, str], Iterator[str]] = _nothing

    def flaws(self, value: object, path: str) -> Iterator[str]:
        """What is wrong, a line each; ``path`` names the place in the document."""
        if not self.fits(value):
            shown = repr(value)
            yield f"{path} is {shown if len(shown) <= _SHOWN else f'{shown[:_SHOWN]}…'}: expected {self.words}"
        else:
            yield from self.inside(value, path)

    def or_null(self) -> Kind:
        """The same, or null."""

        def inside(value: Any, path: str) -> Iterator[str]:
            if value is not None:
                yield from self.inside(value, path)

        return Kind(
            words=f"{self.words} or null", fits=lambda one: one is None or self.fits(one), inside=inside
        )


def list_of(kind: Kind, words: str) -> Kind:
    """A list of values of one kind."""

    def inside(value: Any, path: str) -> Iterator[str]:
        for number, one in enumerate(value):
            # Of samples there are many, and nothing is inside of them.
            if not kind.fits(one) or kind.inside is not _nothing:
                yield from kind.flaws(one, f"{path}[{number}]")

    return Kind(words=f"a list of {words}", fits=lambda one: isinstance(one, list), inside=inside)


def values_of(kind: Kind, words: str) -> Kind:
    """An object with any names, whose values are of one kind."""

    def inside(value: Any, path: str) -> Iterator[str]:
        for name, one in value.items():
            yield from kind.flaws(one, f"{path}.{name}")

    return Kind(words=words, fits=lambda one: isinstance(one, dict), inside=inside)


def object_of(names: Mapping[str, Kind], *, newer: Collection[str] = ()) -> Kind:
    """An object with these names; those that are ``newer`` may be missing, any other is passed over."""

    def inside(value: Any, path: str) -> Iterator[str]:
        missing = sorted(name for name in names if name not in value and name not in newer)
        if missing:
            yield f"{path or 'it'} has no {', '.join(missing)}"
        for name, kind in names.items():
            if name in value:
                yield from kind.flaws(value[name], f"{path}.{name}" if path else name)

    return Kind(words="an object", fits=lambda one: isinstance(one, dict), inside=inside)


def one_of(words: Collection[str]) -> Kind:
    """One of some words."""
    return Kind(words=", ".join(words), fits=lambda one: isinstance(one, str) and one in words)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_moment(value: object) -> bool:
    try:
        datetime.strptime(str(value), TIMESTAMP)  # noqa: DTZ007 - in UTC, which the format says
    except ValueError:
        return False
    return isinstance(value, str)


TEXT: Final = Kind(words="text", fits=lambda one: isinstance(one, str))
NUMBER: Final = Kind(words="a number", fits=_is_number)
WHOLE: Final = Kind(words="a whole number", fits=_is_whole)
FLAG: Final = Kind(words="true or false", fits=lambda one: isinstance(one, bool))
MOMENT: Final = Kind(words="a time such as 2026-11-30T02:45:32Z", fits=_is_moment)
TEXTS: Final = list_of(TEXT, "texts")
WHOLES: Final = list_of(WHOLE, "whole numbers")
