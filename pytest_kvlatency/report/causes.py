"""Why a run did not succeed: equal failures of its measurements as one cause each, with what is to blame. Pure.

It works on the entries of a document, so that merged documents and older ones can be grouped too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.report.advice import Advisor
from pytest_kvlatency.report.blame import Blame, blamed
from pytest_kvlatency.report.failurefacts import BETWEEN, faults_of
from pytest_kvlatency.report.success import last_attempts, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]
    Fault = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _GroupedCause:
    """A fault, what is to blame for it, and the measurements that it concerns."""

    fault: Fault
    blame: Blame
    entries: Sequence[Entry] = ()

    @property
    def sentence(self) -> str:
        """What is wrong, and where, unless the fault says that itself."""
        said: str = self.fault["sentence"]
        if self.blame.place:
            return f"{said} {self.blame.place}"
        node = self.blame.node
        return said if node is None or node in said else f"{node}: {said}"

    def as_entry(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "kind": self.fault["kind"],
            "stage": self.fault["stage"],
            "sentence": self.sentence,
            "node": self.blame.node,
            "pair": self.blame.pair,
            "network": self.blame.network,
            "measurements": list(dict.fromkeys(one["nodeid"] for one in self.entries)),
            "networks": list(dict.fromkeys(one["nad"] for one in self.entries if one["nad"] is not None)),
            "advice": self.fault["advice"],
        }


def find_causes(entries: Iterable[Entry], own: Sequence[Fault] = ()) -> list[dict[str, Any]]:
    """The causes of what failed in its last attempt, those of most measurements first, then as they come.

    ``own`` are the run's own faults, which concern no measurement; one that measurements have too is one with theirs.
    """
    last = last_attempts(entries)
    equal: dict[tuple[object, ...], list[tuple[Entry | None, Fault]]] = {}
    for entry in last:
        for fault in faults_of(entry) if standing_of(entry).is_failed else ():
            equal.setdefault(_key(fault), []).append((entry, fault))
    for mine in own:
        equal.setdefault(_key(mine), []).append((None, mine))
    order = {id(one): number for number, one in enumerate(last)}
    advisor = Advisor(last)
    causes = [cause for group in equal.values() for cause in _causes_of(group, last, advisor)]
    causes.sort(key=lambda one: min((order[id(it)] for it in one.entries), default=len(last)))
    causes.sort(key=lambda one: len(one.entries), reverse=True)
    return [one.as_entry() for one in causes]


def causes_of(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The document's own causes; those of its measurements where it is older than causes are."""
    known: Sequence[Mapping[str, Any]] | None = document.get("causes")
    return find_causes(document["measurements"]) if known is None else known


def numbers_by_test(document: Mapping[str, Any]) -> dict[str, list[int]]:
    """By node id which of the document's causes a test has, counted from 0, in their order."""
    found: dict[str, list[int]] = {}
    for number, cause in enumerate(causes_of(document)):
        for nodeid in cause["measurements"]:
            found.setdefault(nodeid, []).append(number)
    return found


def _key(fault: Fault) -> tuple[object, ...]:
    return (fault["kind"], fault["sentence"], fault["node"], fault["network"])


def _causes_of(
    group: Sequence[tuple[Entry | None, Fault]], last: Sequence[Entry], advisor: Advisor
) -> Iterator[_GroupedCause]:
    """Equal faults as one cause, or, where they are faults between nodes, as one for each that is to blame."""
    fault = group[0][1]
    entries = [entry for entry, _ in group if entry is not None]
    known = Blame(node=fault["node"], network=fault["network"])
    if fault["kind"] in BETWEEN and known == Blame():
        own = {id(entry): one["advice"] for entry, one in group}
        for blame, concerned in blamed(entries, last):
            advice = advisor.advice(fault, (own[id(one)] for one in concerned), blame, concerned)
            yield _GroupedCause(fault={**fault, "advice": advice}, blame=blame, entries=concerned)
    else:
        if known == Blame() and fault.get("local"):
            known = _where(entries)
        yield _GroupedCause(fault=fault, blame=known, entries=entries)


def _where(entries: Sequence[Entry]) -> Blame:
    """The node where it struck each time; a fault that struck on several nodes is none of theirs."""
    nodes = {entry.get("failedNode") for entry in entries}
    return Blame(node=nodes.pop()) if len(nodes) == 1 else Blame()
