"""What is there for guests: networks and nodes, each read once."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from ipaddress import ip_network
from typing import TYPE_CHECKING

from pytest_kvlatency.errors import ConfigError, KvLatencyError, ProvisionError, again
from pytest_kvlatency.kube.manifest import HOSTNAME
from pytest_kvlatency.kube.nad import NadFacts, check_binding, read_nad
from pytest_kvlatency.kube.nodes import SeenNodes, look, obstacles, refusal
from pytest_kvlatency.model import ANYWHERE
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.blueprint import Blueprint
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.nodes import NodeFacts
    from pytest_kvlatency.model import Check, GuestSpec, NadRef
    from pytest_kvlatency.plan.checks import VmiKey


class Site:
    """The networks and nodes that guests of a run are made on. Thread-safe."""

    def __init__(self, client: KubeClient, blueprint: Blueprint) -> None:
        self._client = client
        self._blueprint = blueprint
        self._lock = threading.Lock()
        self._nads: dict[tuple[NadRef, GuestSpec], Future[NadFacts]] = {}
        self._nodes = dict(blueprint.nodes.by_name)

    def network(self, ref: NadRef, guest: GuestSpec, deadline: Deadline) -> NadFacts:
        """Read a NAD once, before the first of its VMIs is created. Raises ``KvLatencyError``."""
        with self._lock:
            future = self._nads.get((ref, guest))
            is_first = future is None
            if future is None:
                future = self._nads[ref, guest] = Future()
        if is_first:
            try:
                subnet = guest.subnet
                facts = read_nad(
                    self._client,
                    ref,
                    binding=guest.binding,
                    subnet_is_ipv6=subnet is not None and ip_network(subnet).version == 6,
                    deadline=deadline,
                )
                check_binding(facts, self._blueprint.binding_plugins)
            except BaseException as error:
                if isinstance(error, KvLatencyError):
                    error.network = str(ref)
                with self._lock:
                    # A rerun asks again.
                    del self._nads[ref, guest]
                future.set_exception(again(error))
                raise
            future.set_result(facts)
        return result_of(future)

    def refusal(self, check: Check) -> KvLatencyError | None:
        """Why no guest need be made for a check: no VM can start on one of its nodes, as far as that is known.

        Or a guest of it is to migrate, and none can.
        """
        refused = self._refused(check.pair.nodes)
        if refused is None and check.pair.is_move:
            refused = self._blueprint.move_refusal
            refused = again(refused) if refused is not None else self._stranded(check)
        return refused

    def destination_labels(self, name: str) -> dict[str, str] | None:
        """The labels by which a migration selects this node; None where the node may not be read."""
        with self._lock:
            node = self._nodes.get(name)
        label = None if node is None else node.labels.get(HOSTNAME)
        return None if label is None else {HOSTNAME: label}

    def _stranded(self, check: Check) -> KvLatencyError | None:
        """Why a guest that may go anywhere can go nowhere, as far as the nodes are known."""
        if check.pair.destination != ANYWHERE:
            return None
        start, nodes = check.pair.target, self._blueprint.nodes
        # Of a set that is not named all nodes count, where they could be listed.
        names = check.among or (nodes.by_name if nodes.is_whole else ())
        if not names:
            return None
        found = [self._refused([name]) for name in names if name != start]
        if any(one is None for one in found):
            return None
        why = "; ".join(one.reason for one in found if one is not None)
        return ProvisionError(
            f"there is no node that the guest on {start} could migrate to{f': {why}' if why else ''}",
            hint="name more nodes with --kv-node-set",
            summary="there is no node that a guest could migrate to",
        )

    def ask_again(self, check: Check) -> None:
        """Read the check's nodes anew before its next guest is made."""
        with self._lock:
            for name in check.pair.nodes:
                self._nodes.pop(name, None)

    def look_again(self, check: Check, deadline: Deadline) -> None:
        """Read the check's nodes anew now. Raises as ``KubeClient.request`` when the run is stopped."""
        self.ask_again(check)
        for key in vmi_keys(check):
            self.node(key, deadline)

    def place(self, key: VmiKey, deadline: Deadline) -> NodeFacts | None:
        """The node that is named, where it may be read. Raises ``KvLatencyError`` where no VM can start there."""
        node = self.node(key, deadline)
        refused = None if key.node is None else self._refused([key.node])
        if refused is not None:
            raise refused
        return node

    def node(self, key: VmiKey, deadline: Deadline) -> NodeFacts | None:
        """The node that is named, where there is one that may be read: once, and again for a rerun."""
        if key.node is None:
            return None
        with self._lock:
            if key.node in self._nodes:
                return self._nodes[key.node]
        for node in look(self._client, key.node, deadline):
            with self._lock:
                self._nodes[key.node] = node
            return node
        return None

    def troubles(self, node: NodeFacts | None) -> dict[str, str]:
        """What was wrong with a node when it was read, and may have passed; each with a line that says the way out."""
        if node is None:
            return {}
        found = obstacles(node, tolerations=self._blueprint.tolerations)
        return {one.what: f"{node.name} {one.what}: {one.hint}" for one in found}

    def _refused(self, names: Sequence[str]) -> KvLatencyError | None:
        blueprint = self._blueprint
        with self._lock:
            known = {name: self._nodes[name] for name in names if name in self._nodes}
        if blueprint.has_manifest_hooks:
            known = {name: node for name, node in known.items() if node is None}
        seen = SeenNodes(by_name=known, listed=blueprint.nodes.listed)
        refused = refusal(seen, names, tolerations=blueprint.tolerations)
        if refused is not None:
            refused.guest_node = refused.node
        return refused


def architecture_of(key: VmiKey, profile: GuestProfile, node: NodeFacts | None) -> str | None:
    """The named node's architecture, where that is known. Raises ``ConfigError`` where no image is for it."""
    found = None if node is None else node.architecture
    if found and key.guest.image is None and found not in profile.architectures:
        raise ConfigError(
            f"node {key.node} is {found}, but the image of guest profile {profile.name} is for "
            f"{', '.join(profile.architectures)}",
            hint=f"choose an image for {found} with --kv-image, or other nodes with --kv-nodes",
            stage="setup",
            node=key.node or "",
        )
    return found
