"""From settings to the checks of a test function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.checkup import hooks
from pytest_kvlatency.config.problems import with_sources
from pytest_kvlatency.config.resolve import check_guest
from pytest_kvlatency.errors import ConfigError, KvLatencyError, again
from pytest_kvlatency.model import NodeChoice
from pytest_kvlatency.plan import checks as plan

if TYPE_CHECKING:
    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.config.sources import Layer


@dataclass(kw_only=True)
class Planning:
    """Gives settings and checks; reads the ConfigMap's parameters, and asks for nodes, when these are first needed."""

    state: RunState
    role: Role
    cluster: ClusterSession
    _node_sets: dict[object, NodeChoice | KvLatencyError] = field(init=False, default_factory=dict)

    def settings(self, *over: Layer) -> Settings:
        """Return the settings, with a marker's layer over them. Raises ``SettingsError``."""
        state = self.state
        if state.inputs.is_unread and state.may_contact:
            state.signals.install()
            self.role.read_parameters(lambda: state.inputs.read_configmap(self.cluster.client))
        settings = state.inputs.resolved(*over)
        check_guest(settings, lambda: hooks.guest_names(state.config))
        return settings

    def parameters(self) -> list[Layer]:
        """What the ConfigMap says, which is read unless it has been. Raises ``pytest.UsageError``."""
        inputs = self.state.inputs
        if inputs.is_unread:
            inputs.read_configmap(self.cluster.client)
        return inputs.configmap_layers()

    def plan_for(self, settings: Settings) -> list[plan.PlannedCheck]:
        """Give the checks of one test function, or a placeholder where the cluster would have to be asked first."""
        by_configmap = f"configmap-{settings.configmap}"
        source = settings.sources["nad"].kind
        if self.state.inputs.is_unread and source not in ("marker", "command line"):
            # Whatever weaker sources say: it always names networks of its own.
            return [plan.PlannedCheck(id=by_configmap, placeholders=(by_configmap,), check=None)]
        nodes = self._node_set(settings)
        try:
            planned = plan.checks(settings, namespace=settings.namespace or "", nodes=nodes)
        except ConfigError as error:
            raise with_sources(settings, ("nodes", "node_set"), error) from error
        if source != "ConfigMap":
            return list(planned)
        return [replace(one, placeholders=(*one.placeholders, by_configmap)) for one in planned]

    def _node_set(self, settings: Settings) -> NodeChoice | None:
        """The nodes of shapes: those that are named, else those of the cluster; None while it may not be asked.

        Raises ``KvLatencyError``.
        """
        if settings.node_set is not None and settings.node_set.names:
            return NodeChoice(names=settings.node_set.names)
        if not plan.needs_nodes(settings):
            return NodeChoice()
        if not self.state.may_contact:
            return None
        key = (settings.node_set, settings.tolerations)
        if key not in self._node_sets:
            try:
                self._node_sets[key] = self.role.discover(settings, self.cluster.discover)
            except KvLatencyError as error:
                # Not asked again by each test function: a server that does not answer takes its time.
                self._node_sets[key] = again(error)
        found = self._node_sets[key]
        if isinstance(found, KvLatencyError):
            raise again(found)
        return found
