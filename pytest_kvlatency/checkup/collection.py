"""From markers, fixtures and options to test items: one per NAD and node pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.checkup.inputs import usage_lines
from pytest_kvlatency.checkup.own_check import PARAMETER, OwnCheck, OwnCheckItem, own_ids, select
from pytest_kvlatency.checkup.testitem import (
    CHECK_KEY,
    PROBLEM_KEY,
    SETTINGS_KEY,
    has_fixture,
    is_kv_item,
    is_test_case,
    marks_by_object,
    planned_check,
)
from pytest_kvlatency.config import marker
from pytest_kvlatency.config.options import CHECK_FIXTURES, MARKER, MARKER_OPTIONS
from pytest_kvlatency.config.problems import MarkerError, SettingsError
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.plan.checks import origin_of
from pytest_kvlatency.plan.placeholders import is_wanted, widen
from pytest_kvlatency.shortage import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.checkup.planning import Planning
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.config.settings import Settings

LIMITS = tuple(option.name for option in MARKER_OPTIONS if option.name.startswith("max_"))
#: Those that tell of the run, and of no check.
RUN_FIXTURES = frozenset({"kv_settings", "kv_cluster"})
NO_NAD = (
    "no network to check: give --kv-nad NAMESPACE/NAME "
    "(or kv_nad in the ini file, or nad= in the kvlatency marker)"
)


#: A child process would create VMIs that the run does not know of, and keep what it measured to itself.
NO_CHILDREN = (
    "kvlatency shares its VMs among the tests of one process: leave {} out, or distribute the tests with "
    "pytest-xdist (-n 2)"
)


@dataclass(frozen=True, kw_only=True)
class _CollectionProblem:
    nodeid: str
    message: str
    is_usage: bool


#: Of an item that runs all the same (in another worker, or with ``--continue-on-collection-errors``).
SAID_BEFORE = "its kvlatency marker is wrong: see the collection error"


class Collection:
    """One run's collection: parametrizes, adds the own check, and reports what is wrong, all at once."""

    def __init__(self, state: RunState, planning: Planning) -> None:
        config = self._config = state.config
        self._state = state
        self._planning = planning
        self._problems: list[_CollectionProblem] = []
        #: Whether any test, selected or not, uses the marker or the fixtures.
        self.is_wanted = False
        #: Whether there were kvlatency items before any was deselected.
        self.had_items = False
        #: Whether there was any test at all; None where nothing is collected here.
        self._had_tests: bool | None = None
        own, others = own_ids(config.args)
        self._own_ids = own
        self._own_only = only.is_active(config)
        if self._own_only and config.args_source is pytest.Config.ArgsSource.ARGS and others:
            raise pytest.UsageError(
                f"{others[0]}: python -m pytest_kvlatency runs only its own check. "
                f"To run your own tests: pytest {' '.join(others)}"
            )
        if own or self._own_only:
            config.args = others if own and not self._own_only else []
        config.args, self._wanted = widen(config.args, config.invocation_params.dir)
        self._path_given = config.args_source is pytest.Config.ArgsSource.ARGS

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Give a marked test, or one with the fixtures, a parameter per check."""
        node = metafunc.definition
        marked = any(True for _ in node.iter_markers(MARKER))
        if not marked and not CHECK_FIXTURES.intersection(metafunc.fixturenames):
            return
        self.is_wanted = True
        try:
            with told():
                planned = self._planning.plan_for(self.settings_of(node))
        except KvLatencyError as error:
            self._refuse(node.nodeid, error)
            return
        if not planned:
            return
        if PARAMETER not in metafunc.fixturenames:
            # pytest accepts parameters of fixtures in use only; the item reads this one from its call spec.
            metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, planned, ids=[one.id for one in planned], indirect=True)

    def add_own_check(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Append the own check, where the design says so; called before anything is deselected."""
        self._had_tests = bool(items)
        if self._wanted:
            items[:] = [item for item in items if is_wanted(item, planned_check(item), self._wanted)]
        self.had_items = any(map(is_kv_item, items))
        if not self._wants_own_check(session, items):
            return
        try:
            settings = self._planning.settings()
            planned = self._planning.plan_for(settings)
        except KvLatencyError as error:
            raise pytest.UsageError(usage_lines(error)) from None
        if not settings.nad and not self._state.inputs.is_unread:
            if self._own_ids or (self._own_only and not settings.sweep):
                raise pytest.UsageError(NO_NAD)
            return
        if self._own_ids:
            planned = select(planned, self._own_ids)
        items.extend(session.genitems(OwnCheck.from_parent(session, name="kvlatency", planned=planned)))
        self.had_items = True

    def idle_hint(self) -> str:
        """How to start the check, where an ini file names what to check and no test uses it; empty otherwise.

        Not where a path was given, nor (without ``-v``) beside tests of other kinds: such runs have their own purpose.
        """
        verbosity = self._config.get_verbosity()
        if self._had_tests is None or self.had_items or self.is_wanted or self._problems or self._path_given:
            return ""
        if verbosity < 0 or (self._had_tests and verbosity < 1):
            return ""
        for name in ("nad", "configmap"):
            source = self._state.inputs.given.sources[name]
            if source.kind == "ini":
                return (
                    f"kvlatency: {source.name} is set in {source.place}, but no test uses it: "
                    f"run python -m pytest_kvlatency, or use {source.label}"
                )
        return ""

    def report_problems(self, session: pytest.Session) -> list[str]:
        """Say all that is wrong, each as a collection error of its own; wrong options are a usage error.

        Return what was said. Raises ``pytest.UsageError``.
        """
        usage = list(dict.fromkeys(one.message for one in self._problems if one.is_usage))
        if usage:
            raise pytest.UsageError("\n".join(usage))
        for one in self._problems:
            report = pytest.CollectReport(
                nodeid=one.nodeid, outcome="failed", longrepr=one.message, result=[]
            )
            session.config.hook.pytest_collectreport(report=report)
        return [f"{one.nodeid}: {one.message}" for one in self._problems]

    def settle(self, session: pytest.Session) -> list[pytest.Item]:
        """Fix the check of each item that survived selection, and return the kvlatency items."""
        kv_items = []
        wrong = {problem.nodeid for problem in self._problems}
        for item in session.items:
            if not is_kv_item(item):
                continue
            kv_items.append(item)
            if item.nodeid in wrong:
                item.stash[PROBLEM_KEY] = SAID_BEFORE
                continue
            try:
                self._settle(item)
            except SettingsError as error:
                self._refuse(item.nodeid, error)
                wrong.add(item.nodeid)
                item.stash[PROBLEM_KEY] = SAID_BEFORE
        return kv_items

    def refuse_children(self, items: Sequence[pytest.Item]) -> None:
        """Refuse pytest-forked, which runs each test in a child process. Raises ``pytest.UsageError``.

        ``items`` are the kvlatency items of the run. Of tests that have nothing to do with kvlatency it is no business.
        """
        config = self._config
        if not config.pluginmanager.has_plugin("pytest_forked") or not self._state.may_contact:
            return
        if config.getoption("forked", default=False):
            if items or self._state.inputs.asked_on_the_command_line:
                what = "--forked cannot be combined with kvlatency checks: it runs each test in its own process, and "
                raise pytest.UsageError(what + NO_CHILDREN.format("--forked"))
            return
        marked = next((item for item in items if item.get_closest_marker("forked") is not None), None)
        if marked is not None:
            what = f"{marked.nodeid}: a kvlatency test cannot be marked forked, which runs it in a process of its own: "
            raise pytest.UsageError(what + NO_CHILDREN.format("the marker"))

    def _settle(self, item: pytest.Item) -> None:
        planned = planned_check(item)
        if isinstance(item, OwnCheckItem):
            if planned is not None and planned.check is not None:
                item.stash[CHECK_KEY] = planned.check
                item.stash[SETTINGS_KEY] = self._state.inputs.given
            return
        settings = self.settings_of(item)
        if planned is None:
            self._refuse_unparametrized(item, settings)
            return
        generated = planned.check
        if generated is None:
            return
        if origin_of(settings) != planned.origin:
            raise MarkerError(
                "nad, nodes and node_set of the kvlatency marker cannot be changed once the test has been "
                "collected. Set them with a decorator, or with a class or module marker"
            )
        item.stash[SETTINGS_KEY] = settings
        item.stash[CHECK_KEY] = replace(
            generated, limits=settings.limits, ping=settings.ping, guest=settings.guest_spec
        )

    @staticmethod
    def _refuse_unparametrized(item: pytest.Item, settings: Settings) -> None:
        if not isinstance(item, pytest.Function) or hasattr(item, "_testcase") or is_test_case(item):
            raise MarkerError(
                "the kvlatency marker cannot parametrize a unittest.TestCase method. Use a plain test function, "
                "or a method of a plain class"
            )
        if settings.nad:
            raise MarkerError(
                "nad and nodes of the kvlatency marker cannot be added once the test has been collected. "
                "Set them with a decorator, or with a class or module marker"
            )

    def settings_of(
        self, node: pytest.Item, *, call: str = "", arguments: Mapping[str, object] | None = None
    ) -> Settings:
        """The settings of one test: its markers over the options; over both the ``arguments`` of a ``call``.

        Raises ``SettingsError``.
        """
        merged = marker.merge(marks for _, marks in marks_by_object(node))
        layers = [marker.marker_layer(merged, f"kvlatency marker of {node.nodeid}")] if merged else []
        if call:
            # Limits do not apply, so what they ask of a sample does not either.
            values = {**dict.fromkeys(LIMITS, "none"), **(arguments or {})}
            layers.insert(0, marker.marker_layer(values, f"call of {call}"))
        return self._planning.settings(*layers)

    def _refuse(self, nodeid: str, error: KvLatencyError) -> None:
        is_usage = not (isinstance(error, SettingsError) and error.involves_marker)
        self._problems.append(
            _CollectionProblem(nodeid=nodeid, message=usage_lines(error), is_usage=is_usage)
        )

    def _wants_own_check(self, session: pytest.Session, items: Sequence[pytest.Item]) -> bool:
        if self._own_only or self._own_ids:
            return True
        if self._path_given or session.testsfailed or self._problems:
            return False
        if not self._state.inputs.asked_on_the_command_line:
            return False
        return not any(
            is_kv_item(item) or has_fixture(item, RUN_FIXTURES) for item in items
        ) and _may_judge_files(self._config)


def _may_judge_files(config: pytest.Config) -> bool:
    """Whether the files that were collected tell if the own check belongs to the run.

    ``--lf`` leaves out whole files, which might hold kvlatency items; but if the own check failed in the run before,
    there were none.
    """
    plugin = config.pluginmanager.get_plugin("lfplugin")
    failed_before = getattr(plugin, "lastfailed", None) or {}
    return not getattr(plugin, "_skipped_files", 0) or bool(own_ids([str(one) for one in failed_before])[0])
