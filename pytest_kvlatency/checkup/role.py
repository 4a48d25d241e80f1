"""What one process does of a run. Without pytest-xdist it does everything: that is ``Role`` itself."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_kvlatency.report.notes import Unused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pytest_kvlatency.checkup.sharding import Share
    from pytest_kvlatency.checkup.tally import Tally
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.config.sources import Layer
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.occupancy import Occupy
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.ledger import Journal
    from pytest_kvlatency.model import Check, Failure, NodeChoice, Outcome
    from pytest_kvlatency.plan.addresses import AddressShare
    from pytest_kvlatency.report.run import ItemResult


class Removable(Protocol):
    """VMIs that are to be removed at the end of the run."""

    @property
    def leftovers(self) -> Leftovers:
        """Those that are not known to be gone."""

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once."""

    def shut_down(self, hurries: Callable[[], bool]) -> None:
        """Close what is open; ``hurries`` says whether the run was stopped."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a process has selected to run.

    ``checks`` are those of the kvlatency items, by node id; ``left_out`` says how those items end that their marks
    leave out. ``said`` is what collection found wrong.
    """

    checks: Mapping[str, Check | None] = field(default_factory=dict)
    left_out: Mapping[str, Outcome] = field(default_factory=dict)
    share: Share | None = None
    unused: Unused = field(default_factory=Unused)
    collection_errors: int = 0
    said: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Local:
    """What a process can do itself for others of its run. Each of these raises ``KvLatencyError``."""

    client: Callable[[], KubeClient]
    #: What the ConfigMap says, which is read at the first call. Raises ``pytest.UsageError``.
    parameters: Callable[[], list[Layer]]
    discover: Callable[[Settings], NodeChoice]
    open: Callable[[Iterable[Check], Deadline], None]
    adopt: Callable[[RunPlan], None]
    header: Callable[[], list[str]]
    #: How far the run's items are.
    tally: Tally


class Role:
    """A process that runs all by itself.

    What a process does by itself comes as an argument (``locally``, or its own value): a role does it, or has it from
    another process.
    """

    #: Whether another process writes the reports and owns the cluster's side of the run.
    is_worker = False
    #: Whether pytest-xdist distributes the items among several processes.
    is_distributed = False
    journal: Journal | None = None
    occupy: Occupy | None = None

    def serve(self, local: Local) -> None:
        """Do for other processes of the run what they ask for; called once this one can."""

    # --- before and while items are collected

    def read_parameters(self, locally: Callable[[], object]) -> None:
        """Have the ConfigMap's parameters among the settings. Raises ``pytest.UsageError``."""
        locally()

    def discover(self, settings: Settings, locally: Callable[[Settings], NodeChoice]) -> NodeChoice:
        """The nodes of a node set that the cluster must be asked for. Raises ``KvLatencyError``."""
        return locally(settings)

    def refusing(self) -> AbstractContextManager[None]:
        """Where ``pytest.UsageError`` is raised inside, see to it that the run ends with it."""
        return nullcontext()

    def planned(self, items: Sequence[pytest.Item], plan: RunPlan) -> None:
        """Know which kvlatency items are going to run."""

    # --- while items run

    def connection(self, settings: Settings) -> Settings:
        """The settings by which this process reaches the cluster. Raises ``KvLatencyError``."""
        return settings

    def open(self, locally: Callable[[], None]) -> None:
        """Learn what the cluster is, and say in the ConfigMap that the run has begun. Raises ``KvLatencyError``."""
        locally()

    def addresses(self, _guests: int, share: AddressShare | None) -> AddressShare | None:
        """This process's part of the addresses; ``share`` is the whole run's."""
        return share

    def at_once(self, parallel: int | None) -> int | None:
        """How many pairs can be measured at the same time, of ``parallel`` that may; None is no bound."""
        return parallel

    def allowance_ns(self, _checks: Sequence[Check]) -> int:
        """What the checkup may take longer, by default, than one process that measures ahead."""
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

    def attempted(self, result: ItemResult, *, is_over: bool) -> None:
        """Know how far an attempt at an item is."""

    def waits(self, waiting: Sequence[Wait]) -> None:
        """Know what is being waited for; called again and again while the main thread waits."""

    def interrupt(self, name: str, reason: str, *, is_collecting: bool) -> None:
        """End, in pytest's own way, what the main thread does when a signal strikes outside of the plugin's waits."""
        if name == "SIGINT" or is_collecting:
            # pytest takes nothing else for a stop while it collects.
            raise KeyboardInterrupt(reason)
        pytest.exit(reason, returncode=pytest.ExitCode.INTERRUPTED)

    # --- the end

    def gather(self) -> Sequence[ItemResult]:
        """What other processes have run, complete; called first."""
        return ()

    @property
    def stop_reason(self) -> str:
        """Why pytest-xdist stopped before all items had run; empty when it did not."""
        return ""

    def removable(self, own: Removable | None) -> Removable | None:
        """What this process is to remove, given what it has created itself; None when there is nothing."""
        return own

    def kept_lines(self, own: Sequence[str]) -> Sequence[str]:
        """How to reach the VMIs that are left on purpose, a line each, given this process's own."""
        return own

    def hand_over(
        self, results: Sequence[ItemResult], failures: Sequence[Failure], kept: Sequence[str]
    ) -> None:
        """Give away all results where another process writes the reports; called last."""

    def close(self) -> None:
        """Close what is open to other processes."""
