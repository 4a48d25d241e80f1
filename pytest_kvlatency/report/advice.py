"""What to do about what is wrong between nodes, by where it is wrong. Pure.

A failure's own advice says what its sample shows; where to look is known only where all measurements are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.report.places import has_begun, nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.report.blame import Blame

    Entry = Mapping[str, Any]

_OF_NODE: Final = {
    "latency": "look at {node}: the load of its CPUs, and speed and duplex of its uplink",
    "loss": "look at {node}: errors and drops of its uplink (ip -s link, ethtool -S)",
    "connectivity": "look at {node}: its bridge, uplink and VLAN, and whatever filters frames",
    "gap": "look at {node}: whether its uplink flaps, and the load of its CPUs",
}
_OF_NETWORK: Final = {
    "latency": "all pairs have it: look at what they share (switch, tunnel), and at the limit",
    "loss": "all pairs have it: look at what they share, such as a switch or a tunnel",
    "connectivity": "all pairs have it: look at what they share, such as VLAN, trunk or bridge",
    "gap": "all pairs have it: look at what they share, such as a switch or a tunnel",
}
_WITHIN_NODE: Final = "no other node takes part: look at the load of {node}, and at its bridge or NIC"
_OF_LINK: Final = "other pairs of both nodes are fine: look at the path between the two"
_OF_LINK_SILENCE: Final = "other pairs of both nodes are fine: look for a filter or VLAN between the two"
_ONE_WAY: Final = "{target} pings {source} over the same path without it: measure both ways again"
_ONE_WAY_SILENCE: Final = "{target} reaches {source}: look for a filter that lets only one of them begin"
_EMULATED: Final = "the guests ran under software emulation, which inflates round-trip times"
_SMALLER: Final = "try --kv-packet-size {size}: if that passes, the MTU on the path is too small"
_ON_ONE_NODE: Final = "to leave the path between nodes out, compare: --kv-nodes {node}:{node}"
_WITHOUT_MOVE: Final = "to leave the migration out, compare: --kv-nodes {source}:{target}"
_USUAL_SIZE: Final = PingParameters().packet_size


class Advisor:
    """Gives advice from all measurements of a document: what one of them means depends on the others."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        #: By network and node: each other node that it was measured with, and whether that was good.
        self._others: defaultdict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
        #: The networks on which two guests of one node were measured.
        self._within_nodes: set[str] = set()
        for one in entries:
            nodes = nodes_of(one)
            if nodes is None or one["transmitted"] is None or has_begun(one):
                continue
            network, (source, target) = one["nad"], nodes
            if source == target:
                self._within_nodes.add(network)
            else:
                self._others[network, source].append((target, one["succeeded"]))
                self._others[network, target].append((source, one["succeeded"]))

    def advice(
        self, fault: Mapping[str, Any], own: Iterable[str | None], blame: Blame, concerned: Sequence[Entry]
    ) -> str | None:
        """What to do about a fault; None where nothing can be said.

        ``concerned`` are the measurements that have it, for which ``blame`` is to blame, and ``own`` is the advice of
        their failures: that which most of them have is given.
        """
        kind = fault["kind"]
        usual = next((text for text, _ in Counter(filter(None, own)).most_common(1)), None)
        if usual is not None and _says_all(fault, concerned):
            return usual
        where = self._where(kind, blame, concerned)
        if where is not None and kind == "connectivity":
            # Its own advice is about both nodes of a pair, whatever others show.
            usual = None
        is_emulated = kind == "latency" and any(one["softwareEmulation"] for one in concerned)
        lines = [_EMULATED if is_emulated else None, where, usual, *self._comparisons(kind, blame, concerned)]
        return "\n".join(filter(None, lines)) or None

    def _where(self, kind: str, blame: Blame, concerned: Sequence[Entry]) -> str | None:
        """Where to look; None where nothing shows it."""
        nodes = nodes_of(concerned[0])
        if blame.network is not None:
            return _OF_NETWORK[kind]
        if blame.node is not None:
            return _OF_NODE[kind].format(node=blame.node)
        if nodes is None or has_begun(concerned[0]):
            return None
        (source, target), is_silent = nodes, kind == "connectivity"
        if source == target:
            return _WITHIN_NODE.format(node=source)
        if blame.is_one_way:
            words = _ONE_WAY_SILENCE if is_silent else _ONE_WAY
            return words.format(source=source, target=target)
        if self._are_fine_with_others(nodes, concerned):
            return _OF_LINK_SILENCE if is_silent else _OF_LINK
        return None

    def _comparisons(self, kind: str, blame: Blame, concerned: Sequence[Entry]) -> Iterator[str]:
        """Measurements that would tell more."""
        nodes = nodes_of(concerned[0])
        if kind == "gap" or nodes is None:
            return
        if kind != "latency" and all(_size(one) > _USUAL_SIZE for one in concerned):
            yield _SMALLER.format(size=_USUAL_SIZE)
        source, target = nodes
        if has_begun(concerned[0]):
            if blame.pair is not None:
                yield _WITHOUT_MOVE.format(source=source, target=target)
            return
        is_told = (
            blame.node is not None
            or blame.is_one_way
            or not self._within_nodes.isdisjoint(one["nad"] for one in concerned)
            or self._are_fine_with_others(nodes, concerned)
        )
        if not is_told:
            yield _ON_ONE_NODE.format(node=source)

    def _are_fine_with_others(self, nodes: tuple[str, str], concerned: Sequence[Entry]) -> bool:
        """Whether each of two nodes was measured with others, and all of these pairs are good."""
        networks = {one["nad"] for one in concerned}
        for node in nodes:
            others = [one for network in networks for one in self._others.get((network, node), ())]
            if not any(other not in nodes for other, _ in others):
                return False
            if any(other not in nodes and not is_good for other, is_good in others):
                return False
        return True


def _says_all(fault: Mapping[str, Any], concerned: Sequence[Entry]) -> bool:
    """Whether a failure's own advice is all there is to say: on a gap of a migration, and on what was not judged."""
    if fault["kind"] == "gap" and has_begun(concerned[0]):
        return True
    return fault["kind"] in ("latency", "gap") and fault.get("exceeded") is None


def _size(entry: Entry) -> int:
    return int((entry["ping"] or {}).get("packetSizeBytes") or 0)
