"""Durations, percentages and sizes: text to numbers and back. Errors say what is valid; callers add the source."""

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
PERCENT_HELP: Final = "a percentage from 0 to 100, such as 0, 0.5 or 10%"


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration in Go's notation (``time.ParseDuration``): ``10ms``, ``1m30s``, ``0``.

    Raises ``ValueError`` for anything else: a bare number, a negative one, or one beyond Go's 292 years.
    """
    value = text.strip().removeprefix("+")
    if value == "0":
        return 0
    if value.startswith("-") and _is_duration(value[1:]):
        raise ValueError(f"must not be negative; valid is {DURATION_HELP}")
    if _NUMBER.fullmatch(value):
        raise ValueError(f"has no unit; valid is {DURATION_HELP}")
    if not _is_duration(value):
        raise ValueError(f"is not a duration; valid is {DURATION_HELP}")
    total = 0
    for number, unit in _PART.findall(value):
        whole, _, fraction = number.partition(".")
        scale = NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if total > _MAX_NS:
        raise ValueError(f"is longer than 292 years; valid is {DURATION_HELP}")
    return total


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
        raise ValueError(f"is no percentage; valid is {PERCENT_HELP}")
    return float(value)


def to_ms(nanoseconds: float) -> float:
    """Milliseconds of nanoseconds."""
    return nanoseconds / 1e6


def to_seconds(nanoseconds: float) -> float:
    """Seconds of nanoseconds."""
    return nanoseconds / 1e9
