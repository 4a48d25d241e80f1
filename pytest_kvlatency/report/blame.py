"""Which network, nodes or pairs are to blame for what is wrong between nodes. Pure.

A network, where each of its pairs that were measured has the fault; else a node, where each of its pairs has it; else
the pair. It takes two pairs to tell a network or a node from a pair.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.plan.order import natural_key
from pytest_kvlatency.report.matrix.matrix import nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]
    #: A network, and two nodes in whichever direction.
    Link = tuple[str, frozenset[str]]

_FEWEST: Final = 2


@dataclass(frozen=True, kw_only=True)
class Blame:
    """What is to blame: one of them, or none. ``place`` is where it is, as words that follow what is wrong there."""

    node: str | None = None
    pair: str | None = None
    network: str | None = None
    place: str = ""


def blamed(failed: Sequence[Entry], entries: Sequence[Entry]) -> Iterator[tuple[Blame, list[Entry]]]:
    """Divide the measurements that have one fault by what is to blame for it; ``entries`` are all measurements."""
    measured = {link for one in entries if one["transmitted"] is not None and (link := _link(one))}
    left: defaultdict[Link, list[Entry]] = defaultdict(list)
    for one in failed:
        link = _link(one)
        if link is None:
            yield Blame(), [one]
        else:
            left[link].append(one)
    for network in dict.fromkeys(nad for nad, _ in left):
        links = {link for link in measured if link[0] == network}
        if len(links) >= _FEWEST and links <= left.keys():
            yield Blame(network=network, place=f"on {network}"), _take(left, links)
    faulty = {link for one in failed if (link := _link(one))}
    of_node = _by_node(measured)
    while (node := _worst_node(left, of_node, faulty)) is not None:
        name, links = node
        yield Blame(node=name, place=f"to and from {name}"), _take(left, links)
    for pair in dict.fromkeys(nodes for _, nodes in left):
        concerned = _take(left, {link for link in left if link[1] == pair})
        source, target = nodes_of(concerned[0]) or ("", "")
        place = f"between {source} and {target}" if source != target else f"between two guests on {source}"
        yield Blame(pair=f"{source}:{target}", place=place), concerned


def _worst_node(
    left: Mapping[Link, Sequence[Entry]],
    of_node: Mapping[tuple[str, str], set[Link]],
    faulty: set[Link],
) -> tuple[str, set[Link]] | None:
    """The node with the most faults of those that have it with every other node on a network, and these faults."""
    best: tuple[str, set[Link]] | None = None
    networks: defaultdict[str, set[str]] = defaultdict(set)
    for nad, nodes in left:
        for name in nodes:
            networks[name].add(nad)
    for name in sorted(networks, key=natural_key):
        mine: set[Link] = set()
        for network in networks[name]:
            links = of_node.get((network, name), set())
            if len(links) >= _FEWEST and links <= faulty:
                mine |= links & left.keys()
        if len(mine) >= _FEWEST and (best is None or len(mine) > len(best[1])):
            best = name, mine
    return best


def _by_node(links: Iterable[Link]) -> dict[tuple[str, str], set[Link]]:
    """The links of each node on each network."""
    found: defaultdict[tuple[str, str], set[Link]] = defaultdict(set)
    for link in links:
        for name in link[1]:
            found[link[0], name].add(link)
    return found


def _take(left: dict[Link, list[Entry]], links: set[Link]) -> list[Entry]:
    """Take the measurements of these links, in their order."""
    return [one for link in list(left) if link in links for one in left.pop(link)]


def _link(entry: Entry) -> Link | None:
    nodes = nodes_of(entry)
    return None if nodes is None or entry["nad"] is None else (entry["nad"], frozenset(nodes))
