"""What the scheduler's words mean when it finds no node for a VMI's pod: a sentence, and each reason's way out. Pure.

Where nodes may not be read these words are all that there is. They count nodes and name none: of a pod that is pinned
to a node, that node's reason must be told from those of the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

KVM_HINT: Final = "enable nested virtualization, or useEmulation in the KubeVirt object"
_COUNTS: Final = re.compile(r"0/(?P<total>[0-9]+) nodes are available: (?P<reasons>.*)", re.DOTALL)
_COUNT: Final = re.compile(r"(?:^|, )(?=[0-9]+ (?:node\(s\)|Insufficient|Too many))")
_LIST: Final = "kubectl get nodes -l kubevirt.io/schedulable=true"
_ABSENT: Final = "does not exist"
_OTHERS: Final = "choose other nodes with --kv-nodes"
#: What keeps pods off nodes that no VM is meant for.
_CONTROL_PLANE: Final = re.compile(r"node-role\.kubernetes\.io/(?:control-plane|master)\b")
_DOWN: Final = re.compile(r"node\.kubernetes\.io/(?:not-ready|unreachable)\b")
_TAINT: Final = re.compile(r"node\(s\) had (?:untolerated )?taints? \{(?P<key>[^:}]+):? *(?P<value>[^}]*)\}")
_INSUFFICIENT: Final = re.compile(r"Insufficient (?P<what>\S+)")
_AFFINITY: Final = re.compile(r"didn't match (?:Pod's )?node (?:affinity|selector)")
_APART: Final = re.compile(r"anti-affinity")


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why no node takes a pod: one sentence without names of VMIs, the node that is meant, and the way out.

    ``is_read``: the scheduler's words were understood.
    """

    summary: str
    node: str = ""
    hint: str = ""
    is_read: bool = True


@dataclass(frozen=True, kw_only=True)
class _Reason:
    """One of the scheduler's reasons, and of how many nodes.

    ``what`` completes "worker6 …", ``way`` is the way out, in which NODE stands for the node. ``is_certain``: the
    scheduler says so only of nodes that the pod may run on otherwise.
    """

    count: int
    what: str
    way: str
    is_certain: bool = False
    is_elsewhere: bool = False


def why(message: str, node: str | None) -> Why:
    """Read the scheduler's message on a pod that is pinned to ``node``, or to none."""
    found = _COUNTS.match(message.partition(" preemption: ")[0])
    reasons = [] if found is None else [_reason(one) for one in _COUNT.split(found["reasons"]) if one]
    if found is None or not reasons:
        return Why(summary="the scheduler finds no node", hint=_OTHERS, is_read=False)
    kvm = sum(one.count for one in reasons if one.what == _NO_KVM)
    if kvm == int(found["total"]):
        return Why(summary="no node offers /dev/kvm", hint=KVM_HINT)
    return _anywhere(reasons) if node is None else _on(node, reasons)


def _on(node: str, reasons: Sequence[_Reason]) -> Why:
    """The reasons that are the pinned node's.

    Resources are looked at only where all else fits: what lacks is the node's. Whatever comes before may as well be
    said of other nodes, while the pinned one does not exist.
    """
    certain = [one for one in reasons if one.is_certain]
    mine = certain or [one for one in reasons if not one.is_elsewhere]
    if not mine:
        return Why(
            summary=f"there is no node {node!r} that VMs can start on",
            node=node,
            hint=f"{_LIST}: name one of these with --kv-nodes or --kv-node-set",
        )
    said = " and ".join(one.what for one in certain) or ", or ".join((*(one.what for one in mine), _ABSENT))
    ways = [one.way.replace("NODE", node) for one in mine]
    leave = f"or leave {node} out of --kv-nodes and --kv-node-set ({_LIST} for others)"
    return Why(summary=f"{node} {said}", node=node, hint="\n".join((*dict.fromkeys(ways), leave)))


def _anywhere(reasons: Sequence[_Reason]) -> Why:
    """All reasons, with how many nodes each concerns."""
    told = ", ".join(f"{one.what}: {one.count}" for one in reasons)
    ways = [one.way.replace("NODE", "NAME") for one in reasons if not one.is_elsewhere and one.way]
    return Why(summary=f"no node is left for the VM ({told})", hint="\n".join(dict.fromkeys(ways)) or _OTHERS)


_NO_KVM: Final = "offers no /dev/kvm"


def _reason(text: str) -> _Reason:
    number, _, words = text.partition(" ")
    count = int(number)
    words = words.strip().rstrip(".,")
    taint, lacking = _TAINT.match(words), _INSUFFICIENT.match(words)
    if words.startswith("node(s) were unschedulable"):
        return _Reason(count=count, what="is cordoned", way="uncordon it (kubectl uncordon NODE)")
    if taint is not None:
        text = taint["key"] + (f"={taint['value']}" if taint["value"] else "")
        if _DOWN.match(text):
            return _Reason(count=count, what="is not ready", way="see kubectl describe node NODE")
        return _Reason(
            count=count,
            what=f"has the untolerated taint {text}",
            way=f"tolerate it (--kv-toleration {text})",
            is_elsewhere=_CONTROL_PLANE.match(text) is not None,
        )
    if lacking is not None:
        what, way = _lacking(lacking["what"])
        return _Reason(count=count, what=what, way=way, is_certain=True)
    if words.startswith("Too many pods"):
        return _Reason(
            count=count, what="runs as many pods as it may", way="remove pods there", is_certain=True
        )
    if _AFFINITY.search(words):
        return _Reason(count=count, what="does not match what the VM asks for", way="", is_elsewhere=True)
    if _APART.search(words):
        return _Reason(
            count=count,
            what="has the other VM of the pair",
            way=f"a pair needs two nodes that VMs can start on: {_LIST}",
        )
    return _Reason(count=count, what=words.removeprefix("node(s) "), way=_OTHERS)


def _lacking(what: str) -> tuple[str, str]:
    """That a resource is missing, in words, and the way out."""
    if what == "devices.kubevirt.io/kvm":
        return _NO_KVM, KVM_HINT
    if what.startswith("devices.kubevirt.io/"):
        return f"offers no /dev/{what.removeprefix('devices.kubevirt.io/')}", "see the virt-handler there"
    if what in ("cpu", "memory", "ephemeral-storage") or what.startswith("hugepages-"):
        return f"has too little {what} left", "free some there, or add nodes"
    return f"has no {what} left", "see kubectl describe node NODE (Allocatable and Allocated resources)"
