"""The collector and the items of the own check: ``kvlatency::check[default/blue-network-worker1:worker2]``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.config.options import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from pytest_kvlatency.plan.checks import PlannedCheck

NODEID = "kvlatency"
ITEM = "check"
_ID: Final = re.compile(rf"{NODEID}::{ITEM}\[(?P<name>[^\[\]]+)\]")
#: The fixture by whose parameter each kvlatency item knows its check.
PARAMETER = "kv_check"


def check() -> None:
    """Measure latency and loss between two VMs, and compare them with the limits."""


@dataclass(frozen=True, kw_only=True)
class CallSpec:
    """What others read of the parameters of a test; pytest's own class is private, and has had several names."""

    id: str
    params: dict[str, object]
    marks: list[pytest.Mark] = field(default_factory=list)

    @property
    def indices(self) -> dict[str, int]:
        """The place of each value among those of its parameter."""
        return dict.fromkeys(self.params, 0)

    @property
    def _arg2scope(self) -> dict[str, object]:
        """Of none of the scopes by which pytest reorders items."""
        return dict.fromkeys(self.params)

    def getparam(self, name: str) -> object:
        """Return the value of a parameter. Raises ``ValueError`` for one that there is not."""
        if name not in self.params:
            raise ValueError(name)
        return self.params[name]


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


def named_by(ids: Sequence[str]) -> dict[str, list[str]]:
    """The networks and the node pairs that ids of the own check name, as their options take them.

    Empty unless each id names both. Names of networks and nodes may have dashes, and so has the id between them: of
    two nodes that are named both names are taken to have as many, as the nodes of a cluster have most often.
    """
    named: dict[str, list[str]] = {}
    for one in ids:
        found = _named(one)
        if found is None:
            return {}
        for option, value in found.items():
            if value not in named.setdefault(option, []):
                named[option].append(value)
    return named


def says_all(nodeid: str, *, nad: str, nodes: str) -> bool:
    """Whether the id alone leads to this network and these nodes."""
    return _named(nodeid) == {"nad": nad, "nodes": nodes}


def _named(nodeid: str) -> dict[str, str] | None:
    match = _ID.fullmatch(nodeid)
    if match is None:
        return None
    left, _, target = match["name"].partition(":")
    parts = left.split("-")
    # A shape around a node has no dash in its name, whatever the node's has.
    dashes = 0 if f"{parts[-1]}:" in SHAPES else target.partition(">")[0].count("-")
    split = len(parts) - 1 - dashes
    nad, first = "-".join(parts[:split]), "-".join(parts[split:])
    if split < 1 or not nad or not first:
        return None
    return {"nad": nad, "nodes": f"{first}:{target}" if target else first}


class OwnCheck(pytest.Collector):
    """Collects one item per check of the options; no file, so no file pattern applies to it."""

    def __init__(self, *, planned: Sequence[PlannedCheck] = (), **kwargs: Any) -> None:
        super().__init__(nodeid=NODEID, **kwargs)
        self._planned = planned
        self.obj = self.module = sys.modules[__name__]

    def collect(self) -> Iterable[pytest.Item]:
        """Give the items in the order of the plan."""
        for planned in self._planned:
            # The id as text: pytest takes its parameter apart as it does when it reads ids from its cache (--lf).
            yield OwnCheckItem.from_parent(
                self, name=f"{ITEM}[{planned.id}]", nodeid=_nodeid(planned.id), planned=planned
            )


class OwnCheckItem(pytest.Item):
    """One check. Its measurement and its limits are the plugin's, as for any other kvlatency item.

    It has what other plugins read of a test function, for many expect nothing else. It is no ``pytest.Function``: a
    user's autouse fixtures are meant for the user's tests.
    """

    def __init__(self, *, planned: PlannedCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.originalname = ITEM
        self.obj: Callable[[], None] = check
        self.function: Callable[[], None] = check
        self.module: ModuleType = sys.modules[__name__]
        self.cls: type | None = None
        self.instance: object = None
        self.fixturenames: list[str] = []
        self.funcargs: dict[str, object] = {}
        self.callspec = CallSpec(id=str(planned.id), params={PARAMETER: planned})

    def runtest(self) -> None:
        """Do nothing: the limits alone decide."""
        self.obj()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the item is: it has no file, so only its name counts. Some reporters calculate with the line."""
        return self.path, 0, self.nodeid


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
            raise pytest.UsageError(f"{one}: no such check. The options select:\n  {known}")
        chosen += [check for check in matching if check not in chosen]
    return chosen


def _nodeid(identifier: str) -> str:
    return f"{NODEID}::{ITEM}[{identifier}]"
