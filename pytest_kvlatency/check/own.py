"""The collector and the items of the own check: ``kvlatency::check[default/blue-network-worker1:worker2]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_kvlatency.collecting import PlannedCheck

NODEID = "kvlatency"
ITEM = "check"


def own_ids(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split pytest's arguments into ids of the own check and all others."""
    own = [one for one in arguments if one == NODEID or one.startswith(NODEID + "::")]
    return own, [one for one in arguments if one not in own]


class OwnCheck(pytest.Collector):
    """Collects one item per check of the options; no file, so no file pattern applies to it."""

    def __init__(self, *, planned: Sequence[PlannedCheck] = (), **kwargs: Any) -> None:
        super().__init__(nodeid=NODEID, **kwargs)
        self._planned = planned

    def collect(self) -> Iterable[pytest.Item]:
        """Give the items in the order of the plan."""
        for planned in self._planned:
            yield OwnCheckItem.from_parent(self, name=f"{ITEM}[{planned.id}]", planned=planned)


class OwnCheckItem(pytest.Item):
    """One check. Its measurement and its limits are the plugin's, as for any other kvlatency item."""

    def __init__(self, *, planned: PlannedCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def runtest(self) -> None:
        """Do nothing: the limits alone decide."""

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the item is: it has no file, so only its name counts."""
        return self.path, None, self.nodeid


def select(items: Sequence[pytest.Item], ids: Sequence[str]) -> list[pytest.Item]:
    """Keep the items that ``ids`` name (``kvlatency`` and ``kvlatency::check`` name them all).

    Raises ``pytest.UsageError`` for an id that names none.
    """
    chosen: list[pytest.Item] = []
    for one in ids:
        matching = [
            item
            for item in items
            if one in (NODEID, f"{NODEID}::{ITEM}", item.nodeid) or _stands_for(one, item)
        ]
        if not matching:
            known = "\n  ".join(item.nodeid for item in items) or "none"
            raise pytest.UsageError(f"{one}: there is no such check; the options give:\n  {known}")
        chosen += [item for item in matching if item not in chosen]
    return chosen


def _stands_for(one: str, item: pytest.Item) -> bool:
    """Whether ``one`` is the placeholder of the item's whole plan (``…[default/blue-network-mesh]``)."""
    planned = getattr(item, "planned", None)
    return planned is not None and one == f"{NODEID}::{ITEM}[{planned.placeholder}]"
