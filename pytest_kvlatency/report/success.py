"""The rule of a run's success, over how its checks ended. Pure.

A run succeeds only if at least one check was measured, every check that was selected was, and none failed. Aside are
checks that their own tests leave out: by a skip, or by a mark that expects their failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.model import Outcome

_EXPECTED: Final = ("xfailed", "xpassed")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one check stands after its last attempt.

    ``is_measured``: pings were sent and counted; ``is_good``: the network's verdict on them. ``has_network`` is False
    for a test that was skipped because no network is named: an omission, and no decision of the test's own.
    """

    outcome: Outcome
    is_measured: bool
    is_good: bool
    has_network: bool

    @property
    def is_failed(self) -> bool:
        """Whether the test failed, or the network did in a test that was skipped afterwards."""
        if self.outcome in ("failed", "error"):
            return True
        return self.is_measured and not self.is_good and self.outcome not in _EXPECTED

    @property
    def is_complete(self) -> bool:
        """Whether the measurement counts: the limits are enforced only where the test was not cut off."""
        return self.is_measured and self.outcome != "notrun"

    @property
    def is_left_out(self) -> bool:
        """Whether the check was not measured because its own test says so."""
        return not self.is_measured and self.has_network and self.outcome in ("skipped", "xfailed")


def standing_of(entry: Mapping[str, Any]) -> Standing:
    """How the check of one entry of the document stands."""
    return Standing(
        outcome=entry["outcome"],
        is_measured=entry["transmitted"] is not None,
        is_good=bool(entry["succeeded"]),
        has_network=entry["nad"] is not None,
    )


def last_attempts(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The document's entries without attempts that were followed by another."""
    return list({entry["nodeid"]: entry for entry in entries}.values())


def shortfalls(standings: Sequence[Standing], *, cut_short_by: str = "") -> list[str]:
    """Why the checks do not add up to a success, beside those that failed: what was not measured, and how much.

    ``cut_short_by`` says why checks were not run, where that is known.
    """
    if not standings:
        return []
    if not any(one.is_failed or one.is_complete or _is_missing(one) for one in standings):
        return [f"run: nothing was measured: {_all_left_out(standings)}"]
    total = len(standings)
    not_run = sum(one.outcome == "notrun" for one in standings)
    without_network = sum(_lacks_network(one) for one in standings)
    unmeasured = sum(_is_missing(one) and one.outcome != "notrun" for one in standings)
    found = []
    if not_run:
        why = f": {cut_short_by}" if cut_short_by else ""
        found.append(f"run: {_of(not_run, total)} not run{why}")
    if without_network:
        found.append(f"run: {_of(without_network, total)} not run: no network is named (--kv-nad)")
    if unmeasured:
        found.append(f"run: {_of(unmeasured, total)} not measured")
    return found


def is_lack_of_any(standings: Sequence[Standing], reason: str | None) -> bool:
    """Whether all that is wrong with a run of these checks is that none of them was measured."""
    found = shortfalls(standings)
    return len(found) == 1 and found[0] == reason and all(map(_is_skipped, standings))


def _lacks_network(one: Standing) -> bool:
    return one.outcome == "skipped" and not one.has_network


def _is_skipped(one: Standing) -> bool:
    return one.is_left_out or _lacks_network(one)


def _is_missing(one: Standing) -> bool:
    return not (one.is_failed or one.is_complete or _is_skipped(one))


def _of(count: int, total: int) -> str:
    return f"{count} of {total} checks {'was' if count == 1 else 'were'}"


def _all_left_out(standings: Sequence[Standing]) -> str:
    """Say what became of all checks instead of being measured."""
    count, without_network = len(standings), sum(map(_lacks_network, standings))
    ways = sorted(
        {"skipped" if one.outcome == "skipped" else "marked xfail" for one in standings}, reverse=True
    )
    text = f"{'the only check was' if count == 1 else f'all {count} checks were'} {' or '.join(ways)}"
    if without_network == count:
        return f"{text}: no network is named (--kv-nad)"
    because = f", {without_network} of them because no network is named (--kv-nad)" if without_network else ""
    return text + because
