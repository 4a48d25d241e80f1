"""Negative values on the command line, which argparse takes for options of its own."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_kvlatency.config.options import OPTIONS, Option
from pytest_kvlatency.config.problems import SettingsError, problem_of
from pytest_kvlatency.config.sources import Problem, Source
from pytest_kvlatency.config.values import Refused, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        return [problem_of(source, *one) for one in refused.what]
    if is_two_words and _looks_negative(value):
        return [problem_of(source, value, f"looks like an option. Write {option.flag}={value}")]
    return []
