"""A VMI's status as its object shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.kube.manifest import INTERFACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.model import NadRef


@dataclass(frozen=True, kw_only=True)
class VmiHandle:
    """A VMI of ours. ``uid`` is what counts: a namesake with another is not ours.

    ``uid`` is empty while it is unknown whether the VMI came into being; ``token`` then tells it from a namesake.
    ``migrates``: there may be a live migration of it, which has its name.
    """

    namespace: str
    name: str
    uid: str = ""
    token: str = field(default="", repr=False)
    nad: NadRef | None = None
    migrates: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition: ``status`` is ``True``, ``False`` or ``Unknown``."""

    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class VmiState:
    """What a VMI's object said. ``phase`` may be empty; ``node`` is ``status.nodeName``, the only truth about it."""

    uid: str
    phase: str = ""
    node: str | None = None
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    mac: str | None = None
    #: As its manifest asks for it: the container disk's reference, and the node, where one is named.
    image: str = ""
    wanted_node: str | None = None

    @property
    def running(self) -> bool:
        """Whether its guest runs on a known node."""
        return self.phase == "Running" and bool(self.node) and not self.deleting

    def denied(self, name: str) -> Condition | None:
        """The condition of this type where it is ``False``; None where it is not, or not known."""
        found = self.conditions.get(name)
        return found if found is not None and found.status == "False" else None


def vmi_state(vmi: Mapping[str, Any]) -> VmiState:
    """Read a VMI object. ``mac`` is that of our network's interface in its status."""
    metadata, status = vmi.get("metadata") or {}, vmi.get("status") or {}
    conditions = {
        str(entry.get("type")): Condition(
            status=str(entry.get("status", "Unknown")),
            reason=str(entry.get("reason") or ""),
            message=str(entry.get("message") or ""),
        )
        for entry in status.get("conditions") or []
    }
    interfaces = status.get("interfaces") or []
    named = [entry for entry in interfaces if entry.get("name") == INTERFACE]
    return VmiState(
        uid=str(metadata.get("uid") or ""),
        phase=str(status.get("phase") or ""),
        node=status.get("nodeName") or None,
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        conditions=conditions,
        mac=named[0].get("mac") if named else None,
        image=_image(vmi.get("spec") or {}),
        wanted_node=_wanted_node(vmi.get("spec") or {}),
    )


def _image(spec: Mapping[str, Any]) -> str:
    disks = (volume.get("containerDisk") or {} for volume in spec.get("volumes") or [])
    return next((str(disk["image"]) for disk in disks if disk.get("image")), "")


def _wanted_node(spec: Mapping[str, Any]) -> str | None:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    fields = (
        field for term in required.get("nodeSelectorTerms") or [] for field in term.get("matchFields") or []
    )
    names = [name for one in fields if one.get("key") == "metadata.name" for name in one.get("values") or []]
    return str(names[0]) if len(names) == 1 else None
