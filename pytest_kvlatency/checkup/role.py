"""What one process does of a run. Without pytest-xdist it does everything: that is ``Role`` itself."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.items import Attempted
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.ledger import Journal
    from pytest_kvlatency.model import Check, Failure, NodeChoice
    from pytest_kvlatency.plan.addresses import AddressShare

    Occupy = Callable[[Collection[str], Deadline], AbstractContextManager[None]]


class Removable(Protocol):
    """VMIs that are to be removed at the end of the run."""

    @property
    def is_clean(self) -> bool:
        """Whether no VMI is in the cluster, or about to be, that is to go."""

    @property
    def left_over(self) -> str:
        """The VMIs that are not known to be gone, in words."""

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once."""

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all is gone. Raises ``TeardownError``."""

    def shut_down(self) -> None:
        """Close what is open."""


class Role:
    """A process that runs all by itself."""

    #: Whether another process writes the reports and owns the cluster's side of the run.
    is_worker = False
    #: Whether pytest-xdist distributes the items among several processes.
    is_distributed = False
    journal: Journal | None = None
    occupy: Occupy | None = None

    def __init__(self, checkup: Checkup) -> None:
        self.checkup = checkup

    # --- before and while items are collected

    def read_parameters(self) -> None:
        """Have the ConfigMap's parameters among the settings. Raises ``pytest.UsageError``."""
        self.checkup.inputs.read_configmap(self.checkup.client)

    def discover(self, settings: Settings) -> NodeChoice:
        """The nodes of a node set that the cluster must be asked for. Raises ``KvLatencyError``."""
        return self.checkup.discover(settings)

    def refusing(self) -> AbstractContextManager[None]:
        """Where ``pytest.UsageError`` is raised inside, see to it that the run ends with it."""
        return nullcontext()

    def planned(self, items: Sequence[pytest.Item], said: Sequence[Failure]) -> None:
        """Know which items are going to run, and what collection said was wrong."""

    # --- while items run

    def connection(self, settings: Settings) -> Settings:
        """The settings by which this process reaches the cluster. Raises ``KvLatencyError``."""
        return settings

    def open(self, deadline: Deadline) -> None:
        """Learn what the cluster is, and say in the ConfigMap that the run has begun. Raises ``KvLatencyError``."""
        self.checkup.open_cluster(self.checkup.planned, deadline)

    def addresses(self, guests: int, share: AddressShare | None) -> AddressShare | None:
        """This process's part of the addresses; ``share`` is the whole run's."""
        del guests
        return share

    def at_once(self, parallel: int | None) -> int | None:
        """How many pairs can be measured at the same time, of ``parallel`` that may; None is no bound."""
        return parallel

    def allowance_ns(self, checks: Sequence[Check]) -> int:
        """What the checkup may take longer, by default, than one process that measures ahead."""
        del checks
        return 0

    def ahead(self, items: Sequence[pytest.Item]) -> Sequence[pytest.Item]:
        """Those of the items that are measured before they ask for it."""
        return items

    def phase(self) -> AbstractContextManager[None]:
        """Run a phase of a test inside."""
        return nullcontext()

    def selectable(self, item: pytest.Item) -> str:
        """The node id that selects an item on a command line."""
        return item.nodeid

    def attempted(self, attempt: Attempted, *, is_over: bool) -> None:
        """Know how far an item is."""

    def interrupt(self, name: str, reason: str) -> None:
        """End, in pytest's own way, what the main thread does when a signal strikes outside of the plugin's waits."""
        if name == "SIGINT" or self.checkup.session is None:
            # pytest takes nothing else for a stop while it collects.
            raise KeyboardInterrupt(reason)
        pytest.exit(reason, returncode=pytest.ExitCode.INTERRUPTED)

    # --- the end

    def gather(self) -> None:
        """Have all that others found out; called first."""

    @property
    def stop_reason(self) -> str:
        """Why whoever distributes the items stopped before all had run; empty when it did not."""
        return ""

    @property
    def removable(self) -> Removable | None:
        """What is to be removed; None when nothing was ever created."""
        return self.checkup.engine

    def hand_over(self) -> None:
        """Give away all results where another process writes the reports; called last."""

    @property
    def kept_lines(self) -> list[str]:
        """How to reach the VMIs that are left on purpose, a line each."""
        engine = self.checkup.engine
        return [] if engine is None else engine.kept_lines()

    def close(self) -> None:
        """Close what is open to other processes."""
