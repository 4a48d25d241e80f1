"""Pairs whose target migrates during the sample: shapes of them over a node set. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.model import ANYWHERE, NodePair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.model import Check

#: KubeVirt's default for the whole cluster (``parallelMigrationsPerCluster``). Out of one node it allows 2; of pairs
#: that share no node none leaves where another one does.
MOST_AT_ONCE: Final = 5
#: A path between two nodes that are neither the peer's needs so many.
NODES_OF_PATHS: Final = 3
#: A sample with a migration: a second before it, the usual time of one, and five seconds after it.
_SECONDS: Final = 15.0


def paths(nodes: Sequence[str]) -> tuple[NodePair, ...]:
    """Give the three paths that matter over the first of at least three nodes.

    Away from the peer's node, to the peer's node, and between two nodes that are neither.
    """
    peer, other, third = nodes[:NODES_OF_PATHS]
    return (
        NodePair(source=peer, target=peer, destination=other),
        NodePair(source=peer, target=other, destination=peer),
        NodePair(source=peer, target=other, destination=third),
    )


def drained(node: str, nodes: Sequence[str]) -> tuple[NodePair, ...]:
    """Give, for every one of ``nodes`` but ``node``, the pair whose target leaves ``node``."""
    return tuple(NodePair(source=one, target=node, destination=ANYWHERE) for one in nodes if one != node)


def sample_seconds(check: Check) -> float:
    """How long the sample of a check usually takes."""
    return _SECONDS if check.pair.is_move else check.ping.sample_duration_ns / 1e9


def is_open(check: Check) -> bool:
    """Whether the target may migrate to any node at all, so that its destination is not known before."""
    return check.pair.destination == ANYWHERE and not check.among


def occupied(check: Check) -> frozenset[str]:
    """The nodes on which the guests of a check are, or may get to, as far as they are named."""
    return frozenset((*check.pair.nodes, *check.among))
