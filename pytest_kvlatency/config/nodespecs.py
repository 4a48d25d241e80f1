"""Which node pairs, as one writes them: a pair, a pair with a migration, or a shape over the node set.

The parser raises ``ValueError`` whose text goes on after the value, as those of ``parsers`` do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from pytest_kvlatency.config.kubenames import NAME_HELP, is_subdomain
from pytest_kvlatency.config.nearest import guessed, nearest
from pytest_kvlatency.model import ANYWHERE, AUTO, NodePair

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES_HELP: Final = "auto, SRC:DST, SRC:DST>NEW, mesh, ring, star:HUB, migrations or drain:NODE"
_OTHER_NODES: Final = "(or auto, mesh, ring, star:HUB, migrations, drain:NODE)"
_MOVE_HELP: Final = "SRC:DST>NEW, or SRC:DST>? for any node"
#: What stands for any node elsewhere.
_ANY: Final = frozenset({"*", "??", "any"})
_ARROW: Final = re.compile(r"\s*<?[-=]*>\s*")
_SEPARATOR: Final = re.compile(r"\s*(?:[,;/=+|]|\s)\s*")

ShapeName = Literal["mesh", "ring", "star", "migrations", "drain"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Pairs over the node set.

    ``mesh``: every pair of nodes. ``ring``: each node with the next one. ``star``: the node ``around`` with every other
    one. ``migrations``: a migration on each path that matters (away from the peer's node, to it, between two others).
    ``drain``: for every other node a pair with a guest on it, whose target leaves the node ``around``.
    """

    name: ShapeName
    around: str = ""

    @property
    def is_of_moves(self) -> bool:
        """Whether the target of each pair migrates."""
        return self.name in ("migrations", "drain")

    def __str__(self) -> str:
        return f"{self.name}:{self.around}" if self.around else self.name


NodesSpec = NodePair | Shape
_WORDS: Final[dict[str, NodesSpec]] = {
    "auto": AUTO,
    "mesh": Shape(name="mesh"),
    "ring": Shape(name="ring"),
    "migrations": Shape(name="migrations"),
}
#: Shapes around a node, and what that is called.
_AROUND: Final[dict[str, str]] = {"star": "HUB", "drain": "NODE"}


def nodes(text: str) -> NodesSpec:
    """``auto``, ``SRC:DST``, ``SRC:DST>NEW``, ``SRC:DST>?``, or a shape."""
    value = text.strip()
    found = _WORDS.get(value)
    if found is not None:
        return found
    if not _is_pair(value):
        raise ValueError(_wrong(value))
    pair, _, destination = value.partition(">")
    source, _, target = pair.partition(":")
    if source in _AROUND:
        return Shape(name=cast("ShapeName", source), around=target)
    return NodePair(source=source, target=target, destination=destination or None)


def node(text: str) -> str:
    """The name of one node, where a pair's two nodes are given apart."""
    if ">" in text:
        raise ValueError("is not the name of a node. For a migration, set nodes to SRC:DST>NEW instead")
    if not is_subdomain(text):
        guesses = filter(is_subdomain, [text.lower()])
        raise ValueError(guessed("is not the name of a node", guesses, expected=NAME_HELP))
    return text


def source_node(text: str) -> str:
    """As ``node``, for the first of the pair: with the name of a shape there, it would be that shape."""
    if text in _AROUND:
        raise ValueError(f"cannot be used here: {text}:{_AROUND[text]} is not a pair of nodes")
    return node(text)


def _is_pair(value: str) -> bool:
    """Whether ``value`` is two names with a colon between them, and perhaps another node for the second."""
    pair, arrow, destination = value.partition(">")
    source, _, target = pair.partition(":")
    if not (is_subdomain(source) and is_subdomain(target)):
        return False
    if not arrow:
        return True
    is_place = destination == ANYWHERE or is_subdomain(destination)
    return is_place and destination != target and source not in _AROUND


def _wrong(value: str) -> str:
    if not value:
        return f"is empty: expected {NODES_HELP}"
    lower = value.lower()
    shape = lower.removesuffix(":")
    if shape in _AROUND:
        node = _AROUND[shape]
        return f"names no {node.lower()}: expected {shape}:{node}, such as {shape}:worker1"
    straight = _ARROW.sub(">", lower)
    if ":" in straight.partition(">")[0] and (about := _wrong_move(straight)):
        return about
    shapes = () if ">" in straight else nearest(lower, _WORDS)
    guesses = [*filter(_is_pair, _spelled(straight)), *shapes]
    guess = next(iter(guesses), "")
    if not guess and is_subdomain(lower.strip(":")):
        return f"names only one node: expected SRC:DST {_OTHER_NODES}"
    if not guess and re.fullmatch("[^:>]*:[^:>]*(>[^:>]*)?", value):
        pair, _, destination = value.partition(">")
        named = [*pair.split(":"), *filter(None, {destination} - {ANYWHERE})]
        wrong = next(one for one in named if not is_subdomain(one))
        return f"is not a node pair: {wrong!r} is not the name of a node (expected {NAME_HELP})"
    if ">" in value and ":" in guess and ">" not in guess and "->" not in value:
        also = f" (or SRC:{straight}, where the guest on SRC stays, the other migrates)"
    else:
        also = f" {_OTHER_NODES}" if ":" in guess and ">" not in guess else ""
    expected = _MOVE_HELP if ">" in straight else f"SRC:DST {_OTHER_NODES}"
    return guessed("is not a node pair", guesses, expected=expected, also=also)


def _wrong_move(value: str) -> str:
    """What is wrong with the parts of ``SRC:DST>NEW``; empty where they are all there."""
    pair, *destinations = value.split(">")
    if not destinations:
        return ""
    source, _, target = pair.partition(":")
    if source in _AROUND:
        return f"has a destination: expected {source}:{_AROUND[source]} or SRC:DST>NEW"
    if len(destinations) > 1:
        return f"names more than one destination: expected {_MOVE_HELP}"
    parts = {"source": source, "target": target, "destination": destinations[0]}
    missing = next((what for what, name in parts.items() if not name), "")
    if missing:
        return f"names no {missing}: expected {_MOVE_HELP}"
    if destinations[0] == target:
        return f"migrates to the node where it starts: expected another node than {target}, or ? for any node"
    return ""


def _spelled(lower: str) -> Iterator[str]:
    """What may be meant, the likeliest first: other capitals, other separators, another word for any node."""
    yield lower
    pair, arrow, destination = lower.partition(">")
    pair = _SEPARATOR.sub(":", pair)
    if arrow:
        yield f"{pair}>{ANYWHERE if destination in _ANY else destination}"
        if pair not in _WORDS:
            yield f"{pair}:{destination}"
    else:
        yield pair
