"""Which of the lab's faults strike whom, and how often they still may."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.spec.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kvlatency.lab.spec.labspec import FaultSpec


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom a fault may strike. ``node`` is empty before the VMI is placed: faults of a node do not strike then."""

    vmi: str
    node: str = ""
    networks: tuple[str, ...] = ()


class FaultBook:
    """The faults of the KubeVirt half and of the guests, with the count of their strikes."""

    def __init__(self, faults: Iterable[FaultSpec]) -> None:
        self._faults = tuple(faults)
        self._struck = [0] * len(self._faults)

    def strike(self, name: str, subject: Subject) -> FaultSpec | None:
        """Return the first fault ``name`` that strikes ``subject`` now, and count the strike."""
        for index, fault in enumerate(self._faults):
            if fault.fault == name and self._matches(index, subject):
                self._struck[index] += 1
                return fault
        return None

    def strike_guest(self, subject: Subject) -> tuple[FaultSpec, ...]:
        """Return every fault of the guest's own for a new guest; each of them counts as one strike."""
        found = []
        for index, fault in enumerate(self._faults):
            if FAULTS[fault.fault].where == "guest" and self._matches(index, subject):
                self._struck[index] += 1
                found.append(fault)
        return tuple(found)

    def _matches(self, index: int, subject: Subject) -> bool:
        fault = self._faults[index]
        return (
            (fault.times is None or self._struck[index] < fault.times)
            and fault.node in (None, subject.node)
            and (fault.network is None or fault.network in subject.networks)
            and (fault.vmi is None or fnmatchcase(subject.vmi, fault.vmi))
        )
