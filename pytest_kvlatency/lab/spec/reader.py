"""Reads values out of a document that people write, and collects all that is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.units import parse_duration, parse_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass
class SpecReader:
    """Collects problems, so that all are reported together; each method returns a default for what is wrong."""

    problems: list[str] = field(default_factory=list)

    def wrong(self, place: str, value: object, text: str) -> None:
        """Note a problem: what ``value`` at ``place`` is not."""
        shown = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
        self.problems.append(f"{place}: {shown} {text}" if place else f"{shown} {text}")

    def mapping(self, place: str, value: object, keys: Iterable[str]) -> dict[str, Any]:
        """Return a mapping with none but these keys."""
        if not isinstance(value, dict):
            self.wrong(place, value, f"is not a mapping: expected the keys {', '.join(keys)}")
            return {}
        known = tuple(keys)
        for key in value:
            if key not in known:
                self.wrong(place, key, f"is not a known key: expected one of {', '.join(known)}")
        return {key: item for key, item in value.items() if key in known}

    def items(self, place: str, value: object) -> list[Any]:
        """Return a list."""
        if isinstance(value, list):
            return value
        self.wrong(place, value, "is not a list")
        return []

    def number(
        self, place: str, value: object, valid: Callable[[float], bool], help_text: str
    ) -> float | None:
        """Return a number for which ``valid`` holds."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and valid(value):
            return value
        self.wrong(place, value, f"is not a {help_text}")
        return None

    def integer(self, place: str, value: object, lowest: int, highest: int) -> int | None:
        """Return a whole number in the range, both ends included."""
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self.wrong(place, value, f"is not an integer from {lowest} to {highest}")
        return None

    def boolean(self, place: str, value: object) -> bool:
        """Return true or false."""
        if isinstance(value, bool):
            return value
        self.wrong(place, value, "is not a boolean: expected true or false")
        return False

    def string(self, place: str, value: object) -> str | None:
        """Return a text that is not empty."""
        if isinstance(value, str) and value:
            return value
        self.wrong(place, value, "is not a string, or is empty")
        return None

    def choice(self, place: str, value: object, valid: Iterable[str], what: str = "is not valid") -> Any:
        """Return one of ``valid``."""
        known = tuple(valid)
        if isinstance(value, str) and value in known:
            return value
        self.wrong(place, value, f"{what}: expected one of {', '.join(known)}")
        return None

    def duration(self, place: str, value: object) -> int:
        """Return nanoseconds."""
        try:
            return parse_duration(str(value)) if isinstance(value, (str, int)) else parse_duration("?")
        except ValueError as error:
            self.wrong(place, value, str(error))
            return 0

    def probability(self, place: str, value: object) -> float:
        """Return a share in 0..1 of a percentage."""
        text = str(value) if isinstance(value, (str, int, float)) else ""
        try:
            return parse_percent("" if value is True or value is False else text) / 100
        except ValueError as error:
            self.wrong(place, value, str(error))
            return 0.0

    def name(self, place: str, value: object) -> str | None:
        """Return a name as Kubernetes has them."""
        if isinstance(value, str) and NAME.fullmatch(value):
            return value
        self.wrong(place, value, "is not a valid name: expected lower-case letters, digits, '-' and '.'")
        return None

    def strings(self, place: str, value: object) -> dict[str, str]:
        """Return a mapping of text to text, such as labels."""
        if isinstance(value, dict) and all(
            isinstance(k, str) and isinstance(v, str) for k, v in value.items()
        ):
            return dict(value)
        self.wrong(place, value, "is not a mapping of strings to strings: quote true, false and numbers")
        return {}
