"""What a worker asks the controller, and tells it: each message knows what answers it, and the type of the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.checkup.role import RunPlan
    from pytest_kvlatency.checkup.xdist.services import Services
    from pytest_kvlatency.config.parsers import NodeSet, Toleration
    from pytest_kvlatency.config.sources import Layer
    from pytest_kvlatency.engine.steps import Wait
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.kube.nodes import SeenNodes
    from pytest_kvlatency.kube.state import VmiHandle
    from pytest_kvlatency.model import Failure, NodeChoice
    from pytest_kvlatency.report.run import ItemResult

T = TypeVar("T")


class Message(ABC, Generic[T]):
    """A message of a worker; ``T`` is its answer, which goes back as it is: both are pickled."""

    @abstractmethod
    def answer(self, services: Services, worker: str, /) -> T:
        """Do what is asked for, in the controller. What it raises is raised in the worker."""


@dataclass(frozen=True, kw_only=True)
class Hello(Message[None]):
    """Tells first which process the worker is."""

    pid: int

    def answer(self, services: Services, worker: str, /) -> None:
        """Know it."""
        services.workers.has_connected(worker, self.pid)


# --- while items are collected


@dataclass(frozen=True, kw_only=True)
class Refusal(Message[None]):
    """Tells a usage error. A worker that ended by itself would only be replaced by another."""

    text: str

    def answer(self, services: Services, _: str, /) -> None:
        """End the run with it."""
        services.refuse(self.text)


@dataclass(frozen=True, kw_only=True)
class ReadParameters(Message["Sequence[Layer]"]):
    """Asks what the ConfigMap says."""

    def answer(self, services: Services, _: str, /) -> Sequence[Layer]:
        """Read it once. Raises ``pytest.UsageError``, which the ConfigMap has been told by then."""
        return services.parameters()


@dataclass(frozen=True, kw_only=True)
class DiscoverNodes(Message["NodeChoice"]):
    """Asks which nodes a node set has."""

    node_set: NodeSet | None
    tolerations: tuple[Toleration, ...]

    def answer(self, services: Services, _: str, /) -> NodeChoice:
        """Ask the cluster once. Raises ``KvLatencyError``."""
        return services.nodes(self.node_set, self.tolerations)


@dataclass(frozen=True, kw_only=True)
class PlanMade(Message[None]):
    """Tells what the worker has selected."""

    plan: RunPlan

    def answer(self, services: Services, _: str, /) -> None:
        """Take that of the first worker."""
        services.take_plan(self.plan)


# --- while items run


@dataclass(frozen=True, kw_only=True)
class ReachLab(Message[str]):
    """Asks for the kubeconfig of the lab."""

    def answer(self, services: Services, _: str, /) -> str:
        """Start the lab once. Raises ``KvLatencyError``."""
        return services.lab_kubeconfig()


@dataclass(frozen=True, kw_only=True)
class OpenCluster(Message["tuple[ClusterFacts | None, SeenNodes | None]"]):
    """Asks what the cluster and its nodes are."""

    def answer(self, services: Services, _: str, /) -> tuple[ClusterFacts | None, SeenNodes | None]:
        """Ask the cluster once. Raises ``KvLatencyError``."""
        return services.facts()


@dataclass(frozen=True, kw_only=True)
class VmiMade(Message[None]):
    """Tells of a VMI that is about to be created; and again, with its uid, once it is."""

    handle: VmiHandle

    def answer(self, services: Services, worker: str, /) -> None:
        """Know it by name, so that it can be removed when the worker dies."""
        services.workers.has_made(worker, self.handle)


@dataclass(frozen=True, kw_only=True)
class VmiGone(Message[None]):
    """Tells that a VMI needs no more care."""

    handle: VmiHandle

    def answer(self, services: Services, worker: str, /) -> None:
        """Forget it."""
        services.workers.needs_no_more(worker, self.handle)


@dataclass(frozen=True, kw_only=True)
class Attempted(Message[None]):
    """Tells how far an attempt at an item is."""

    result: ItemResult
    is_over: bool

    def answer(self, services: Services, worker: str, /) -> None:
        """Keep it."""
        services.take_attempt(worker, self.result, is_over=self.is_over)


@dataclass(frozen=True, kw_only=True)
class Waiting(Message[None]):
    """Tells what the worker is waiting for, for the progress line."""

    waits: Sequence[Wait]

    def answer(self, services: Services, worker: str, /) -> None:
        """Keep it until the worker tells something else."""
        services.workers.waits_for(worker, self.waits)


@dataclass(frozen=True, kw_only=True)
class LastWords(Message[None]):
    """Tells what went wrong outside of items, and how to reach what stays on purpose."""

    failures: Sequence[Failure]
    kept: Sequence[str]

    def answer(self, services: Services, _: str, /) -> None:
        """Have it among the controller's own."""
        services.take_last_words(self.failures, self.kept)
