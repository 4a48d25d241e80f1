"""Ids that stand for all pairs of a shape: ``test_x.py::test_y[default/blue-network-mesh]``, as an argument.

That id is what ``--collect-only`` shows where the cluster must be asked for its nodes first (or for the networks of a
ConfigMap: ``[configmap-default/checkup]``); in a real run there is no item of that name, so the argument is widened to
the whole test, and its items are chosen afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.config.options import SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from pytest_kvlatency.plan.checks import PlannedCheck

_ARGUMENT: Final = re.compile(r"(?P<test>(?P<path>[^\[\]]+?)::(?P<names>[^\[\]]+))\[(?P<id>.*)\]")
_SHAPES: Final = "|".join(rf"{one}[^-]\S*" if one.endswith(":") else one for one in SHAPES)
_PLACEHOLDER: Final = re.compile(rf"(?:.*-)?(?:{_SHAPES}|configmap-\S+)(?:-.*)?")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The ids asked for of one test."""

    path: Path
    names: str
    ids: frozenset[str]


def widen(arguments: Sequence[str], directory: Path) -> tuple[list[str], list[Wanted]]:
    """Return the arguments with placeholders widened to their tests, and what is to be chosen of these."""
    parsed = {one: match for one in arguments if (match := _ARGUMENT.fullmatch(one)) is not None}
    tests = {match["test"]: match for match in parsed.values() if _PLACEHOLDER.fullmatch(match["id"])}
    wanted = [
        Wanted(
            path=(directory / match["path"]).resolve(),
            names=match["names"],
            ids=frozenset(one["id"] for one in parsed.values() if one["test"] == test),
        )
        for test, match in tests.items()
        if test not in arguments
    ]
    widened = [
        match["test"] if (match := parsed.get(one)) is not None and match["test"] in tests else one
        for one in arguments
    ]
    return list(dict.fromkeys(widened)), wanted


def is_wanted(item: pytest.Item, planned: PlannedCheck | None, wanted: Sequence[Wanted]) -> bool:
    """Whether an item is one of those asked for, or of a test of which nothing special was asked."""
    names = item.nodeid.split("[")[0].partition("::")[2]
    for one in wanted:
        if one.path != item.path.resolve() or one.names != names:
            continue
        callspec = getattr(item, "callspec", None)
        if callspec is None or planned is None:
            return False
        names_of_it = (planned.id, *planned.placeholders)
        return any(callspec.id.replace(planned.id, name) in one.ids for name in names_of_it)
    return True
