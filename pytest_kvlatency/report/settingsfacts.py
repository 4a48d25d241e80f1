"""The settings of a run as the document has them: each value as one would type it, and where it came from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.options import OPTIONS
from pytest_kvlatency.config.values import show

if TYPE_CHECKING:
    from pytest_kvlatency.config.options import Option
    from pytest_kvlatency.config.settings import Settings

#: What an option that has no value shows as.
_NONE: Final = "none"


def settings_facts(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every option that has a value, also by default, in the order of the table of options.

    What is off, or has no value, is listed only where a source says so: ``none`` takes an inherited value away.
    """
    facts: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        source, value = settings.sources[option.name], getattr(settings, option.attribute)
        if source.kind == "default" and not _has_value(option, value):
            continue
        words: str | list[str] = show(option, value) if not option.repeatable else _NONE
        if option.repeatable and value:
            words = [show(option, one) for one in value]
        facts[option.name] = {"option": option.flag, "value": words, "source": source.place}
    return facts


def _has_value(option: Option, value: object) -> bool:
    if option.is_switch:
        return bool(value)
    # How many pairs at once is always decided, by ``auto`` if by nothing else.
    return option.name == "parallel" or (value is not None and value != ())
