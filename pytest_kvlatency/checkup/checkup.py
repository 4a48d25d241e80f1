"""The run's state, and the one place where its parts are put together."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_kvlatency.checkup import hooks as extending
from pytest_kvlatency.checkup import sharding
from pytest_kvlatency.checkup import xdist as distribution
from pytest_kvlatency.checkup.access import ClusterAccess
from pytest_kvlatency.checkup.cluster import Cluster
from pytest_kvlatency.checkup.collected_first import First
from pytest_kvlatency.checkup.collection import Collecting
from pytest_kvlatency.checkup.inputs import Inputs, usage_text
from pytest_kvlatency.checkup.items import Items
from pytest_kvlatency.checkup.marks import is_planned, left_out_of
from pytest_kvlatency.checkup.progress import Progress
from pytest_kvlatency.checkup.results import Reporting, failure_of
from pytest_kvlatency.checkup.signals import SignalGuard
from pytest_kvlatency.checkup.teardown import Ending
from pytest_kvlatency.checkup.testitem import CHECK_KEY, SETTINGS_KEY, may_be_measured_ahead
from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.config.settings import (
    SettingsError,
    check_guest,
    check_timeout,
    timeout_for,
    with_sources,
)
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine.artifacts import Artifacts
from pytest_kvlatency.errors import (
    HIDDEN,
    CheckupTimeoutError,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    again,
)
from pytest_kvlatency.escape import printable
from pytest_kvlatency.model import Failure, NodeChoice
from pytest_kvlatency.plan import checks as plan
from pytest_kvlatency.report import checklist as checklist_report
from pytest_kvlatency.report import terminal as terminal_report
from pytest_kvlatency.report.notes import Unused, unmeasured, unused
from pytest_kvlatency.report.outlets import Outlets
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads, result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from pytest_kvlatency.checkup.pair import Pair
    from pytest_kvlatency.checkup.role import Role
    from pytest_kvlatency.checkup.sharding import Share
    from pytest_kvlatency.config.settings import Layer, Settings
    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.runner import Engine
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.facts import ClusterFacts
    from pytest_kvlatency.kube.nodes import NodeFacts, SeenNodes
    from pytest_kvlatency.model import Check, Finding, Outcome, PingParameters
    from pytest_kvlatency.report.screen import Screen

T = TypeVar("T")
CONTACT_SECONDS = 60.0
SWEEP_SECONDS = 120.0
PREFLIGHT_SECONDS = 30.0
__tracebackhide__ = HIDDEN
NO_DISTRIBUTION = (
    "--kv-preflight cannot be combined with pytest-xdist: it runs no test, so there is nothing to distribute. "
    "Leave -n out, or use -n 0"
)
LAB_IS_OVER = (
    "kvlatency: the lab ended with the run, and these VMIs with it. For a lab that stays, run "
    "python -m pytest_kvlatency.lab up, and use its kubeconfig (--kv-kubeconfig)"
)


class Checkup:
    """One whole run: settings, cluster, engine and results, from pytest's configuration to its end.

    Nothing is contacted before a kvlatency item runs, but for the ConfigMap that parameters come from.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.stop = Stop()
        self.progress = Progress(config)
        self.waiter = Waiter(stop=self.stop, progress=self.progress)
        self.signals = SignalGuard(self._on_signal)
        self.deadline = Deadline(CONTACT_SECONDS, stop=self.stop, paused=True)
        self.access = ClusterAccess(stop=self.stop)
        self.reporting = Reporting(self.access.redactor)
        self.inputs = Inputs(config, reporting=self.reporting, stop=self.stop)
        self._session: pytest.Session | None = None
        self._engine: Engine | None = None
        self._broken: KvLatencyError | None = None
        self._said: list[Failure] = []
        self._share: Share | None = None
        self._plan: tuple[Check, ...] = ()
        self._running: tuple[pytest.Item, ...] = ()
        #: Node ids of what is measured ahead, once that is decided.
        self._measured_ahead: frozenset[str] | None = None
        self._opening = threading.Lock()
        self._opened: Future[Engine] | None = None
        self._node_sets: dict[object, NodeChoice | KvLatencyError] = {}
        self.artifacts = Artifacts(self.inputs.given.artifacts, self.access.redactor)
        self.collection_errors = 0
        self._listed: Sequence[NodeFacts] = ()
        self._has_listed_all = False
        #: What is known of the nodes that the plan names.
        self.nodes: SeenNodes | None = None
        #: What a sweep did, for the terminal.
        self.swept_lines: list[str] = []
        self.unused = Unused()
        self.ending = Ending(self)
        self.items = Items(self)
        self.collecting = Collecting(config, self)
        self.role: Role = distribution.role_of(self)

    @classmethod
    def configure(cls, config: pytest.Config) -> Checkup:
        """Read the options. Raises ``pytest.UsageError`` for wrong ones, without a traceback."""
        try:
            with told():
                checkup = cls(config)
                checkup.refuse_distribution()
        except KvLatencyError as error:
            raise pytest.UsageError(usage_lines(error)) from None
        return checkup

    # --- settings and plan

    @property
    def is_concerned(self) -> bool:
        """Whether this pytest run has to do with kvlatency at all: of others the plugin says nothing."""
        asked = self.inputs.asked_on_the_command_line or self.inputs.given.sweep
        return bool(self.items.total or self.collecting.is_wanted or asked)

    @property
    def may_contact(self) -> bool:
        """Whether this pytest run may talk to a cluster at all: not to list tests or fixtures, or to plan a set-up."""
        listing = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan")
        return not any(getattr(self.config.option, name, False) for name in listing)

    @property
    def session(self) -> pytest.Session | None:
        """The session, once all its items are collected."""
        return self._session

    @property
    def share(self) -> Share | None:
        """What of the plan is this run's, once it is known."""
        return self._share

    @property
    def planned(self) -> tuple[Check, ...]:
        """The checks that this process has collected."""
        return self._plan

    def settings(self, *over: Layer) -> Settings:
        """Return the settings, with a marker's layer over them. Raises ``SettingsError``."""
        if self.inputs.is_unread and self.may_contact:
            self.signals.install()
            self.role.read_parameters()
        settings = self.inputs.resolved(*over)
        check_guest(settings, lambda: extending.guest_names(self.config))
        return settings

    def plan_for(self, settings: Settings) -> list[plan.PlannedCheck]:
        """Give the checks of one test function, or a placeholder where the cluster would have to be asked first."""
        by_configmap = f"configmap-{settings.configmap}"
        source = settings.sources["nad"].kind
        if self.inputs.is_unread and source not in ("marker", "command line"):
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
        if not self.may_contact:
            return None
        key = (settings.node_set, settings.tolerations)
        if key not in self._node_sets:
            try:
                self._node_sets[key] = self.role.discover(settings)
            except KvLatencyError as error:
                # Not asked again by each test function: a server that does not answer takes its time.
                self._node_sets[key] = again(error)
        found = self._node_sets[key]
        if isinstance(found, KvLatencyError):
            raise again(found)
        return found

    def discover(self, settings: Settings) -> NodeChoice:
        """Ask the cluster for the nodes of a node set. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.nodes import choose, list_nodes

        selector = None if settings.node_set is None else settings.node_set.selector
        deadline = Deadline(CONTACT_SECONDS, stop=self.stop)
        found = list_nodes(self.client(), deadline, label_selector=selector)
        if selector is None or not self._listed:
            self._listed, self._has_listed_all = found, selector is None
        chosen = choose(found, tolerations=_tolerations(settings))
        if chosen.note and chosen.note not in self.reporting.left_out:
            self.reporting.left_out = (*self.reporting.left_out, chosen.note)
        return chosen

    @told()
    def located(self, check: Check) -> Check:
        """The check with its NAD's namespace, now that the cluster may be asked for. Raises ``ConfigError``."""
        if check.nad.namespace:
            return check
        return replace(check, nad=replace(check.nad, namespace=self.namespace))

    def locate(self, check: Check) -> Check:
        """As ``located``, for the main thread: it waits for the cluster. Raises ``KvLatencyError``."""
        if not check.nad.namespace:
            connected = Threads(1, "kvlatency-locate").submit(self.client)
            self.waiter.wait(
                connected,
                deadline=self.deadline,
                text=lambda: self.access.doing,
                what=lambda: self.access.awaited,
            )
        return self.located(check)

    def take_plan(self, session: pytest.Session) -> None:
        """Take what survived selection as the plan. Raises ``pytest.UsageError``."""
        self._session = session
        settled = self.collecting.settle(session)
        items = self._shared_out(session, settled)
        try:
            if self.inputs.asked_on_the_command_line or self.collecting.is_wanted:
                # Also where nothing is left to run: whoever waits for the ConfigMap's status is told.
                self.settings()
            elif not items:
                # Nobody's marker completes the options: what they contradict each other in is wrong.
                self.inputs.check()
            self.collecting.refuse_children(items)
            self.refuse_distribution()
            running = [item for item in items if CHECK_KEY in item.stash and is_planned(item)]
            self._running = tuple(running)
            self._plan = tuple(item.stash[CHECK_KEY] for item in running)
            self._time(self._plan)
        except SettingsError as error:
            raise pytest.UsageError(usage_text(error)) from None
        wrong = self.collecting.report_problems(session)
        self.collection_errors = session.testsfailed
        self.unused = self._find_unused(settled)
        self._said += [Failure(kind="config", stage="config", reason=one.splitlines()[0]) for one in wrong]
        self.reporting.failures += self._said
        self._have_credentials(session)
        if not wrong or self.config.option.continue_on_collection_errors:
            self.items.expect(
                {item.nodeid: item.stash.get(CHECK_KEY, None) for item in items}, left_out_of(items)
            )
        self.role.planned(items, self._said)

    def _have_credentials(self, session: pytest.Session) -> None:
        """Get what is needed to reach the cluster, where something is going to run; contacts no API server.

        A lab is started when it is needed, and a preflight says in its checklist what is wrong.
        Raises ``pytest.UsageError``, so that it is said once, and before anything runs.
        """
        runs_nothing = session.testsfailed and not self.config.option.continue_on_collection_errors
        if not self._running or runs_nothing or not self.may_contact or self.is_preflight:
            return
        if self.inputs.given.lab is not None:
            return
        # A credential plugin may take its time, or ask questions.
        self.signals.install()
        try:
            self.client()
        except InterruptedRunError:
            return
        except KvLatencyError as error:
            raise pytest.UsageError(usage_text(error)) from None

    def _find_unused(self, items: Sequence[pytest.Item]) -> Unused:
        """What was asked for with this run, and none of these items uses, whatever shard they are in."""
        if not self.may_contact or self.inputs.is_unread:
            return Unused()
        used = [item.stash[SETTINGS_KEY] for item in items if SETTINGS_KEY in item.stash and is_planned(item)]
        # What a file holds that could not be collected is not known.
        had_tests = self.collecting.had_items or self.collection_errors > 0
        return unused(self.inputs.given, used, self.inputs.asked, had_tests=had_tests)

    def take_notes(self) -> None:
        """Note in the document, and warn of, what was asked for and not used; called when all items are over."""
        namespace = self.inputs.given.namespace or ""
        if not namespace and self.reporting.cluster_facts is not None:
            namespace = self.namespace
        networks = unmeasured(self.unused, self.items.results(), self.reporting.plan, namespace=namespace)
        self.reporting.notes = (*networks, *self.unused.texts)
        for text in self.reporting.notes:
            # Where warnings are errors it stays a note: the run is as healthy as without.
            with suppress(pytest.PytestWarning):
                self.config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)

    def adopt_plan(
        self,
        checks: Sequence[tuple[str, Check | None]],
        share: Share | None,
        *,
        left_out: Mapping[str, Outcome],
        unused: Unused,
        collection_errors: int,
        said: Sequence[Failure],
    ) -> None:
        """Take the plan of those who collect in this process's stead."""
        self._share = share
        self.unused = unused
        self.collection_errors = collection_errors
        self._said += said
        self.reporting.failures += said
        if share is not None:
            self.reporting.plan = share.facts
            self.reporting.is_empty_shard = share.is_empty
        self.items.expect(dict(checks), left_out)

    def _shared_out(self, session: pytest.Session, items: list[pytest.Item]) -> list[pytest.Item]:
        """Leave this process its share of the kvlatency items, and enter that in the document."""
        self._share, left = sharding.take(session, items, self.inputs.given.shard)
        self.reporting.plan = self._share.facts
        self.reporting.is_empty_shard = self._share.is_empty
        return left

    def _time(self, checks: Sequence[Check]) -> None:
        """Set the deadline that these checks need. Raises ``SettingsError`` when they do not fit an explicit one."""
        if not checks:
            return
        from pytest_kvlatency.engine.consoles import most_open

        # No more pairs than consoles are measured at once, however many a round has.
        at_once = self.role.at_once(self.inputs.given.parallel) or most_open()
        rounds = len(plan.rounds(checks, parallel=at_once))
        check_timeout(self.inputs.given, checks, rounds=rounds)
        if not self.role.is_worker:
            ahead = [item for item in self._running if may_be_measured_ahead(item)]
            together = plan.rounds([item.stash[CHECK_KEY] for item in ahead], parallel=at_once)
            # The others are measured one by one.
            rounds = len(together) + len(self._running) - len(ahead)
        nanoseconds = timeout_for(self.inputs.given, checks, rounds=rounds)
        if self.inputs.given.timeout_ns is None:
            nanoseconds += self.role.allowance_ns(checks)
        self.deadline = Deadline(nanoseconds / 1e9, stop=self.stop, paused=True)

    def header(self) -> list[str]:
        """Each value that is not a default, and where it came from; empty without kvlatency items."""
        option = self.config.option
        is_quiet = option.collectonly and getattr(option, "verbose", 0) < 0
        if is_quiet or self._share is None or not (self.items.total or self._share.is_empty):
            # A quiet list of tests is for programs.
            hint = "" if is_quiet or self.collection_errors else self.collecting.idle_hint()
            return [hint] if hint else []
        changed = [
            f"kvlatency: {name} = {value} ({source})" for name, value, source in self.inputs.given.changed()
        ]
        left_out = [f"kvlatency: {text}" for text in self.reporting.left_out]
        return changed + left_out + self._share.header()

    # --- the cluster

    def client(self) -> KubeClient:
        """The cluster's client; starts the lab if one is asked for. Raises ``KvLatencyError``."""
        return self.access.client(self.role.connection(self.inputs.given))

    @property
    def namespace(self) -> str:
        """Where the VMIs are created."""
        return self.inputs.given.namespace or self.client().namespace

    @told()
    def cluster(self) -> Cluster:
        """What ``kv_cluster`` gives. Raises ``KvLatencyError``."""
        self.begin()
        facts = self.reporting.cluster_facts
        return Cluster(
            client=self.client(),
            namespace=self.namespace,
            server=self.client().server,
            kubernetes_version=None if facts is None else facts.kubernetes_version,
            kubevirt_version=None if facts is None else facts.kubevirt_version,
        )

    @told()
    def begin(self) -> Engine:
        """Open the cluster and the engine before the first kvlatency item; later calls return the engine.

        Raises the same ``KvLatencyError`` to every item when that is not possible.
        """
        if self._engine is not None:
            return self._engine
        if self._broken is not None:
            raise again(self._broken)
        self.signals.install()
        if self._opened is None or self._opened.done():
            self._opened = Threads(1, "kvlatency-begin").submit(self._open)
        try:
            return self.waiter.wait(
                self._opened,
                deadline=self.deadline,
                text=lambda: self.access.doing,
                what=lambda: self.access.awaited,
            )
        except CheckupTimeoutError as error:
            self._broken = again(error)
            raise

    def _open(self) -> Engine:
        """Open once, and keep the engine here: whoever waits for it may be gone when it comes."""
        with self._opening:
            if self._broken is not None:
                raise again(self._broken)
            if self._engine is None:
                try:
                    with told():
                        self._engine = self._make_engine()
                except InterruptedRunError:
                    raise
                except KvLatencyError as error:
                    self._broken = again(error)
                    raise
            return self._engine

    def settle_opening(self, seconds: float) -> None:
        """Wait at most so long until nothing is being opened; the stop is set, so nothing is begun any more."""
        if self._opening.acquire(timeout=seconds):
            self._opening.release()

    def _make_engine(self) -> Engine:
        from pytest_kvlatency.kube.reviews import needed

        rules = self.client().rules
        checks = [self.located(check) for check in self._plan]
        configmap = self.inputs.configmap
        rules.need(
            needed(
                self.namespace,
                [check.nad.namespace for check in checks],
                () if configmap is None else configmap.refs,
            )
        )
        self.role.open(self.deadline)
        engine = self._assemble(checks)
        if self.stop.is_set():
            raise InterruptedRunError(self.stop.reason)
        engine.begin()
        return engine

    def _at_work(self) -> Engine:
        """The engine, which measures ahead from the first time that an item asks it for something.

        What the set-up of an item prepares is there by then, its session's fixtures for one: those that depend on
        others are measured when their turn comes.
        """
        engine = self.begin()
        if self._measured_ahead is None:
            items = self.role.ahead([item for item in self._running if may_be_measured_ahead(item)])
            engine.start([self.located(item.stash[CHECK_KEY]) for item in items])
            self._measured_ahead = frozenset(item.nodeid for item in items)
        return engine

    def _assemble(self, checks: Sequence[Check]) -> Engine:
        """Put the engine of a plan together, which creates nothing yet. Raises ``KvLatencyError``."""
        from pytest_kvlatency.engine.assembly import assemble

        facts = self.reporting.cluster_facts
        return assemble(
            client=self.client(),
            namespace=self.namespace,
            settings=self.inputs.given,
            checks=checks,
            deadline=self.deadline,
            profiles=extending.guest_profiles(self.config),
            change_manifest=lambda manifest, check: extending.change_manifest(self.config, manifest, check),
            artifacts=self.artifacts,
            binding_plugins=None if facts is None else facts.binding_plugins,
            nodes=self.nodes,
            has_manifest_hooks=extending.has_manifest_hooks(self.config),
            addresses=self.role.addresses(
                plan.guest_count(checks), None if self._share is None else self._share.addresses
            ),
            journal=self.role.journal,
            occupy=self.role.occupy,
        )

    def open_cluster(self, checks: Iterable[Check], deadline: Deadline) -> None:
        """Ask the cluster what it and its nodes are, and write the start of the run to the ConfigMap.

        Raises ``KvLatencyError``.
        """
        nodes = Threads(1, "kvlatency-look").submit(self._look_at_nodes, list(checks), deadline)
        self.describe(deadline)
        self.nodes = result_of(nodes)
        self.write_start(deadline)
        if self._begins_sweep():
            # A ConfigMap of parameters that the workers of pytest-xdist had read: it is known only now.
            self._sweep(Deadline(SWEEP_SECONDS, stop=self.stop))

    def _look_at_nodes(self, checks: Sequence[Check], deadline: Deadline) -> SeenNodes:
        """Read the nodes that these checks name, where that is permitted. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.nodes import look_at

        return look_at(
            self.client(),
            [node for check in checks for node in check.pair.nodes],
            deadline,
            tolerations=_tolerations(self.inputs.given),
            before=self._listed,
            is_whole=self._has_listed_all,
        )

    def describe(self, deadline: Deadline) -> ClusterFacts:
        """Ask the cluster what it is. Raises ``KvLatencyError``."""
        from pytest_kvlatency.kube.facts import describe

        facts = self.reporting.cluster_facts = describe(self.client(), deadline)
        return facts

    def write_start(self, deadline: Deadline) -> None:
        """Write the start of the run to the ConfigMap, if there is one. Raises ``KvLatencyError``."""
        if self.inputs.configmap is not None:
            self.inputs.configmap.start(
                self.reporting.start_changes(self.inputs.configmap.existing_keys), deadline
            )

    # --- the preflight

    @property
    def is_preflight(self) -> bool:
        """Whether a checklist takes the place of all tests."""
        return self.inputs.given.preflight and self.may_contact

    def refuse_distribution(self) -> None:
        """Raise ``pytest.UsageError`` for a preflight that pytest-xdist is to distribute."""
        if self.inputs.given.preflight and self.role.is_distributed:
            raise pytest.UsageError(NO_DISTRIBUTION)

    def run_preflight(self, session: pytest.Session) -> bool:
        """Go through the checklist in the place of the tests, if that is asked for; return whether it was.

        Raises ``session.Interrupted`` on a signal.
        """
        if not self.is_preflight:
            return False
        if session.testsfailed and not self.config.option.continue_on_collection_errors:
            # pytest says so itself, and runs nothing.
            return False
        self.signals.install()
        self.items.drop()
        findings = self.reporting.preflight = []
        deadline = Deadline(PREFLIGHT_SECONDS, stop=self.stop, paused=True)
        try:
            self.waiter.wait(
                Threads(1, "kvlatency-preflight").submit(self._preflight, findings, deadline),
                deadline=deadline,
                text=lambda: "kvlatency: preflight",
                what=lambda: "the preflight",
            )
        except InterruptedRunError as error:
            raise session.Interrupted(error.reason) from None
        except KvLatencyError as error:
            self.reporting.add_failure(error)
        return True

    def _preflight(self, findings: list[Finding], deadline: Deadline) -> None:
        """Enter each line as soon as it is known. Raises ``ConfigMapTakenError``."""
        from pytest_kvlatency.kube.failures import ConfigMapTakenError
        from pytest_kvlatency.preflight import checklist
        from pytest_kvlatency.preflight.scope import Scope

        try:
            client = self.client()
            facts = self.describe(deadline)
        except InterruptedRunError:
            raise
        except KvLatencyError as error:
            findings.append(checklist.unreachable(error))
            return
        try:
            self.write_start(deadline)
        except (ConfigMapTakenError, InterruptedRunError):
            raise
        except KvLatencyError as error:
            # The checklist says what else is missing.
            self.reporting.add_failure(error)
        if not self._plan:
            findings.append(checklist.nothing_planned(is_of_others=self.reporting.is_empty_shard))
            return
        configmap = self.inputs.configmap
        checks = [self.located(check) for check in self._plan]
        self.nodes = self._look_at_nodes(checks, deadline)
        scope = Scope(
            client=client,
            facts=facts,
            namespace=self.namespace,
            checks=checks,
            provisioner=self._assemble(checks).provisioner,
            profiles=extending.guest_profiles(self.config),
            timeout_seconds=self.deadline.seconds,
            parallel=self.inputs.given.parallel,
            addresses=None if self._share is None else self._share.addresses,
            tolerations=_tolerations(self.inputs.given),
            configmaps=() if configmap is None else configmap.refs,
        )
        findings.extend(checklist.go_through(scope, deadline))

    # --- what killed runs left

    def sweep_first(self, session: pytest.Session) -> None:
        """Remove, before anything is measured, what killed runs left, where that is asked for.

        What goes wrong fails the run, and hinders nothing else. Raises ``session.Interrupted`` on a signal.
        """
        if session.testsfailed and not self.config.option.continue_on_collection_errors:
            return
        if not self._begins_sweep():
            return
        self.signals.install()
        deadline = Deadline(SWEEP_SECONDS, stop=self.stop)
        try:
            self.waiter.wait(
                Threads(1, "kvlatency-sweep").submit(self._sweep, deadline),
                deadline=deadline,
                text=lambda: "kvlatency: removing the VMIs of killed runs",
                what=lambda: "the removal of the VMIs of killed runs",
            )
        except InterruptedRunError:
            raise session.Interrupted(self.stop.reason) from None

    def _begins_sweep(self) -> bool:
        """Whether this process sweeps, and has not begun: of workers and shards only one does."""
        shard = self.inputs.given.shard
        is_one = not self.role.is_worker and (shard is None or shard.index == 0)
        if self.inputs.given.sweep and shard is not None and shard.index:
            self.swept_lines = ["--kv-sweep is left to shard 0"]
        begins = self.inputs.given.sweep and is_one and self.may_contact and self.reporting.swept is None
        if begins:
            self.reporting.swept = ()
            self.reporting.is_sweep_only = not self.inputs.given.nad and self.inputs.given.configmap is None
        return begins

    def _sweep(self, deadline: Deadline) -> None:
        """Sweep, and enter what came of it. Raises ``InterruptedRunError``."""
        from pytest_kvlatency.kube.sweep import sweep, words

        try:
            client = self.client()
            swept = sweep(client, self.namespace, deadline)
        except InterruptedRunError:
            raise
        except KvLatencyError as error:
            self._not_swept(error)
            return
        self.reporting.swept = tuple(map(str, swept.removed))
        self.swept_lines = words(swept, self.namespace)
        for problem in swept.problems:
            self._not_swept(problem)

    def _not_swept(self, error: KvLatencyError) -> None:
        failure = failure_of(error)
        self.reporting.failures.append(replace(failure, reason=f"--kv-sweep: {failure.reason}"))

    # --- measuring

    @told()
    def measure(self, item: pytest.Item, check: Check, *, holder: object, anew: bool) -> Attempt:
        """Measure an item's check and wait for it; ``anew`` takes nothing that was measured ahead.

        Raises ``KvLatencyError`` when the cluster cannot be opened, and on a stop.
        """
        engine = self._at_work()
        is_ahead = self._measured_ahead is not None and item.nodeid in self._measured_ahead
        if anew or not is_ahead:
            self._refresh(engine, check)
        return self._attempt(engine.measure(check, holder=holder, anew=anew or not is_ahead), check)

    @told()
    def measure_owned(self, check: Check, ping: PingParameters, *, holder: object, confirm: bool) -> Attempt:
        """Measure a pair that the holder owns; ``confirm`` has the target asked after a loss."""
        measured = self.begin().measure_owned(check, ping, holder=holder, confirm=confirm)
        return self._attempt(measured, check)

    @told()
    def own_pair(self, check: Check, *, holder: object) -> Pair:
        """Own both guests until ``engine.release(holder)``. Raises ``KvLatencyError``."""
        from pytest_kvlatency.checkup.pair import Pair, PairGuest

        engine = self._at_work()
        self._refresh(engine, check)
        try:
            source, target = self._wait(engine.own(check, holder=holder), check)
        except InterruptedRunError as error:
            raise (self._interrupted(engine, check).error or error) from None
        return Pair(nad=check.nad, source=PairGuest(source, self.stop), target=PairGuest(target, self.stop))

    def _attempt(self, future: Future[Attempt], check: Check) -> Attempt:
        """Wait for a measurement. A signal gives it the same words, whether this thread or its own sees it first."""
        engine = self.begin()
        try:
            attempt = self._wait(future, check)
        except InterruptedRunError:
            return self._interrupted(engine, check)
        return self._interrupted(engine, check) if isinstance(attempt.error, InterruptedRunError) else attempt

    def _interrupted(self, engine: Engine, check: Check) -> Attempt:
        return engine.interrupted(check, self.stop.reason or "the run was interrupted")

    def _refresh(self, engine: Engine, check: Check) -> None:
        """Look again at nodes where no VM could start: a fixture of the test's may have seen to it meanwhile."""
        if not engine.is_refused(check):
            return
        try:
            self._wait(Threads(1, "kvlatency-look").submit(engine.look_again, check), check)
        except InterruptedRunError as error:
            raise (self._interrupted(engine, check).error or error) from None

    def _wait(self, future: Future[T], check: Check) -> T:
        def what() -> str:
            return ("" if self._engine is None else self._engine.activity) or check.id

        def text() -> str:
            return terminal_report.progress_line(self.items.progress(what()))

        return self.waiter.wait(future, deadline=self.deadline, text=text, what=what)

    # --- the end

    @property
    def engine(self) -> Engine | None:
        """The engine, once it is there."""
        return self._engine

    def clean_up(self) -> None:
        """Delete every VMI that is not kept and wait until all are gone. Raises ``TeardownError``."""
        self.ending.clean_up()

    def finish(self, session: pytest.Session) -> None:
        """Remove what was created and write every report. Never raises: what goes wrong fails the run."""
        self.ending.finish(session)

    @property
    def is_reported_elsewhere(self) -> bool:
        """Whether somebody waits for a report even of a run without items."""
        if self.reporting.preflight is not None:
            return True
        return self.inputs.configmap is not None or self.inputs.given.json is not None

    def summarize(self, terminal: Screen) -> None:
        """Write the table, and what went wrong outside of items, at the end of the terminal's report."""
        document, redact = self.reporting.document, self.access.redactor()
        for line in self.swept_lines:
            terminal.write_line(f"kvlatency: {printable(redact(line))}")
        if document is not None and document["measurements"]:
            terminal_report.write_summary(terminal.writer, document)
            if self.access.lab_line:
                terminal.write_line(printable(self.access.lab_line))
        findings = None if document is None else document["preflight"]
        if findings is not None:
            checklist_report.write(terminal.writer, findings)
        # A checklist has said its own failures.
        of_the_run = self.reporting.of_the_run if findings is None else ()
        for failure in dict.fromkeys((*of_the_run, *self.reporting.failures)):
            if failure in self._said:
                continue
            terminal.write_line(f"kvlatency: {printable(redact(failure.failure_reason))}", red=True)
            for line in failure.hint.splitlines():
                terminal.write_line(f"  {printable(line)}")
        for reason in self.reporting.shortfalls:
            # Where no report but this one was asked for, the run does not fail for it.
            color = "red" if self.is_reported_elsewhere else "yellow"
            terminal.write_line(f"kvlatency: {printable(redact(reason))}", **{color: True})
        for note in self.reporting.notes:
            terminal.write_line(f"kvlatency: note: {printable(redact(note))}", yellow=True)
        if self.reporting.told:
            terminal.write_line(f"kvlatency: {self.reporting.told}")
        kept = self.role.kept_lines
        for line in kept:
            terminal.write_line(line)
        if kept and self.inputs.given.lab is not None:
            terminal.write_line(LAB_IS_OVER)

    def close(self) -> None:
        """Close what an unusual end has left open, and end what it has not ended."""
        self.ending.make_up()
        self.signals.restore()
        self.access.close()
        self.role.close()

    def _on_signal(self, name: str) -> None:
        if name == "SIGHUP" and self.ending.has_heard_a_signal:
            # A terminal that goes sends several, by the kernel and by its shell: they are one.
            return
        self.stop.set(f"interrupted by {name}")
        if self._session is not None:
            self._session.shouldstop = self.stop.reason
        self.ending.on_signal(name)
        if self.ending.is_going_on or self.waiter.is_waiting:
            return
        self.role.interrupt(name, self.stop.reason)


def _tolerations(settings: Settings) -> tuple[dict[str, str], ...]:
    """As Kubernetes spells them."""
    return tuple(one.to_dict() for one in settings.tolerations)


def attend(checkup: Checkup) -> None:
    """Let a run that was just made see what happens to pytest's session, however far that is."""
    config = checkup.config
    session: pytest.Session | None = config.pluginmanager.get_plugin("session")
    if session is not None:
        checkup.ending.session = session

    def add_own_check(session: pytest.Session, items: list[pytest.Item]) -> None:
        with checkup.role.refusing(), checkup.inputs.noting_refusals():
            checkup.collecting.add_own_check(session, items)

    config.pluginmanager.register(First(config, add_own_check), "kvlatency-first")
    config.pluginmanager.register(Outlets(config, checkup.access.redactor), "kvlatency-outlets")
