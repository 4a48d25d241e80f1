"""How long a whole checkup may take, by its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.conflicts import timeout_too_short
from pytest_kvlatency.config.problems import SettingsError, tail
from pytest_kvlatency.config.sources import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import Check

BASE_TIMEOUT_NS: Final = 300_000_000_000
#: What a round takes beside its sample.
ROUND_NS: Final = 2_000_000_000
#: What a sample with a migration may take: most are over in ten seconds, that of a busy guest or cluster is not.
MOVE_NS: Final = 60_000_000_000
#: Of these seconds it pings in any case, before the migration and after it.
BEFORE_MOVE_SECONDS: Final = 1.0
AFTER_MOVE_SECONDS: Final = 5.0
_LEAST_MOVE_NS: Final = round((BEFORE_MOVE_SECONDS + AFTER_MOVE_SECONDS) * 1e9)


def timeout_for(settings: Settings, checks: Sequence[Check], *, rounds: int) -> int:
    """Nanoseconds of the whole checkup: what was asked for, else 5 minutes and what the plan needs."""
    if settings.timeout_ns is not None:
        return settings.timeout_ns
    longest = sorted(map(usual_ns, checks), reverse=True)[:rounds]
    return BASE_TIMEOUT_NS + rounds * ROUND_NS + sum(longest)


def usual_ns(check: Check) -> int:
    """How long a sample takes at most, as long as nothing is wrong."""
    return MOVE_NS if check.pair.is_move else check.ping.sample_duration_ns


def least_ns(check: Check) -> int:
    """How long a sample takes at least."""
    return _LEAST_MOVE_NS if check.pair.is_move else check.ping.sample_duration_ns


def check_timeout(settings: Settings, checks: Sequence[Check], *, rounds: int) -> None:
    """Raise ``SettingsError`` when an explicit ``--kv-timeout`` is too short for the samples of ``rounds`` rounds."""
    if settings.timeout_ns is None or not checks or rounds < 1:
        return
    # At the least: the longest sample fills a round, and the shortest ones the others.
    *shorter, longest = sorted(map(least_ns, checks))
    needed = longest + sum(shorter[: rounds - 1])
    if settings.timeout_ns > needed:
        return
    source = settings.sources["timeout"]
    is_move = max(checks, key=least_ns).pair.is_move
    found = timeout_too_short(settings, rounds=rounds, needed_ns=needed, is_move=is_move)
    raise SettingsError([Problem(text=f"{found}{tail((source,))}", sources=(source,))])
