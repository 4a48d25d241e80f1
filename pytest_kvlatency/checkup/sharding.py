"""``--kv-shard``: leaves this process its part of the plan, and deselects the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.checkup.testitem import CHECK_KEY, PROBLEM_KEY, planned_check
from pytest_kvlatency.plan import shards
from pytest_kvlatency.plan.addresses import AddressShare
from pytest_kvlatency.report.document import plan_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_kvlatency.config.parsers import Shard
    from pytest_kvlatency.model import Check


@dataclass(frozen=True, kw_only=True)
class Share:
    """What of the plan is this process's. Without shards it is all of it.

    ``facts`` is the document's ``plan``. ``guests`` is how many the shard needs that needs most of them.
    """

    facts: dict[str, Any]
    shard: Shard | None = None
    guests: int = 0

    @property
    def addresses(self) -> AddressShare | None:
        """Its part of the block of addresses that the shards divide; the plan's digest says which block."""
        if self.shard is None:
            return None
        return AddressShare(
            run_id=self.facts["digest"],
            guests=self.shard.count * max(2, self.guests),
            part=(self.shard.index, self.shard.count),
        )

    def header(self) -> list[str]:
        """Say how much it is."""
        if self.shard is None:
            return []
        mine, all_pairs = self.facts["shardPairs"], self.facts["pairs"]
        return [
            f"kvlatency: shard {self.shard} has {mine} of {all_pairs} pairs (plan {self.facts['digest'][:12]})"
        ]


def take(
    session: pytest.Session, items: Sequence[pytest.Item], shard: Shard | None
) -> tuple[Share, list[pytest.Item]]:
    """Deselect, of the kvlatency ``items``, those of other shards; return the share and the items that are left.

    The parts are cut from what survived all other selection, so it must be the same in every shard. Items without a
    check (no network is named) are the first shard's; tests that have nothing to do with kvlatency run in each.
    """
    checks = [item.stash[CHECK_KEY] for item in items if CHECK_KEY in item.stash]
    digest = shards.plan_digest(checks)
    if shard is None:
        return Share(facts=_facts(digest, checks, len(checks), None)), list(items)
    if not checks:
        part = shards.Cut(checks=(), guests=0, most_guests=0)
    else:
        part = shards.cut(checks, shard.index, shard.count)
    mine = set(part.checks)
    left = [item for item in items if _stays(item, mine, shard)]
    gone = set(items).difference(left)
    if gone:
        others = [item for item in session.items if item in gone]
        session.items[:] = [item for item in session.items if item not in gone]
        session.config.hook.pytest_deselected(items=others)
    facts = _facts(digest, checks, len(part.checks), shard)
    return Share(facts=facts, shard=shard, guests=part.most_guests), left


def _stays(item: pytest.Item, mine: set[Check], shard: Shard) -> bool:
    if CHECK_KEY in item.stash:
        return item.stash[CHECK_KEY] in mine
    # A placeholder stands for pairs that nobody knows yet; a problem is told by every shard.
    return shard.index == 0 or PROBLEM_KEY in item.stash or planned_check(item) is not None


def _facts(digest: str, checks: Sequence[Check], mine: int, shard: Shard | None) -> dict[str, Any]:
    return plan_facts(
        digest=digest,
        shard=None if shard is None else str(shard),
        pairs=len(checks),
        shard_pairs=mine,
        nads=sorted({str(check.nad) for check in checks}),
    )
