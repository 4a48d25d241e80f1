"""What every guest of a run has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.kube.nodes import SeenNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.addresses import AddressShare


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What every VMI of the run has in common. ``guests_by_subnet``: how many this process needs in which.

    ``binding_plugins`` are those that KubeVirt knows; None where that is unknown. ``nodes`` is what was read of nodes.
    With ``has_manifest_hooks`` a VMI may tolerate more, or be placed otherwise, than is known here. ``move_refusal`` is
    why no guest can migrate in this run.
    """

    run_id: str
    addresses: AddressShare
    guests_by_subnet: Mapping[str | None, int]
    namespace: str
    owner: Mapping[str, str] | None
    image_pull_secret: str | None
    tolerations: tuple[Mapping[str, Any], ...]
    keeps: bool
    profiles: Mapping[str, GuestProfile]
    change_manifest: Callable[[dict[str, Any], Check], None]
    binding_plugins: frozenset[str] | None = None
    nodes: SeenNodes = field(default_factory=SeenNodes)
    has_manifest_hooks: bool = False
    move_refusal: KvLatencyError | None = None
