"""NADs x node pairs to checks, checks to guests, checks to rounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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

    ``namespace`` is the one of NADs that were named without: the checkup's, or empty while it is not known. Raises ``ValueError`` for a shape over a
    node set: its nodes are not known here.
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
    """Arrange checks in rounds in which no node appears twice, each check in exactly one.

    A round holds at most ``parallel`` checks; None is no bound.
    """
    del parallel
    return tuple((check,) for check in checks)
