"""What all parts of one run share. Data: each part does its own with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pytest_kvlatency.checkup.access import ClusterAccess
from pytest_kvlatency.checkup.hooks import guest_images
from pytest_kvlatency.checkup.inputs import Inputs
from pytest_kvlatency.checkup.progress import ProgressLine
from pytest_kvlatency.checkup.results import FILE_REPORTS, Results
from pytest_kvlatency.checkup.signals import SignalGuard
from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine.artifacts import Artifacts

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pytest

    from pytest_kvlatency.checkup.sharding import Share
    from pytest_kvlatency.kube.nodes import SeenNodes
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.report.comparison.comparator import Comparator

T = TypeVar("T")
#: So long may the first contact with the cluster take.
CONTACT_SECONDS: Final = 60.0


class RunState:
    """The options and results of one run, and how it waits and stops. Raises ``SettingsError`` for wrong options."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.stop = Stop()
        self.progress = ProgressLine(config)
        self.waiter = Waiter(stop=self.stop, progress=self.progress)
        self.signals = SignalGuard()
        #: The budget of the whole checkup, once the plan is known; until then that of the first contact.
        self.deadline = Deadline(CONTACT_SECONDS, stop=self.stop, paused=True)
        self.access = ClusterAccess(stop=self.stop)
        self.results = Results(self.access.redactor, lambda: guest_images(config))
        self.inputs = Inputs(config, results=self.results, stop=self.stop)
        self.results.comparator = _comparator(self.inputs)
        self.artifacts = Artifacts(self.inputs.given.artifacts, self.access.redactor)
        #: The session, once all its items are collected.
        self.session: pytest.Session | None = None
        #: What of the plan is this run's, once it is known.
        self.share: Share | None = None
        #: The items that will need their guests, as far as their marks tell, and the checks of these.
        self.planned_items: tuple[pytest.Item, ...] = ()
        self.planned_checks: tuple[Check, ...] = ()
        #: What is known of the nodes that the plan names.
        self.nodes: SeenNodes | None = None
        #: From now on a signal only sets a flag: the run is on its way to the end.
        self.is_ending = False

    def wait_for_cluster(self, future: Future[T]) -> T:
        """Wait in the main thread, with progress, for what needs the way to the cluster. Raises ``KvLatencyError``."""
        access = self.access
        return self.waiter.wait(
            future, deadline=self.deadline, text=lambda: access.doing, what=lambda: access.awaited
        )

    @property
    def may_contact(self) -> bool:
        """Whether this pytest run may talk to a cluster at all: not to list tests or fixtures, or to plan a set-up."""
        listing = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan")
        return not any(getattr(self.config.option, name, False) for name in listing)

    @property
    def is_preflight(self) -> bool:
        """Whether a checklist takes the place of all tests."""
        return self.inputs.given.preflight and self.may_contact

    @property
    def is_reported_elsewhere(self) -> bool:
        """Whether somebody waits for a report even of a run without items."""
        if self.results.preflight is not None:
            return True
        given = self.inputs.given
        return self.inputs.configmap is not None or any(
            getattr(given, name) is not None for name in FILE_REPORTS
        )


def _comparator(inputs: Inputs) -> Comparator | None:
    if inputs.baseline is None:
        return None
    from pytest_kvlatency.report.comparison.comparator import Comparator

    limit = inputs.given.max_regression_percent
    return Comparator(baseline=inputs.baseline, max_regression_percent=limit)
