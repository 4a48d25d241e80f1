"""Whether the documents of shards belong together, and are those of a whole plan. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from pytest_kvlatency.model import some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_kvlatency.report.command.part import Part

_Value = TypeVar("_Value")


def misfits(parts: Sequence[Part], *, is_whole: bool) -> Iterator[str]:
    """Why these are not the documents of one plan, each shard once; of several plans the most frequent is meant.

    ``is_whole``: no file is left out, so that a shard of which there is no document is missing.
    """
    digest = _most_frequent(part.digest for part in parts)
    of_plan = [part for part in parts if part.digest == digest]
    count = _most_frequent(part.shard.count for part in of_plan)
    shards = [part for part in of_plan if part.shard.count == count]
    found = {part.shard.index for part in shards}
    missing = [index for index in range(count) if index not in found]
    yield from _of_other_plans(parts, of_plan[0])
    yield from _of_other_counts(of_plan, count)
    yield from _repeated(shards)
    if missing and is_whole:
        yield _missing(missing, count)
    if not missing and len(of_plan) == count:
        yield from _common_items(shards)
        yield from _wrong_number_of_pairs(shards)


def _most_frequent(values: Iterable[_Value]) -> _Value:
    """The first one of those that come most often."""
    ((value, _),) = Counter(values).most_common(1)
    return value


def _of_other_plans(parts: Sequence[Part], first: Part) -> Iterator[str]:
    for part in parts:
        if part.digest != first.digest:
            yield (
                f"{part.name} is of another plan ({part.digest[:12]}) than {first.name} "
                f"({first.digest[:12]}): networks, nodes, ping parameters, guests and limits must be the same"
            )


def _of_other_counts(parts: Sequence[Part], count: int) -> Iterator[str]:
    for part in parts:
        if part.shard.count != count:
            yield f"{part.name} is shard {part.shard}, but the others are of {count} shards"


def _repeated(shards: Sequence[Part]) -> Iterator[str]:
    names: dict[int, list[str]] = {}
    for part in sorted(shards, key=lambda one: one.shard.index):
        names.setdefault(part.shard.index, []).append(part.name)
    for index, several in names.items():
        if len(several) > 1:
            yield f"shard {index} of {shards[0].shard.count} is given {len(several)} times: {', '.join(several)}"


def _missing(indexes: Sequence[int], count: int) -> str:
    shards, are = ("shard", "is") if len(indexes) == 1 else ("shards", "are")
    return f"{shards} {some(list(map(str, indexes)))} of {count} {are} missing (counted from 0)"


def _common_items(shards: Sequence[Part]) -> Iterator[str]:
    owned: set[str] = set()
    for part in shards:
        mine = {entry["nodeid"] for entry in part.entries}
        common = mine & owned
        owned |= mine
        if common:
            yield f"{part.name} has {len(common)} items in common with another document, such as {min(common)}"


def _wrong_number_of_pairs(shards: Sequence[Part]) -> Iterator[str]:
    pairs, total = shards[0].plan["pairs"], sum(part.plan["shardPairs"] for part in shards)
    if pairs != total:
        yield f"the shards have {total} pairs, but the plan has {pairs}"
