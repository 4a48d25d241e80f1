"""Durations, percentages and sizes: text to numbers and back.

Errors say what is expected, or the nearest right value; callers put the value in front and the source behind.
"""

from __future__ import annotations

import re
from typing import Final

NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_MAX_NS: Final = 2**63 - 1
DURATION_HELP: Final = "a duration such as 10ms, 1.5s, 5m or 1m30s"
#: How people write units: each is a word of one of Go's units.
_WORDS: Final = {
    **{unit: unit for unit in NANOSECONDS},
    **dict.fromkeys(("nsec", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("usec", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
}
_CLOCK: Final = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{2})")
_WORDED: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\W\d]*)[\s,]*")


def parse_duration(text: str, *, usual: str = "ms") -> int:
    """Nanoseconds of a duration in Go's notation (``time.ParseDuration``): ``10ms``, ``1m30s``, ``0``.

    Raises ``ValueError`` for anything else: a bare number, a negative one, or one beyond Go's 292 years. ``usual`` is
    the unit that a number without one most likely has.
    """
    value = text.strip().removeprefix("+")
    if value == "0":
        return 0
    if value.startswith("-") and _is_duration(value[1:]):
        raise ValueError(f"is negative. Did you mean {value[1:]}?")
    if not _is_duration(value):
        wrong = "has no unit" if _NUMBER.fullmatch(value) else "is not a duration"
        nearest = nearest_duration(value, usual)
        raise ValueError(
            f"{wrong}. Did you mean {nearest}?" if nearest else f"{wrong}: expected {DURATION_HELP}"
        )
    total = 0
    for number, unit in _PART.findall(value):
        whole, _, fraction = number.partition(".")
        scale = NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if total > _MAX_NS:
        raise ValueError(f"is longer than 292 years: expected {DURATION_HELP}")
    return total


def nearest_duration(text: str, usual: str) -> str:
    """What ``10``, ``1,5s``, ``1:30``, ``10 MS`` or ``5min`` most likely stands for; empty without an idea."""
    value = text.strip().lower()
    if clock := _CLOCK.fullmatch(value):
        parts = zip(clock.groups(), ("h", "m", "s"), strict=True)
        nearest = "".join(f"{int(number)}{unit}" for number, unit in parts if number and int(number))
        return nearest if _is_likely(nearest) else ""
    value = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", value)
    value = re.sub(r"(?<=[0-9]),(?=[0-9])", ".", value)
    if not re.fullmatch(f"(?:{_WORDED.pattern})+", value, re.ASCII | re.DOTALL):
        return ""
    nearest, unit = "", ""
    for number, word in _WORDED.findall(value):
        # What follows hours without a unit are minutes, what follows minutes are seconds.
        unit = _unit(word, usual) if word else {"": usual, "h": "m", "m": "s"}.get(unit, "")
        if not unit:
            return ""
        nearest += f"{number}{unit}"
    return nearest if _is_likely(nearest) else ""


def _unit(word: str, usual: str) -> str:
    """The unit that a word stands for, or nearly is; empty where it is none."""
    if word in _WORDS:
        return _WORDS[word]
    if len(word) == 1:
        return ""
    import difflib  # noqa: PLC0415 - needed only to word an error

    close = [_WORDS[one] for one in difflib.get_close_matches(word, _WORDS, n=len(_WORDS), cutoff=0.5)]
    return usual if usual in close and len(usual) == len(word) else next(iter(close), "")


def _is_likely(text: str) -> bool:
    """Whether a duration that was made up here is one that ``parse_duration`` accepts, above 0."""
    return (
        _is_duration(text)
        and 0 < sum(float(one) * NANOSECONDS[unit] for one, unit in _PART.findall(text)) < _MAX_NS
    )


def _is_duration(text: str) -> bool:
    """Whether ``text`` is a sequence of numbers with units, and nothing else."""
    return bool(text) and not _PART.sub("", text)


def format_duration(nanoseconds: int) -> str:
    """Go's shortest text for a duration, e.g. ``12.3ms``, ``1m30s``; the inverse of ``parse_duration``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit in ("ms", "µs", "ns"):
            if nanoseconds >= NANOSECONDS[unit]:
                return _decimal(nanoseconds, NANOSECONDS[unit]) + unit
    hours, rest = divmod(nanoseconds, NANOSECONDS["h"])
    minutes, rest = divmod(rest, NANOSECONDS["m"])
    parts = [f"{hours}h"] if hours else []
    if hours or minutes:
        parts.append(f"{minutes}m")
    parts.append(_decimal(rest, NANOSECONDS["s"]) + "s")
    return "".join(parts)


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_percent(text: str) -> float:
    """A percentage in 0..100, with or without ``%``. Raises ``ValueError``."""
    value = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(value) or not 0 <= float(value) <= 100:
        raise ValueError(f"is not a percentage from 0 to 100{_instead(value)}")
    return float(value)


def _instead(value: str) -> str:
    """What is expected in the place of a wrong percentage."""
    written = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)?)\s*(?:%|percent|per cent|pct)?", value, re.IGNORECASE)
    nearest = written[1].replace(",", ".") if written else ""
    if nearest and float(nearest) <= 100:
        return f". Did you mean {nearest}?"
    return ": expected a number such as 0, 0.5 or 10%"


def to_ms(nanoseconds: float) -> float:
    """Milliseconds of nanoseconds."""
    return nanoseconds / 1e6


def to_seconds(nanoseconds: float) -> float:
    """Seconds of nanoseconds."""
    return nanoseconds / 1e9
