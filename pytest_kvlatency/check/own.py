"""The collector and the items of the own check: ``kvlatency::check[default/blue-network-worker1:worker2]``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kvlatency.plan import PlannedCheck

NODEID = "kvlatency"
ITEM = "check"


def own_ids(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split pytest's arguments into ids of the own check and all others.

    Below its root directory pytest prints ids as if they were paths (``../kvlatency::check``): such a path in front
    is dropped. A file or folder that happens to be called ``kvlatency`` is no id.
    """
    own, others = [], []
    for one in arguments:
        path, separator, rest = one.partition("::")
        if Path(path).name == NODEID and not Path(path).exists():
            own.append(f"{NODEID}{separator}{rest}")
        else:
            others.append(one)
    return own, others


class OwnCheck(pytest.Collector):
    """Collects one item per check of the options; no file, so no file pattern applies to it."""

    def __init__(self, *, planned: Sequence[PlannedCheck] = (), **kwargs: Any) -> None:
        super().__init__(nodeid=NODEID, **kwargs)
        self._planned = planned

    def collect(self) -> Iterable[pytest.Item]:
        """Give the items in the order of the plan."""
        for planned in self._planned:
            # The id as text: pytest takes its parameter apart as it does when it reads ids from its cache (--lf).
            yield OwnCheckItem.from_parent(
                self, name=f"{ITEM}[{planned.id}]", nodeid=_nodeid(planned.id), planned=planned
            )


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


def select(planned: Sequence[PlannedCheck], ids: Sequence[str]) -> list[PlannedCheck]:
    """Keep the checks that ``ids`` name; ``kvlatency``, ``kvlatency::check`` and a placeholder name several.

    Raises ``pytest.UsageError`` for an id that names none.
    """
    chosen: list[PlannedCheck] = []
    for one in ids:
        matching = [
            check
            for check in planned
            if one in (NODEID, f"{NODEID}::{ITEM}", *map(_nodeid, (check.id, *check.placeholders)))
        ]
        if not matching:
            known = "\n  ".join(_nodeid(check.id) for check in planned) or "none"
            raise pytest.UsageError(f"{one}: there is no such check; the options give:\n  {known}")
        chosen += [check for check in matching if check not in chosen]
    return chosen


def _nodeid(identifier: str) -> str:
    return f"{NODEID}::{ITEM}[{identifier}]"
