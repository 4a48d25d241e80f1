"""From the items that survived selection to what this process runs, and how long that may take."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from pytest_kvlatency.checkup import sharding
from pytest_kvlatency.checkup.inputs import usage_text
from pytest_kvlatency.checkup.role import RunPlan
from pytest_kvlatency.checkup.testitem import (
    CHECK_KEY,
    SETTINGS_KEY,
    is_planned,
    left_out_of,
    may_be_measured_ahead,
)
from pytest_kvlatency.config.timeouts import check_timeout, timeout_for
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import ConfigError, InterruptedRunError, KvLatencyError
from pytest_kvlatency.model import Failure
from pytest_kvlatency.plan.checks import rounds
from pytest_kvlatency.report.notes import Unused, unmeasured, unused
from pytest_kvlatency.report.run import ItemResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.checkup.cluster_session import ClusterSession
    from pytest_kvlatency.checkup.collection import Collection
    from pytest_kvlatency.checkup.items import Items
    from pytest_kvlatency.checkup.planning import Planning
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.model import Check

NO_DISTRIBUTION: Final = (
    "--kv-preflight cannot be combined with pytest-xdist: it runs no test, so there is nothing to distribute. "
    "Leave -n out, or use -n 0"
)


@dataclass(kw_only=True)
class Selection:
    """What of a run is selected: taken once when all is collected, or from the process that collected it."""

    state: RunState
    role: Role
    cluster: ClusterSession
    planning: Planning
    collection: Collection
    items: Items
    #: What was selected, once it was.
    plan: RunPlan = field(init=False, default_factory=RunPlan)

    @property
    def is_concerned(self) -> bool:
        """Whether this pytest run has to do with kvlatency at all: of others the plugin says nothing."""
        inputs = self.state.inputs
        asked = inputs.asked_on_the_command_line or inputs.given.sweep
        return bool(self.items.total or self.collection.is_wanted or asked)

    def refuse_distribution(self) -> None:
        """Raise ``pytest.UsageError`` for a preflight that pytest-xdist is to distribute."""
        if self.state.inputs.given.preflight and self.role.is_distributed:
            raise pytest.UsageError(NO_DISTRIBUTION)

    def take(self, session: pytest.Session) -> None:
        """Take what survived selection as the plan. Raises ``pytest.UsageError``."""
        state = self.state
        state.session = session
        settled = self.collection.settle(session)
        share, items = sharding.take(session, settled, state.inputs.given.shard)
        self._enter(share)
        try:
            self._judge(items)
            planned = [item for item in items if CHECK_KEY in item.stash and is_planned(item)]
            state.planned_items = tuple(planned)
            state.planned_checks = tuple(item.stash[CHECK_KEY] for item in planned)
            self._time(planned)
            self._compare(planned)
        except ConfigError as error:
            raise pytest.UsageError(usage_text(error)) from None
        wrong = self.collection.report_problems(session)
        plan = self.plan = RunPlan(
            checks={item.nodeid: item.stash.get(CHECK_KEY, None) for item in items},
            left_out=left_out_of(items),
            share=share,
            unused=self._find_unused(settled, session.testsfailed),
            collection_errors=session.testsfailed,
            said=tuple(Failure(kind="config", stage="config", reason=one.splitlines()[0]) for one in wrong),
        )
        state.results.failures += plan.said
        self._have_credentials(session)
        if not wrong or state.config.option.continue_on_collection_errors:
            self.items.expect(plan.checks, plan.left_out)
        self.role.planned(items, plan)

    def adopt(self, plan: RunPlan) -> None:
        """Take the plan of those who collect in this process's stead."""
        self.plan = plan
        self.state.results.failures += plan.said
        if plan.share is not None:
            self._enter(plan.share)
        self.items.expect(plan.checks, plan.left_out)

    def take_notes(self) -> None:
        """Note in the document, and warn of, what was asked for and not used; called when all items are over."""
        results, found = self.state.results, self.plan.unused
        namespace = self.state.inputs.given.namespace or ""
        if not namespace and results.cluster_facts is not None:
            namespace = self.cluster.namespace
        networks = unmeasured(found, self.items.results(), results.plan, namespace=namespace)
        results.notes = (*networks, *found.texts)
        for text in results.notes:
            # Where warnings are errors it stays a note: the run is as healthy as without.
            with suppress(pytest.PytestWarning):
                self.state.config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)

    def _enter(self, share: sharding.Share) -> None:
        """Enter this run's share in the document."""
        self.state.share = share
        self.state.results.plan = share.facts

    def _judge(self, items: Sequence[pytest.Item]) -> None:
        """Raise ``SettingsError`` or ``pytest.UsageError`` for what keeps these items from being run."""
        inputs = self.state.inputs
        if inputs.asked_on_the_command_line or self.collection.is_wanted:
            # Also where nothing is left to run: somebody may wait for the ConfigMap's status.
            self.planning.settings()
        elif not items:
            # Nobody's marker completes the options: what they contradict each other in is wrong.
            inputs.check()
        self.collection.refuse_children(items)
        self.refuse_distribution()

    def _have_credentials(self, session: pytest.Session) -> None:
        """Get what is needed to reach the cluster, where something is going to run; contacts no API server.

        A lab is started when it is needed, and a preflight says in its checklist what is wrong.
        Raises ``pytest.UsageError``, so that it is said once, and before anything runs.
        """
        state = self.state
        runs_nothing = session.testsfailed and not state.config.option.continue_on_collection_errors
        if not state.planned_items or runs_nothing or not state.may_contact or state.is_preflight:
            return
        if state.inputs.given.lab is not None:
            return
        # A credential plugin may take its time, or ask questions.
        state.signals.install()
        try:
            self.cluster.client()
        except InterruptedRunError:
            return
        except KvLatencyError as error:
            raise pytest.UsageError(usage_text(error)) from None

    def _find_unused(self, items: Sequence[pytest.Item], collection_errors: int) -> Unused:
        """What was asked for with this run, and none of these items uses, whatever shard they are in."""
        inputs = self.state.inputs
        if not self.state.may_contact or inputs.is_unread:
            return Unused()
        used = [item.stash[SETTINGS_KEY] for item in items if SETTINGS_KEY in item.stash and is_planned(item)]
        # What a file holds that could not be collected is not known.
        had_tests = self.collection.had_items or collection_errors > 0
        return unused(inputs.given, used, inputs.asked, had_tests=had_tests)

    def _compare(self, items: Sequence[pytest.Item]) -> None:
        """Raise ``ConfigError`` where the baseline was measured otherwise than these items are going to be."""
        results = self.state.results
        if results.comparator is None:
            return
        planned = [
            ItemResult(nodeid=item.nodeid, outcome="notrun", check=item.stash[CHECK_KEY]) for item in items
        ]
        refusal = results.comparator.refusal(map(results.raw_entry, planned))
        if refusal is not None:
            raise ConfigError(refusal, hint="Measure as the baseline did, or name another one.")

    def _time(self, items: Sequence[pytest.Item]) -> None:
        """Set the deadline that these items need. Raises ``SettingsError`` when they do not fit an explicit one."""
        if not items:
            return
        from pytest_kvlatency.engine.consoles import most_open

        given, checks = self.state.inputs.given, _checks(items)
        # No more pairs than consoles are measured at once, however many a round has.
        at_once = self.role.at_once(given.parallel) or most_open()
        count = len(rounds(checks, parallel=at_once))
        check_timeout(given, checks, rounds=count)
        if not self.role.is_worker:
            ahead = [item for item in items if may_be_measured_ahead(item)]
            # The others are measured one by one.
            count = len(rounds(_checks(ahead), parallel=at_once)) + len(items) - len(ahead)
        nanoseconds = timeout_for(given, checks, rounds=count)
        if given.timeout_ns is None:
            nanoseconds += self.role.allowance_ns(checks)
        self.state.deadline = Deadline(nanoseconds / 1e9, stop=self.state.stop, paused=True)


def _checks(items: Sequence[pytest.Item]) -> list[Check]:
    return [item.stash[CHECK_KEY] for item in items]
