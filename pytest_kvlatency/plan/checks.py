"""NADs x node pairs to checks, checks to guests, checks to rounds. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import ANYWHERE, Check, NadRef, NodeChoice, NodePair, some
from pytest_kvlatency.plan import moves
from pytest_kvlatency.plan.colouring import colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_kvlatency.config.nodespecs import Shape
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import GuestSpec, PingParameters

Slot = Literal["", "twin", "source", "target"]


@dataclass(frozen=True, kw_only=True)
class VmiKey:
    """One VMI of the plan. Equal keys are one VMI, whatever checks need it.

    On a named node ``slot`` is empty, or ``twin`` for the second guest of a pair on one node. With ``node`` None the
    guest is the ``source`` or the ``target`` of the NAD's ``auto`` pair.

    One that migrates is no other check's: ``journey`` is its pair as text, ``node`` where it starts, ``destinations``
    are the nodes that it may get to (none: any other node), and ``sample`` is how it is measured meanwhile.
    """

    nad: NadRef
    node: str | None
    guest: GuestSpec
    slot: Slot = ""
    journey: str = ""
    destinations: tuple[str, ...] = ()
    sample: PingParameters | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the scheduler chooses its node."""
        return self.node is None

    def __str__(self) -> str:
        place = self.slot if self.node is None else f"on {self.node}"
        twin = " (second)" if self.slot == "twin" else ""
        journey = f" (of {self.journey})" if self.journey else ""
        return f"guest {place}{journey or twin}, {self.nad}"


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
    if settings.node_set is not None and settings.node_set.names:
        return False
    return any(not isinstance(one, NodePair) or _is_among(one, settings) for one in settings.nodes)


def checks(settings: Settings, *, namespace: str, nodes: NodeChoice | None) -> tuple[PlannedCheck, ...]:
    """Every NAD with every node pair, in the order given, equal ones once.

    ``namespace`` is the one of NADs that were named without: the checkup's. ``nodes`` is the node set; with None a
    shape over it is one placeholder. Raises ``ConfigError`` when the node set is too small for a shape.
    """
    found: dict[tuple[NadRef, NodePair | str], PlannedCheck] = {}
    choice = nodes or NodeChoice()
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
            for pair in (one,) if isinstance(one, NodePair) else pairs(one, choice, settings.named):
                check = Check(
                    nad=nad,
                    pair=pair,
                    limits=settings.limits,
                    ping=settings.ping,
                    guest=settings.guest_spec,
                    among=_among(pair, choice, settings.named)
                    if nodes is not None and _is_among(pair, settings)
                    else (),
                )
                found.setdefault(
                    (nad, pair),
                    PlannedCheck(id=check.id, placeholders=(placeholder,), check=check, origin=origin),
                )
    return tuple(found.values())


def pairs(shape: Shape, nodes: NodeChoice, named: Callable[[str], str]) -> tuple[NodePair, ...]:
    """The pairs of a shape over ``nodes``, each once, in one direction.

    Raises ``ConfigError`` for too few nodes; it calls an option what ``named`` says.
    """
    others = [name for name in nodes.names if name != shape.around]
    needed = 1 if shape.around else moves.NODES_OF_PATHS if shape.name == "migrations" else 2
    if len(others) < needed:
        raise ConfigError(_too_few(shape, nodes, named), hint=_more_nodes(shape, others, named))
    if shape.name == "drain":
        return moves.drained(shape.around, others)
    if shape.name == "migrations":
        return moves.paths(others)
    if shape.name == "star":
        edges = [(shape.around, other) for other in others]
    elif shape.name == "ring":
        edges = list(zip(others, [*others[1:], others[0]], strict=True))[
            : len(others) if len(others) > 2 else 1
        ]
    else:
        edges = list(combinations(others, 2))
    return tuple(NodePair(source=source, target=target) for source, target in edges)


def _too_few(shape: Shape, nodes: NodeChoice, named: Callable[[str], str]) -> str:
    have = ", ".join(nodes.names)
    why = some(nodes.left_out)
    if not have and why:
        return f"no schedulable node: {why}"
    is_paths = shape.name == "migrations"
    needs = f"{named('nodes')} {shape} needs at least {'three' if is_paths else 'two'} nodes"
    if why:
        are = "is" if len(nodes.names) == 1 else "are"
        return f"{needs}, but only {have} {are} schedulable: {why}"
    return f"{needs}, but the node set has {len(nodes.names)}: {have or 'none'}"


def _more_nodes(shape: Shape, nodes: Sequence[str], named: Callable[[str], str]) -> str:
    more = f"Name nodes with {named('node_set')}, or tolerate their taints with {named('toleration')}"
    if shape.name != "migrations" or len(nodes) < 2:
        return more
    peer, other, *_ = nodes
    return (
        f"Two nodes have no path between two that are neither the peer's. The others are "
        f"{named('nodes')} '{peer}:{peer}>{other}' and '{peer}:{other}>{peer}'\n{more}"
    )


def _is_among(pair: NodePair, settings: Settings) -> bool:
    """Whether a guest may migrate to any node of a node set that is given; else it may to any at all."""
    return pair.destination == ANYWHERE and settings.node_set is not None


def _among(pair: NodePair, nodes: NodeChoice, named: Callable[[str], str]) -> tuple[str, ...]:
    """The nodes that a pair may migrate among. Raises ``ConfigError`` where none is left to go to."""
    if not set(nodes.names).difference({pair.target}):
        have = ", ".join(nodes.names) or "no node"
        raise ConfigError(
            f"{named('nodes')} {pair} has no node to migrate to: the node set has {have}",
            hint=f"Name more nodes with {named('node_set')}",
        )
    return nodes.names


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
        VmiKey(
            nad=check.nad,
            node=pair.target,
            guest=check.guest,
            slot=twin,
            journey=str(pair) if pair.is_move else "",
            destinations=_destinations(check),
            sample=check.ping if pair.is_move else None,
        ),
    )


def _destinations(check: Check) -> tuple[str, ...]:
    """The nodes by name that the target may get to."""
    named = check.among if check.pair.destination == ANYWHERE else (check.pair.destination,)
    return tuple(one for one in named if one is not None and one != check.pair.target)


def guest_count(checks: Sequence[Check]) -> int:
    """How many VMIs the checks need."""
    return sum(guests_by_subnet(checks).values())


def guests_by_subnet(checks: Sequence[Check]) -> Counter[str | None]:
    """How many VMIs the checks need in each subnet that they name; None for those that name none."""
    return Counter(key.guest.subnet for key in {key for check in checks for key in vmi_keys(check)})


def rounds(checks: Sequence[Check], *, parallel: int | None) -> tuple[tuple[Check, ...], ...]:
    """Arrange checks in rounds in which no node appears twice, over all NADs; each check is in exactly one round.

    A round holds at most ``parallel`` checks; None is no bound, 1 keeps the order given. A pair whose nodes are not
    known before (``auto``, or a migration to any node at all) has a round of its own. One that migrates is on all its
    nodes at once; no more of them are in a round than a cluster migrates at once.
    """
    if parallel == 1:
        return tuple((check,) for check in checks)
    still: list[Check] = []
    moving: list[Check] = []
    alone: list[tuple[Check, ...]] = []
    for check in checks:
        if check.pair.is_auto or moves.is_open(check):
            alone.append((check,))
        else:
            (moving if check.pair.is_move else still).append(check)
    return (*_parts(_still_rounds(still), parallel), *_parts(_move_rounds(moving), parallel), *alone)


def _still_rounds(checks: Sequence[Check]) -> list[list[Check]]:
    """Rounds of pairs that stay where they are, and whose nodes are known."""
    joined = [check for check in checks if check.pair.source != check.pair.target]
    colours = colour([(str(check.pair.source), str(check.pair.target)) for check in joined])
    found: list[list[Check]] = [[] for _ in range(1 + max(colours, default=-1))]
    busy: list[set[str]] = [set() for _ in found]
    for check, number in zip(joined, colours, strict=True):
        found[number].append(check)
        busy[number].update(check.pair.nodes)
    for check in checks:
        if check.pair.source == check.pair.target:
            _enter(check, check.pair.nodes, found, busy)
    return found


def _move_rounds(checks: Iterable[Check]) -> list[list[Check]]:
    """Rounds of pairs that migrate, each in the first one where all its nodes are free.

    They have rounds of their own: the memory of a guest that migrates is sent while others measure, and they take
    longer.
    """
    found: list[list[Check]] = []
    busy: list[set[str]] = []
    for check in checks:
        _enter(check, moves.occupied(check), found, busy, most=moves.MOST_AT_ONCE)
    return found


def _enter(
    check: Check,
    nodes: Iterable[str],
    found: list[list[Check]],
    busy: list[set[str]],
    *,
    most: float = math.inf,
) -> None:
    """Enter a check in the first round that has room for it, and in which its nodes are not ``busy``."""
    for others, taken in zip(found, busy, strict=True):
        if len(others) < most and taken.isdisjoint(nodes):
            others.append(check)
            taken.update(nodes)
            return
    found.append([check])
    busy.append(set(nodes))


def _parts(rounds: Sequence[Sequence[Check]], most: int | None) -> list[tuple[Check, ...]]:
    """Cut rounds so that none holds more than ``most`` checks; None is no bound."""
    bound = most or max(map(len, rounds), default=1)
    return [tuple(one[start : start + bound]) for one in rounds for start in range(0, len(one), bound)]
