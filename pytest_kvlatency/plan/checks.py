"""NADs x node pairs to checks, checks to guests, checks to rounds. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.config.parsers import Mesh, Ring, Star
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Check, NadRef, NodeChoice, NodePair, some
from pytest_kvlatency.plan.colouring import colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import GuestSpec

Slot = Literal["", "twin", "source", "target"]


@dataclass(frozen=True, kw_only=True)
class VmiKey:
    """One VMI of the plan. Equal keys are one VMI, whatever checks need it.

    On a named node ``slot`` is empty, or ``twin`` for the second guest of a pair on one node. With ``node`` None the
    guest is the ``source`` or the ``target`` of the NAD's ``auto`` pair.
    """

    nad: NadRef
    node: str | None
    guest: GuestSpec
    slot: Slot = ""

    @property
    def is_auto(self) -> bool:
        """Whether the scheduler chooses its node."""
        return self.node is None

    def __str__(self) -> str:
        place = self.slot if self.node is None else f"on {self.node}"
        twin = " (second)" if self.slot == "twin" else ""
        return f"guest {place}{twin}, {self.nad}"


@dataclass(frozen=True, kw_only=True, repr=False)
class PlannedCheck:
    """What one test item stands for. ``check`` is None when the cluster must be asked first: a placeholder.

    ``placeholders`` are the ids that stand for the whole shape, and the ConfigMap, that this check belongs to.
    ``origin`` is what was asked for: NADs, node pairs and node set.
    """

    id: str
    placeholders: tuple[str, ...]
    check: Check | None
    origin: object = None

    def __repr__(self) -> str:
        """Return the id: ``--setup-show`` prints parameters."""
        return self.id


def origin_of(settings: Settings) -> object:
    """What decides which checks there are; limits and ping parameters do not."""
    return (settings.nad, settings.nodes, settings.node_set)


def needs_nodes(settings: Settings) -> bool:
    """Whether the plan is over a node set whose nodes the cluster must be asked for."""
    names = () if settings.node_set is None else settings.node_set.names
    return not names and any(not isinstance(one, NodePair) for one in settings.nodes)


def checks(settings: Settings, *, namespace: str, nodes: NodeChoice | None) -> tuple[PlannedCheck, ...]:
    """Every NAD with every node pair, in the order given, equal ones once.

    ``namespace`` is the one of NADs that were named without: the checkup's. ``nodes`` is the node set; with None a
    shape over it is one placeholder. Raises ``ConfigError`` when the node set is too small for a shape.
    """
    found: dict[tuple[NadRef, NodePair | str], PlannedCheck] = {}
    origin = origin_of(settings)
    for named in settings.nad:
        nad = named if named.namespace else replace(named, namespace=namespace)
        for one in settings.nodes:
            placeholder = f"{nad}-{one}"
            if not isinstance(one, NodePair) and nodes is None:
                found.setdefault(
                    (nad, placeholder),
                    PlannedCheck(id=placeholder, placeholders=(placeholder,), check=None, origin=origin),
                )
                continue
            for pair in (one,) if isinstance(one, NodePair) else pairs(one, nodes or NodeChoice()):
                check = Check(
                    nad=nad, pair=pair, limits=settings.limits, ping=settings.ping, guest=settings.guest_spec
                )
                found.setdefault(
                    (nad, pair),
                    PlannedCheck(id=check.id, placeholders=(placeholder,), check=check, origin=origin),
                )
    return tuple(found.values())


def pairs(shape: Mesh | Ring | Star, nodes: NodeChoice) -> tuple[NodePair, ...]:
    """The pairs of a shape over ``nodes``, each once, in one direction. Raises ``ConfigError`` for too few nodes."""
    others = [name for name in nodes.names if not isinstance(shape, Star) or name != shape.hub]
    needed = 1 if isinstance(shape, Star) else 2
    if len(others) < needed:
        raise ConfigError(
            _too_few(shape, nodes),
            hint="Name nodes with --kv-node-set, or tolerate their taints with --kv-toleration",
        )
    if isinstance(shape, Star):
        edges = [(shape.hub, other) for other in others]
    elif isinstance(shape, Ring):
        edges = list(zip(others, [*others[1:], others[0]], strict=True))[
            : len(others) if len(others) > 2 else 1
        ]
    else:
        edges = list(combinations(others, 2))
    return tuple(NodePair(source=source, target=target) for source, target in edges)


def _too_few(shape: Mesh | Ring | Star, nodes: NodeChoice) -> str:
    have = ", ".join(nodes.names)
    why = some(nodes.left_out)
    if not have and why:
        return f"no schedulable node: {why}"
    needs = f"--kv-nodes {shape} needs at least two nodes"
    if why:
        return f"{needs}, but only {have} is schedulable: {why}"
    return f"{needs}, but the node set has {len(nodes.names)}: {have or 'none'}"


def vmi_keys(check: Check) -> tuple[VmiKey, VmiKey]:
    """Return the VMIs that a check needs, source and target."""
    pair = check.pair
    if pair.source is None or pair.target is None:
        return (
            VmiKey(nad=check.nad, node=None, guest=check.guest, slot="source"),
            VmiKey(nad=check.nad, node=None, guest=check.guest, slot="target"),
        )
    twin: Slot = "twin" if pair.source == pair.target else ""
    return (
        VmiKey(nad=check.nad, node=pair.source, guest=check.guest),
        VmiKey(nad=check.nad, node=pair.target, guest=check.guest, slot=twin),
    )


def guest_count(checks: Sequence[Check]) -> int:
    """How many VMIs the checks need."""
    return sum(guests_by_subnet(checks).values())


def guests_by_subnet(checks: Sequence[Check]) -> Counter[str | None]:
    """How many VMIs the checks need in each subnet that they name; None for those that name none."""
    return Counter(key.guest.subnet for key in {key for check in checks for key in vmi_keys(check)})


def rounds(checks: Sequence[Check], *, parallel: int | None) -> tuple[tuple[Check, ...], ...]:
    """Arrange checks in rounds in which no node appears twice, over all NADs; each check is in exactly one round.

    A round holds at most ``parallel`` checks; None is no bound, 1 keeps the order given. An ``auto`` pair, whose nodes
    are not known before, has a round of its own.
    """
    if parallel == 1:
        return tuple((check,) for check in checks)
    joined = [check for check in checks if not check.pair.is_auto and check.pair.source != check.pair.target]
    found: dict[int, list[Check]] = {}
    busy: dict[int, set[str]] = {}
    colours = colour([(str(check.pair.source), str(check.pair.target)) for check in joined])
    for check, number in zip(joined, colours, strict=True):
        found.setdefault(number, []).append(check)
        busy.setdefault(number, set()).update((str(check.pair.source), str(check.pair.target)))
    for check in checks:
        if check.pair.source is None or check.pair.source != check.pair.target:
            continue
        number = next((one for one in sorted(found) if check.pair.source not in busy[one]), len(found))
        found.setdefault(number, []).append(check)
        busy.setdefault(number, set()).add(check.pair.source)
    alone = [(check,) for check in checks if check.pair.is_auto]
    whole = [tuple(found[number]) for number in sorted(found)]
    most = parallel or max(map(len, whole), default=1)
    parts = [one[start : start + most] for one in whole for start in range(0, len(one), most)]
    return (*parts, *alone)
