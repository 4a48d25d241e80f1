"""A run in one sentence: how many of its pairs failed, on how many networks, and in what. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import counted, is_failed, place
from pytest_kvlatency.report.gapnumbers import gap_duration, gaps_of
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal.causelines import own_causes
from pytest_kvlatency.report.terminal.writer import plain
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Line

#: What is said of the pairs of each kind of failure; of all other kinds that they could not be measured.
_WORDS: Final = {
    "connectivity": "without connectivity",
    "loss": "with too much loss",
    "latency": "over the limit",
    "gap": "with too long a gap",
    "assertion": "in the test's own code",
    "interrupted": "interrupted",
}
_UNMEASURED: Final = "could not be measured"
_OF_ONE: Final = {
    "connectivity": "is without connectivity",
    "loss": "has too much loss",
    "latency": "is over the limit",
    "gap": "has too long a gap",
    "assertion": "failed in the test's own code",
    "interrupted": "was interrupted",
}
_OUTCOMES: Final = {"skipped": "skipped", "xfailed": "expected to fail", "notrun": "not run"}


def verdict(document: Mapping[str, Any]) -> Line:
    """The sentence, in the colour of what it says."""
    entries = last_attempts(document["measurements"])
    failed = [entry for entry in entries if is_failed(entry)]
    text = _failed(entries, failed) if failed else _good(entries)
    rest = _rest(entries)
    if rest:
        # The ways in which pairs failed stand between commas too.
        text += f"{'; ' if failed else ', '}{rest}"
    text += "" if failed else _worst(entries)
    own = own_causes(document)
    if own:
        # They are said below, with what to do.
        text += "; the run itself failed"
    return plain(text, "red" if failed or own else "green")


def _failed(entries: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]) -> str:
    kinds = Counter(_WORDS.get(entry["failureKind"], _UNMEASURED) for entry in failed)
    ways = ", ".join(f"{count} {word}" for word, count in kinds.most_common())
    networks, all_networks = _networks(failed), _networks(entries)
    if len(entries) == 1:
        return f"the only pair {_OF_ONE.get(failed[0]['failureKind'], _UNMEASURED)}"
    where = f" on {networks} of {all_networks} networks" if all_networks > 1 else ""
    if len(failed) == len(entries):
        return f"all {counted(entries)} failed: {ways}"
    return f"{len(failed)} of {counted(entries)} failed{where}: {ways}"


def _good(entries: Sequence[Mapping[str, Any]]) -> str:
    passed = [entry for entry in entries if entry["outcome"] in ("passed", "xpassed")]
    networks = _networks(entries)
    where = f" on {networks} networks" if networks > 1 else ""
    if len(passed) == len(entries):
        return f"{counted(entries)} passed{where}"
    return f"{len(passed)} of {counted(entries)} passed{where}"


def _rest(entries: Sequence[Mapping[str, Any]]) -> str:
    """What became of pairs that neither passed nor failed."""
    counts = Counter(entry["outcome"] for entry in entries)
    parts = [f"{counts[outcome]} {words}" for outcome, words in _OUTCOMES.items() if counts[outcome]]
    return ", ".join(parts)


def _worst(entries: Sequence[Mapping[str, Any]]) -> str:
    """The slowest of several pairs; of several that a guest migrated in, the one with the longest gap."""
    moves = [entry for entry in entries if is_move(entry)]
    # What waited for a guest that is moved was slow for that alone.
    measured = [one for one in entries if one["maxLatencyNanoSec"] is not None and not is_move(one)]
    said = ""
    if len(measured) > 1:
        slowest = max(measured, key=lambda entry: entry["maxLatencyNanoSec"])
        said = f"; worst {format_duration(slowest['maxLatencyNanoSec'])}, {printable(place(slowest))}"
    gaps = [(length, one) for one in moves if (length := gaps_of(one)["longestGap"]) is not None]
    if gaps:
        length, longest = max(gaps, key=lambda one: one[0])
        where = f", {printable(place(longest))}" if len(entries) > 1 else ""
        said += f"; longest gap {gap_duration(length)}{where}"
    return said


def _networks(entries: Sequence[Mapping[str, Any]]) -> int:
    return len({entry["nad"] for entry in entries if entry["nad"] is not None})
