"""Values that are right each on its own, and wrong together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.model import STREAM_INTERVAL_NS, NodePair
from pytest_kvlatency.ping.statistics import SAMPLES_NEEDED
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.config.settings import Settings

_P99_SAMPLES: Final = SAMPLES_NEEDED[99]


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """``text`` names the options and their values; ``options`` are those that take part."""

    text: str
    options: tuple[str, ...]


def find(settings: Settings) -> Iterator[Conflict]:
    """Find every conflict among the settings of one check."""
    is_all_moves = _is_all_moves(settings)
    if not is_all_moves:
        yield from _of_the_sample(settings)
    yield from _of_the_gap(settings, is_all_moves=is_all_moves)
    yield from _of_the_run(settings)


def _is_all_moves(settings: Settings) -> bool:
    """Whether a guest migrates in each sample: then how long that takes decides, and its own interval is kept."""
    return all(one.is_move if isinstance(one, NodePair) else one.is_of_moves for one in settings.nodes)


def _of_the_sample(settings: Settings) -> Iterator[Conflict]:
    sample, interval = settings.sample_duration_ns, settings.interval_ns
    named = settings.named
    said = f"{named('sample_duration')} {format_duration(sample)}"
    every = f"{named('interval')} {format_duration(interval)}"
    if interval > sample:
        yield Conflict(
            text=f"{every} is longer than {said}. Use a shorter interval, or a longer sample",
            options=("interval", "sample_duration"),
        )
    elif settings.max_p99_ns is not None and settings.ping.count < _P99_SAMPLES:
        yield Conflict(
            text=f"{named('max_p99')} {format_duration(settings.max_p99_ns)} needs {_P99_SAMPLES} samples, but {said} "
            f"at {every} takes {settings.ping.count}. "
            f"Use {named('sample_duration')} {format_duration(_P99_SAMPLES * interval)} or longer",
            options=("max_p99", "sample_duration", "interval"),
        )
    if settings.timeout_ns is not None and settings.timeout_ns <= sample:
        yield Conflict(
            text=timeout_too_short(settings, rounds=1, needed_ns=sample),
            options=("timeout", "sample_duration"),
        )


def _of_the_gap(settings: Settings, *, is_all_moves: bool) -> Iterator[Conflict]:
    interval = settings.interval_ns
    every = f"{settings.named('interval')} {format_duration(interval)}"
    if is_all_moves and interval > STREAM_INTERVAL_NS:
        interval = STREAM_INTERVAL_NS
        every = f"{format_duration(interval)} in a migration"
    if settings.max_gap_ns is not None and settings.max_gap_ns < 2 * interval:
        yield Conflict(
            text=f"{settings.named('max_gap')} {format_duration(settings.max_gap_ns)} is shorter than two intervals "
            f"of ping ({every}), which one lost packet takes. Use a shorter interval, or a longer limit",
            options=("max_gap", "interval"),
        )


def _of_the_run(settings: Settings) -> Iterator[Conflict]:
    if settings.sweep and settings.preflight:
        yield _exclusive(settings, "sweep", "preflight", "a preflight changes nothing in the cluster")
    if settings.prometheus is not None and settings.preflight:
        yield _exclusive(settings, "prometheus", "preflight", "a preflight measures nothing")
    reports = (("json", settings.json), ("html", settings.html), ("prometheus", settings.prometheus))
    for (one, path), (other, same) in combinations(reports, 2):
        if path is not None and same is not None and is_one_file(path, same):
            yield Conflict(
                text=f"--kv-{one} and --kv-{other} name the same file, {str(path)!r}. Use a file for each",
                options=(one, other),
            )
    # In an ini file it is a default for the runs that have a baseline.
    is_asked = settings.sources["max_regression"].kind == "command line"
    if settings.max_regression_percent is not None and settings.baseline is None and is_asked:
        yield Conflict(
            text=f"--kv-max-regression {settings.max_regression_percent:g}% needs --kv-baseline FILE, "
            "the JSON document of an earlier run",
            options=("max_regression", "baseline"),
        )
    if settings.lab is not None:
        for name, value in (("kubeconfig", settings.kubeconfig), ("context", settings.context)):
            if value is not None:
                yield _exclusive(settings, "lab", name, "the lab is the cluster")


def _exclusive(settings: Settings, one: str, other: str, why: str) -> Conflict:
    text = f"{settings.named(one)} and {settings.named(other)} cannot be combined: {why}"
    return Conflict(text=text, options=(one, other))


def is_one_file(one: str | Path, other: str | Path) -> bool:
    """Whether the later of two reports would replace the earlier one: a device or a pipe takes both."""
    path = Path(one)
    return path.resolve() == Path(other).resolve() and (path.is_file() or not path.exists())


def timeout_too_short(settings: Settings, *, rounds: int, needed_ns: int, is_move: bool = False) -> str:
    """Word what an explicit timeout leaves no time for; ``is_move``: the longest sample is that of a migration."""
    timeout = format_duration(settings.timeout_ns or 0)
    if rounds == 1 and is_move:
        what = f"one sample with a migration (at least {format_duration(needed_ns)})"
    elif rounds == 1:
        what = f"one sample ({format_duration(needed_ns)}, {settings.named('sample_duration')})"
    else:
        what = f"{rounds} rounds of samples ({format_duration(needed_ns)} in all)"
    is_less = (settings.timeout_ns or 0) < needed_ns
    # In a ConfigMap it is required.
    default = "" if settings.sources["timeout"].kind == "ConfigMap" else ", or none for the default"
    short = "shorter" if is_less else "not longer"
    return f"{settings.named('timeout')} {timeout} is {short} than {what}. Use a longer timeout{default}"
