"""The run's cluster: the way to it, where the VMs go, what it is, and that the run has begun there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.checkup.run_state import CONTACT_SECONDS
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import HIDDEN, PermissionDeniedError
from pytest_kvlatency.plan.moves import is_open
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads, result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.kube.nodes import NodeFacts, SeenNodes
    from pytest_kvlatency.model import Check, NodeChoice

__tracebackhide__ = HIDDEN


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What ``kv_cluster`` gives. ``client`` sends requests as the run does; versions are None where unknown."""

    client: KubeClient
    namespace: str
    server: str
    kubernetes_version: str | None
    kubevirt_version: str | None

    @property
    def versions(self) -> dict[str, str | None]:
        """Both versions by name: ``kubernetes``, ``kubevirt``."""
        return {"kubernetes": self.kubernetes_version, "kubevirt": self.kubevirt_version}


@dataclass(kw_only=True)
class ClusterSession:
    """What a run asks its cluster before it creates anything. Nothing is contacted before something is asked."""

    state: RunState
    role: Role
    #: Nodes that were listed, and whether these are all that there are; set in one step, as several threads may list.
    _listed: tuple[Sequence[NodeFacts], bool] = field(init=False, default=((), False))

    def client(self) -> KubeClient:
        """The cluster's client; starts the lab if one is asked for. Raises ``KvLatencyError``."""
        return self.state.access.client(self.role.connection(self.state.inputs.given))

    @property
    def namespace(self) -> str:
        """Where the VMIs are created."""
        return self.state.inputs.given.namespace or self.client().namespace

    @told()
    def located(self, check: Check) -> Check:
        """The check with its NAD's namespace, now that the cluster may be asked for. Raises ``ConfigError``."""
        if check.nad.namespace:
            return check
        return replace(check, nad=replace(check.nad, namespace=self.namespace))

    def locate(self, check: Check) -> Check:
        """As ``located``, for the main thread: it waits for the cluster. Raises ``KvLatencyError``."""
        if not check.nad.namespace:
            self.state.wait_for_cluster(Threads(1, "kvlatency-locate").submit(self.client))
        return self.located(check)

    def need_rules_for(self, checks: Iterable[Check]) -> None:
        """Have a denial name all rules that these checks need. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.reviews import needed

        configmap, nad_namespaces = self.state.inputs.configmap, [check.nad.namespace for check in checks]
        rules = needed(self.namespace, nad_namespaces, () if configmap is None else configmap.refs)
        self.client().rules.need(rules)

    def move_refusal(self, checks: Iterable[Check]) -> KvLatencyError | None:
        """Why no guest of these checks can migrate: what is not permitted, or the clock of a lab; None where it can.

        None too where that is not known. Raises ``KvLatencyError``.
        """
        from pytest_kvlatency.kube.reviews import migrating

        if not any(check.pair.is_move for check in checks):
            return None
        lacking = self.client().rules.lacking(migrating(self.namespace), self.state.deadline)
        facts = self.state.results.cluster_facts
        return lacking or (None if facts is None else facts.clock_refusal)

    def discover(self, settings: Settings) -> NodeChoice:
        """Ask for the nodes of a node set. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.nodes import choose, list_nodes

        selector = None if settings.node_set is None else settings.node_set.selector
        deadline = Deadline(CONTACT_SECONDS, stop=self.state.stop)
        found = list_nodes(self.client(), deadline, label_selector=selector)
        if selector is None or not self._listed[0]:
            self._listed = (found, selector is None)
        chosen, results = choose(found, tolerations=tolerations(settings)), self.state.results
        if chosen.note and chosen.note not in results.left_out:
            results.left_out = (*results.left_out, chosen.note)
        return chosen

    def open(self, checks: Iterable[Check], deadline: Deadline) -> None:
        """Ask the cluster what it and its nodes are, and write the start of the run to the ConfigMap.

        Raises ``KvLatencyError``.
        """
        nodes = Threads(1, "kvlatency-look").submit(self.look_at_nodes, list(checks), deadline)
        self.describe(deadline)
        self.state.nodes = result_of(nodes)
        self.write_start(deadline)

    def describe(self, deadline: Deadline) -> ClusterFacts:
        """Ask the cluster what it is. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.clusterfacts import describe

        client, results = self.client(), self.state.results
        results.namespace = self.namespace
        # The run's own lab is nobody's context.
        results.context = client.context if self.state.inputs.given.lab is None else None
        facts = results.cluster_facts = describe(client, deadline)
        if results.comparator is not None:
            results.comparator.require_ground(facts.lab)
        return facts

    def write_start(self, deadline: Deadline) -> None:
        """Write the start of the run to the ConfigMap, if there is one. Raises ``KvLatencyError``."""
        configmap = self.state.inputs.configmap
        if configmap is not None:
            configmap.start(self.state.results.start_changes(configmap.existing_keys), deadline)

    def look_at_nodes(self, checks: Sequence[Check], deadline: Deadline) -> SeenNodes:
        """Read the nodes that these checks name, where that is permitted; all of them where a guest may go to any.

        Raises ``KvLatencyError``.
        """
        from pytest_kvlatency.kube.nodes import list_nodes, look_at, seen_of

        names = [node for check in checks for node in (*check.pair.nodes, *check.among)]
        if any(is_open(check) for check in checks):
            with suppress(PermissionDeniedError):
                return seen_of(list_nodes(self.client(), deadline), names)
        before, is_whole = self._listed
        return look_at(
            self.client(),
            names,
            deadline,
            tolerations=tolerations(self.state.inputs.given),
            before=before,
            is_whole=is_whole,
        )


def tolerations(settings: Settings) -> tuple[dict[str, str], ...]:
    """As Kubernetes spells them."""
    return tuple(one.to_dict() for one in settings.tolerations)
