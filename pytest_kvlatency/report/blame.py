"""Which network, nodes or pairs are to blame for what is wrong between nodes. Pure.

A network, where each of its pairs that were measured has the fault; else a node, where each of its pairs has it; else
the pair. It takes two pairs to tell a network or a node from a pair. Migrations that were begun are blamed among
themselves: on a network without one everything may be well.

A ping goes there and back, so both directions of a pair are one. Only where the same test found one of them good is the
other to blame alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_kvlatency.model import ANYWHERE
from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.entries import test_of
from pytest_kvlatency.report.places import destination_of, has_begun, nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]

_FEWEST: Final = 2


@dataclass(frozen=True, kw_only=True)
class Blame:
    """What is to blame: one of them, or none. ``place`` is where it is, as words that follow what is wrong there.

    ``is_one_way``: the pair is good when its target pings.
    """

    node: str | None = None
    pair: str | None = None
    network: str | None = None
    place: str = ""
    is_one_way: bool = False


class _NodeLink(NamedTuple):
    """A network, and two nodes in whichever direction; of a migration the nodes that it left and reached."""

    network: str
    nodes: frozenset[str]
    #: Of a migration, who pinged whom, and where that one went: ``worker1:worker2>worker3``.
    move: str = ""
    #: Who pinged whom, ``worker1:worker2``, where the other way round all is well.
    way: str = ""


def blamed(failed: Sequence[Entry], entries: Sequence[Entry]) -> Iterator[tuple[Blame, list[Entry]]]:
    """Divide the measurements that have one fault by what is to blame for it; ``entries`` are all measurements."""
    measured = {link for one in entries if one["transmitted"] is not None and (link := _link(one))}
    good = {_direction(one) for one in entries if one["transmitted"] is not None and one["succeeded"]}
    left: defaultdict[_NodeLink, list[Entry]] = defaultdict(list)
    for one in failed:
        link = _link(one)
        if link is None:
            yield Blame(), [one]
        else:
            is_one_way = not link.move and _direction(one, is_reversed=True) in good
            way = ":".join(nodes_of(one) or ()) if is_one_way else ""
            left[link._replace(way=way)].append(one)
    for are_moves in (False, True):
        alike = {link: mine for link, mine in left.items() if bool(link.move) == are_moves}
        yield from _divided(alike, {link for link in measured if bool(link.move) == are_moves})


def _divided(
    left: dict[_NodeLink, list[Entry]], measured: set[_NodeLink]
) -> Iterator[tuple[Blame, list[Entry]]]:
    faulty = set(left)
    for network in dict.fromkeys(link.network for link in left):
        links = {link for link in measured if link.network == network}
        if len(links) >= _FEWEST and links <= left.keys():
            yield Blame(network=network, place=f"on {network}"), _take(left, links)
    of_node = _by_node(measured)
    while (node := _worst_node(left, of_node, faulty)) is not None:
        name, links = node
        yield Blame(node=name, place=f"to and from {name}"), _take(left, links)
    alike: defaultdict[_NodeLink, list[Entry]] = defaultdict(list)
    for link, concerned in left.items():
        alike[link._replace(network="")] += concerned
    for link, concerned in alike.items():
        yield _of_pair(concerned[0], link), concerned


def _of_pair(entry: Entry, link: _NodeLink) -> Blame:
    source, target = nodes_of(entry) or ("", "")
    if link.move:
        destination = destination_of(entry)
        to = "" if destination == ANYWHERE else f" to {destination}"
        return Blame(pair=link.move, place=f"when a guest migrates from {target}{to}")
    if link.way:
        return Blame(pair=link.way, place=f"when {source} pings {target}", is_one_way=True)
    place = f"between {source} and {target}" if source != target else f"between two guests on {source}"
    return Blame(pair=f"{source}:{target}", place=place)


def _worst_node(
    left: Mapping[_NodeLink, Sequence[Entry]],
    of_node: Mapping[tuple[str, str], set[_NodeLink]],
    faulty: set[_NodeLink],
) -> tuple[str, set[_NodeLink]] | None:
    """The node with the most faults of those that have it with every other node on a network, and these faults."""
    best: tuple[str, set[_NodeLink]] | None = None
    networks: defaultdict[str, set[str]] = defaultdict(set)
    for link in left:
        for name in link.nodes:
            networks[name].add(link.network)
    for name in sorted(networks, key=natural_key):
        mine: set[_NodeLink] = set()
        for network in networks[name]:
            links = of_node.get((network, name), set())
            if len(links) >= _FEWEST and links <= faulty:
                mine |= links & left.keys()
        if len(mine) >= _FEWEST and (best is None or len(mine) > len(best[1])):
            best = name, mine
    return best


def _by_node(links: Iterable[_NodeLink]) -> dict[tuple[str, str], set[_NodeLink]]:
    """The links of each node on each network."""
    found: defaultdict[tuple[str, str], set[_NodeLink]] = defaultdict(set)
    for link in links:
        for name in link.nodes:
            found[link.network, name].add(link)
    return found


def _take(left: dict[_NodeLink, list[Entry]], links: set[_NodeLink]) -> list[Entry]:
    """Take the measurements of these links, in their order."""
    return [one for link in list(left) if link in links for one in left.pop(link)]


def _direction(entry: Entry, *, is_reversed: bool = False) -> tuple[object, ...]:
    """By which test who pinged whom; or, reversed, what is the same the other way round."""
    nodes = nodes_of(entry) or ()
    return (entry["nad"], test_of(entry), *(reversed(nodes) if is_reversed else nodes))


def _link(entry: Entry) -> _NodeLink | None:
    nodes = nodes_of(entry)
    if nodes is None or entry["nad"] is None:
        return None
    destination = destination_of(entry) if has_begun(entry) else None
    if destination is None:
        return _NodeLink(entry["nad"], frozenset(nodes))
    source, target = nodes
    named = frozenset((target, destination)) - {ANYWHERE}
    return _NodeLink(entry["nad"], named, f"{source}:{target}>{destination}")
