"""One raw value of one option, text or a marker's Python value, to what it means."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config import parsers
from pytest_kvlatency.config.nodespecs import NODES_HELP
from pytest_kvlatency.config.parsers import NAD_HELP
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from pytest_kvlatency.config.options import Option


class Refused(Exception):  # noqa: N818 - a control flow between two modules, no error of its own
    """What is wrong with one option's raw value: (value, what the parser says) pairs."""

    def __init__(self, *what: tuple[object, str]) -> None:
        super().__init__()
        self.what = what


def value_of(option: Option, raw: object) -> Any:
    """Parse one raw value. Raises ``Refused``."""
    if isinstance(raw, str) and raw.strip() == "none" and option.removable:
        return _removed(option)
    if not option.repeatable:
        return _parse(option, raw)
    items = [raw] if isinstance(raw, str) else raw
    if not isinstance(items, (list, tuple)):
        raise Refused((raw, f"is not a string: expected {_valid(option)}"))
    if not items:
        raise Refused((raw, f"is empty: expected {_valid(option)}"))
    if option.removable and [str(one).strip() for one in items] == ["none"]:
        return _removed(option)
    parsed: list[Any] = []
    refused: list[tuple[object, str]] = []
    for item in items:
        try:
            parsed.append(_parse(option, item))
        except Refused as error:
            refused += error.what
    if refused:
        raise Refused(*refused)
    return tuple(parsed)


def default_of(option: Option) -> Any:
    """The value of an option that no source gives."""
    if not option.default:
        return _removed(option)
    return value_of(option, list(option.default) if option.repeatable else option.default)


def show(option: Option, value: Any) -> str:
    """One value (of a repeatable option: one of its values) as one would type it."""
    if option.is_switch:
        return "true" if value else "false"
    if value is None:
        return "auto" if option.name == "parallel" else "none"
    if option.attribute.endswith("_ns"):
        return format_duration(value)
    return f"{value:g}" if option.attribute.endswith("_percent") else str(value)


def _removed(option: Option) -> Any:
    """What ``none`` leaves, and what there is without a default."""
    return () if option.repeatable else None


def _parse(option: Option, raw: object) -> Any:
    text = _text(option, raw)
    try:
        return getattr(parsers, option.parser)(text)
    except ValueError as error:
        text = str(error)
        if option.removable and option.name.startswith("max_") and ": expected " in text:
            text += ", or none for no limit"
        raise Refused((raw, text)) from error


def _text(option: Option, raw: object) -> str:
    """The raw value as text. Raises ``Refused`` for a Python value of another type than the option's."""
    if isinstance(raw, str):
        return raw
    if option.is_switch:
        if isinstance(raw, bool):
            return str(raw)
        raise Refused((raw, "is neither True nor False"))
    # A number is let through to the duration's parser, which says that the unit is missing.
    takes_numbers = option.number or option.attribute.endswith("_ns")
    if takes_numbers and isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return str(raw)
    if option.parser == "path" and isinstance(raw, PurePath):
        return str(raw)
    if (
        option.name == "node_set"
        and isinstance(raw, (list, tuple))
        and all(isinstance(one, str) for one in raw)
    ):
        # Names with commas between them on the command line; in Python, where nad and nodes are lists, a list too.
        return ",".join(raw)
    raise Refused((raw, _no_text(option)))


def _no_text(option: Option) -> str:
    return f"is not a {'number or ' if option.number else ''}string: expected {_valid(option)}"


def _valid(option: Option) -> str:
    one = {"nad": NAD_HELP, "nodes": NODES_HELP}.get(option.name, str(option.metavar))
    return f"{one}, or a list of these" if option.repeatable or option.name == "node_set" else one
