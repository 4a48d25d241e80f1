"""What to do about what is wrong between nodes, by where it is wrong. Pure.

A failure's own advice says what its sample shows; where to look is known only where all measurements are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.report.places import is_move, nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
_OF_LINK: Final = {
    "latency": "other pairs of both nodes are fine: look at the path between the two",
    "loss": "other pairs of both nodes are fine: look at the path between the two",
    "connectivity": "other pairs of both nodes are fine: look for a filter or VLAN between the two",
    "gap": "other pairs of both nodes are fine: look at the path between the two",
}
_ONE_WAY: Final = "{target} pings {source} over the same path without it: measure both ways again"
_ONE_WAY_SILENCE: Final = "{target} reaches {source}: look for a filter that lets only one of them begin"
_EMULATED: Final = "the guests ran under software emulation, which inflates round-trip times"
_SMALLER: Final = "try --kv-packet-size {size}: if that passes, the MTU on the path is too small"
_ON_ONE_NODE: Final = "to leave the path between nodes out, compare: --kv-nodes {node}:{node}"
_WITHOUT_MOVE: Final = "to leave the migration out, compare: --kv-nodes {source}:{target}"
_USUAL_SIZE: Final = PingParameters().packet_size


def advice_between(
    fault: Mapping[str, Any],
    own: Sequence[str | None],
    blame: Blame,
    concerned: Sequence[Entry],
    entries: Sequence[Entry],
) -> str | None:
    """What to do about a fault that is to ``blame`` for what failed; None where nothing can be said.

    ``own`` is the advice of each failure: that which most of them have is given. ``entries`` are all measurements.
    """
    kind = fault["kind"]
    usual = next((text for text, _ in Counter(filter(None, own)).most_common(1)), None)
    if usual is not None and _says_all(fault, concerned):
        return usual
    where = _where(kind, blame, concerned, entries)
    if where is not None and kind == "connectivity":
        # Its own advice is about both nodes of a pair, whatever others show.
        usual = None
    emulated = _EMULATED if kind == "latency" and any(one["softwareEmulation"] for one in concerned) else None
    lines = [emulated, where, usual, *_comparisons(kind, blame, concerned, entries)]
    return "\n".join(filter(None, lines)) or None


def _says_all(fault: Mapping[str, Any], concerned: Sequence[Entry]) -> bool:
    """Whether a failure's own advice is all there is to say: on a gap of a migration, and on what was not judged."""
    if fault["kind"] == "gap" and is_move(concerned[0]):
        return True
    return fault["kind"] in ("latency", "gap") and fault.get("exceeded") is None


def _where(kind: str, blame: Blame, concerned: Sequence[Entry], entries: Sequence[Entry]) -> str | None:
    """Where to look; None where nothing shows it."""
    nodes = nodes_of(concerned[0])
    if blame.network is not None:
        return _OF_NETWORK[kind]
    if blame.node is not None:
        return _OF_NODE[kind].format(node=blame.node)
    if nodes is None or is_move(concerned[0]):
        return None
    source, target = nodes
    if source == target:
        return _WITHIN_NODE.format(node=source)
    if blame.is_one_way:
        return (_ONE_WAY_SILENCE if kind == "connectivity" else _ONE_WAY).format(source=source, target=target)
    return _OF_LINK[kind] if _are_fine_with_others(nodes, concerned, entries) else None


def _are_fine_with_others(
    nodes: tuple[str, str], concerned: Sequence[Entry], entries: Sequence[Entry]
) -> bool:
    """Whether each of two nodes was measured with others, and all of these pairs are good."""
    networks = {one["nad"] for one in concerned}
    verdicts: dict[str, list[bool]] = {node: [] for node in nodes}
    for one in entries:
        pair = nodes_of(one)
        if pair is None or one["nad"] not in networks or one["transmitted"] is None or is_move(one):
            continue
        for node in nodes:
            if node in pair and not set(pair) <= set(nodes):
                verdicts[node].append(one["succeeded"])
    return all(found and all(found) for found in verdicts.values())


def _comparisons(
    kind: str, blame: Blame, concerned: Sequence[Entry], entries: Sequence[Entry]
) -> Iterator[str]:
    """Measurements that would tell more."""
    nodes = nodes_of(concerned[0])
    if kind == "gap" or nodes is None:
        return
    if kind != "latency" and all(_size(one) > _USUAL_SIZE for one in concerned):
        yield _SMALLER.format(size=_USUAL_SIZE)
    source, target = nodes
    if is_move(concerned[0]):
        if blame.pair is not None:
            yield _WITHOUT_MOVE.format(source=source, target=target)
    elif blame.node is None and not blame.is_one_way and not _is_told_by_others(nodes, concerned, entries):
        yield _ON_ONE_NODE.format(node=source)


def _is_told_by_others(nodes: tuple[str, str], concerned: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    """Whether guests of one node were measured on the network, or the nodes of a pair with others."""
    networks = {one["nad"] for one in concerned}
    measured = [one for one in entries if one["nad"] in networks and one["transmitted"] is not None]
    pairs = filter(None, map(nodes_of, measured))
    return any(source == target for source, target in pairs) or _are_fine_with_others(
        nodes, concerned, entries
    )


def _size(entry: Entry) -> int:
    return int((entry["ping"] or {}).get("packetSizeBytes") or 0)
