"""NADs x node pairs to checks, checks to guests, checks to rounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.colouring import colour
from pytest_kvlatency.model import Check, NadRef, NodePair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.model import GuestSpec, PingParameters
    from pytest_kvlatency.settings import Settings

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


def checks(settings: Settings, *, namespace: str) -> tuple[Check, ...]:
    """Every NAD with every node pair, in the order given, equal ones once.

    ``namespace`` is the one of NADs that were named without: the checkup's, or empty while it is not known.

    Raises ``ValueError`` for a shape over a node set: its nodes are not known here.
    """
    found: dict[tuple[NadRef, NodePair], Check] = {}
    for name in settings.nad:
        nad = NadRef(namespace=name.namespace or namespace, name=name.name)
        for pair in settings.nodes:
            if not isinstance(pair, NodePair):
                raise ValueError(f"{pair} needs a node set")  # noqa: TRY004 - the value is right, its time is not
            check = Check(
                nad=nad, pair=pair, limits=settings.limits, ping=settings.ping, guest=settings.guest_spec
            )
            found.setdefault((nad, pair), check)
    return tuple(found.values())


def ping_parameters(settings: Settings) -> PingParameters:
    """Return how to ping by these settings."""
    return settings.ping


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


def rounds(checks: Sequence[Check], *, parallel: int | None) -> tuple[tuple[Check, ...], ...]:
    """Arrange checks in rounds in which no node appears twice, over all NADs; each check is in exactly one round.

    A round holds at most ``parallel`` checks; None is no bound, 1 keeps the order given. An ``auto`` pair, whose nodes
    nobody knows before, has a round of its own.
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
