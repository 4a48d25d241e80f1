"""``--kv-preflight``: a checklist in the place of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.checkup import hooks
from pytest_kvlatency.checkup.cluster_session import tolerations
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import HIDDEN, InterruptedRunError, KvLatencyError
from pytest_kvlatency.kube.apierrors import ConfigMapTakenError
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    import pytest

    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.model import Finding
    from pytest_kvlatency.preflight.scope import Scope

PREFLIGHT_SECONDS: Final = 30.0
__tracebackhide__ = HIDDEN


@dataclass(frozen=True, kw_only=True)
class PreflightRun:
    """Goes through the checklist, where that is asked for."""

    state: RunState
    cluster: ClusterSession
    measuring: MeasuringSession
    items: Items

    def take_place(self, session: pytest.Session) -> bool:
        """Go through the checklist in the place of the tests; return whether that was asked for.

        Raises ``session.Interrupted`` on a signal.
        """
        state = self.state
        if not state.is_preflight:
            return False
        if session.testsfailed and not state.config.option.continue_on_collection_errors:
            # pytest says so itself, and runs nothing.
            return False
        state.signals.install()
        self.items.drop()
        findings = state.results.preflight = []
        deadline = Deadline(PREFLIGHT_SECONDS, stop=state.stop, paused=True)
        try:
            state.waiter.wait(
                Threads(1, "kvlatency-preflight").submit(self._go_through, findings, deadline),
                deadline=deadline,
                text=lambda: "kvlatency: preflight",
                what=lambda: "the preflight",
            )
        except InterruptedRunError as error:
            raise session.Interrupted(error.reason) from None
        except KvLatencyError as error:
            state.results.add_failure(error)
        return True

    def _go_through(self, findings: list[Finding], deadline: Deadline) -> None:
        """Enter each line as soon as it is known. Raises ``ConfigMapTakenError``."""
        from pytest_kvlatency.preflight import checklist

        results = self.state.results
        try:
            facts = self.cluster.describe(deadline)
        except InterruptedRunError:
            raise
        except KvLatencyError as error:
            findings.append(checklist.unreachable(error))
            return
        try:
            self.cluster.write_start(deadline)
        except (ConfigMapTakenError, InterruptedRunError):
            raise
        except KvLatencyError as error:
            # The checklist says what else is missing.
            results.add_failure(error)
        if not self.state.planned_checks:
            findings.append(checklist.nothing_planned(is_of_others=results.is_empty_shard))
            return
        findings.extend(checklist.go_through(self._scope(facts, deadline), deadline))

    def _scope(self, facts: ClusterFacts, deadline: Deadline) -> Scope:
        from pytest_kvlatency.preflight.scope import Scope

        state = self.state
        given, configmap, share = state.inputs.given, state.inputs.configmap, state.share
        checks = [self.cluster.located(check) for check in state.planned_checks]
        state.nodes = self.cluster.look_at_nodes(checks, deadline)
        return Scope(
            client=self.cluster.client(),
            facts=facts,
            namespace=self.cluster.namespace,
            checks=checks,
            provisioner=self.measuring.assemble(checks).provisioner,
            profiles=hooks.guest_profiles(state.config),
            timeout_seconds=state.deadline.seconds,
            parallel=given.parallel,
            addresses=None if share is None else share.addresses,
            tolerations=tolerations(given),
            configmaps=() if configmap is None else configmap.refs,
        )
