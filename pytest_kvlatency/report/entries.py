"""What an entry of the document is called, and how it ended, in the few words that all reports share. Pure.

None of it is escaped: each report escapes for where it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report.gapnumbers import gap_duration, gaps_of
from pytest_kvlatency.report.places import is_move, moved
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ABSENT: Final = "-"
#: Between the nodes of a pair.
ARROW: Final = " → "
#: Between a guest's node and the one where it migrates.
MOVE: Final = ">"
_ENDED_OTHERWISE: Final = ("xfailed", "xpassed", "skipped", "notrun")
#: What each limit is about, in the order in which a reader looks for them.
_LIMITS: Final = {
    "maxLatencyNanoSec": "max",
    "maxAvgLatencyNanoSec": "avg",
    "maxP99LatencyNanoSec": "p99",
    "maxGapNanoSec": "gap",
    "maxLossPercent": "loss",
}
#: The ping parameters that a measurement may have of its own, and how they read.
_PARAMETERS: Final = (
    ("packetSizeBytes", "{} bytes"),
    ("dontFragment", "don't fragment"),
    ("intervalSec", "every {} s"),
    ("sampleDurationSec", "for {} s"),
)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A limit that was exceeded: what it is about, what was measured and what is accepted, with their units."""

    name: str
    measured: str
    limit: str

    def __str__(self) -> str:
        return f"{self.name} {self.measured} > {self.limit}"


def is_own_check(entry: Mapping[str, Any]) -> bool:
    """Whether the own check measured it, whose ids say no more than network and pair."""
    return str(entry["nodeid"]).startswith("kvlatency::check[")


def is_failed(entry: Mapping[str, Any]) -> bool:
    """Whether the test failed, in whatever phase."""
    return entry["outcome"] in ("failed", "error")


def pair(entry: Mapping[str, Any]) -> str:
    """The nodes where the guests ran, or were to run, else as they were asked for: ``worker1 → worker2>worker3``."""
    source, target = entry["sourceNode"], entry["targetNode"]
    if source is None or target is None:
        return str(entry["nodes"] or ABSENT).replace(":", ARROW)
    return f"{source}{ARROW}{target}{moved(entry)}"


def place(entry: Mapping[str, Any]) -> str:
    """The network and the nodes."""
    return f"{entry['nad'] or entry['nodeid']} {pair(entry)}"


def counted(entries: Sequence[Mapping[str, Any]]) -> str:
    """How many there are: ``1 pair``, ``3 pairs``, or ``5 tests`` where several of them are of one pair."""
    places = {(entry["nad"], pair(entry)) for entry in entries}
    return f"{len(entries)} {'pair' if len(places) == len(entries) else 'test'}{'' if len(entries) == 1 else 's'}"


def test_name(entry: Mapping[str, Any]) -> str:
    """The test's own name, with those of its parameters that are not the check: ``test_load[udp]``."""
    head, _, parameters = entry["nodeid"].partition("[")
    nad = str(entry["nad"] or "")
    inside = parameters.removesuffix("]")
    for network in (nad, nad.partition("/")[2]):
        check = f"{network}-{entry['nodes']}"
        if network and check in inside:
            inside = inside.replace(check, "").strip("-")
            break
    name = head.rpartition("::")[2] or head
    return f"{name}[{inside}]" if inside else name


def test_of(entry: Mapping[str, Any]) -> str:
    """The test's whole id without its network and pair: ``test_x.py::test_y[1400]``."""
    nodeid: str = entry["nodeid"]
    name, bracket, parameters = nodeid.partition("[")
    nad = entry["nad"] or ""
    for shown in (nad, nad.rpartition("/")[2]):
        check = f"{shown}-{entry['nodes']}"
        if bracket and parameters == f"{check}]":
            return name
        if bracket and parameters.startswith(f"{check}-"):
            return f"{name}[{parameters[len(check) + 1 :]}"
        if bracket and parameters.endswith(f"-{check}]"):
            return f"{name}[{parameters[: -len(check) - 2]}]"
    return nodeid


def broken_limits(entry: Mapping[str, Any]) -> Iterator[Broken]:
    """The limits that the measurement exceeds, in the order in which a reader looks for them."""
    exceeded = {
        one["exceeded"]["limit"]: one["exceeded"]
        for one in entry.get("failures") or ()
        if one.get("exceeded")
    }
    for limit in _LIMITS:
        if limit in exceeded:
            yield _broken(limit, exceeded[limit]["measured"], exceeded[limit]["accepted"])
    if not exceeded:
        yield from _exceeded(entry)
    comparison = entry.get("comparison") or {}
    for name in ("p50", "p90", "p99"):
        change = comparison.get(name) or {}
        if change.get("regressed") and change["deltaPercent"] is not None:
            limit = f"+{comparison.get('maxRegressionPercent') or 0:g}%"
            yield Broken(name=f"Δ{name}", measured=f"{change['deltaPercent']:+.3g}%", limit=limit)


def _broken(limit: str, measured: float, accepted: float) -> Broken:
    """A limit by its key in the document, with numbers in its unit: nanoseconds, or percent."""
    name = _LIMITS[limit]
    if name == "loss":
        return Broken(name=name, measured=f"{measured:.3g}%", limit=f"{accepted:g}%")
    measured, accepted = int(measured), int(accepted)
    shown = gap_duration(measured) if name == "gap" else _duration(measured, accepted)
    return Broken(name=name, measured=shown, limit=format_duration(accepted))


def _exceeded(entry: Mapping[str, Any]) -> Iterator[Broken]:
    """What an older document's numbers exceed: its failures do not say which limits they are about.

    With a migration that is the gap alone, for the other numbers are of the whole sample, of which a part was judged.
    """
    limits, gap = entry["limits"] or {}, gaps_of(entry)["longestGap"]
    numbers = {"maxGapNanoSec": gap}
    if not entry.get("migration"):
        numbers |= {
            "maxLatencyNanoSec": entry["maxLatencyNanoSec"],
            "maxAvgLatencyNanoSec": entry["avgLatencyNanoSec"],
            "maxP99LatencyNanoSec": entry["p99LatencyNanoSec"],
            "maxLossPercent": entry["lossPercent"] if entry["received"] else None,
        }
    for limit in _LIMITS:
        measured, accepted = numbers.get(limit), limits.get(limit)
        if measured is not None and accepted is not None and measured > accepted:
            yield _broken(limit, measured, accepted)


def verdict(entry: Mapping[str, Any]) -> str:
    """How it ended: ``ok``, ``FAILED max 24.3ms > 10ms``, ``FAILED no reply``, ``ERROR provision``, ``xfailed (loss)``.

    Where the item ended otherwise than its network, its own end comes first.
    """
    outcome, kind = entry["outcome"], entry["failureKind"]
    if outcome in _ENDED_OTHERWISE:
        return str(outcome) if kind is None else f"{outcome} ({kind})"
    if kind is None:
        return "ok" if outcome == "passed" else outcome.upper()
    return f"{outcome.upper()} {what_failed(entry)}"


def what_failed(entry: Mapping[str, Any]) -> str:
    """What a failure is about, with the limit beside what broke it; else its kind."""
    kind = entry["failureKind"]
    if kind == "connectivity":
        return "no reply afterwards" if entry["received"] and is_move(entry) else "no reply"
    if kind in ("latency", "loss", "gap"):
        return ", ".join(map(str, broken_limits(entry))) or str(kind)
    return str(kind)


def fixture_of(extra: Mapping[str, Any]) -> str:
    """The fixture that made a measurement within a test: only a stream takes note of when its replies came."""
    if is_move(extra):
        return "kv_migration"
    return "kv_ping" if extra.get("repliesNanoSec") is None else "kv_stream"


def extra_verdict(extra: Mapping[str, Any]) -> str:
    """How a measurement within a test ended; it has no limits, so there is no verdict but that it failed."""
    return "" if extra["failureKind"] is None else f"FAILED {extra['failureKind']}"


def own_parameters(extra: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """By which ping parameters a measurement within a test differs from the test's own: ``1400 bytes, for 1 s``."""
    usual, own = entry["ping"] or {}, extra["ping"] or {}
    words = [
        text.format(f"{own[name]:g}")
        for name, text in _PARAMETERS
        if own.get(name) is not None and own.get(name) != usual.get(name) and own[name] is not False
    ]
    return ", ".join(words)


def _duration(measured: int, limit: int) -> str:
    """Milliseconds in three digits where they still show that the limit is exceeded; else all there are."""
    digits = next((n for bound, n in ((999_500, 3), (9_995_000, 2), (99_950_000, 1)) if measured < bound), 0)
    step = 10 ** (6 - digits)
    rounded = (measured + step // 2) // step * step
    return format_duration(rounded if rounded > limit and measured >= 100_000 else measured)
