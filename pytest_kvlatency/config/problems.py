"""What is wrong with settings, as errors that say where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.config.options import SIGNATURE
from pytest_kvlatency.config.parsers import phrase
from pytest_kvlatency.config.sources import Problem
from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.config.sources import Source


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


def with_sources(settings: Settings, options: Sequence[str], error: ConfigError) -> SettingsError:
    """Say of an error in which these options take part where their values came from."""
    taking_part = tuple(
        settings.sources[name] for name in options if settings.sources[name].kind != "default"
    )
    problems = [Problem(text=f"{error.reason}{tail(taking_part)}", sources=taking_part)]
    found = settings_error(problems)
    found.hint = error.hint
    return found


def settings_error(problems: Sequence[Problem]) -> SettingsError:
    """The error for problems, which is a marker's where one takes part in them."""
    found = SettingsError(problems)
    return MarkerError(problems) if found.involves_marker else found


def problem_of(source: Source, value: object, text: str) -> Problem:
    """What is wrong with one value: ``text`` follows it."""
    return Problem(text=f"{source.label}: {phrase(value, text)} (from {source.origin})", sources=(source,))


def tail(sources: Sequence[Source]) -> str:
    """The end of a message: where the values came from."""
    origins = dict.fromkeys(source.origin for source in sources)
    return f" (from {' and '.join(origins)})" if origins else ""
