"""The run's settings: every option's value, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config.options import BY_NAME, OPTIONS
from pytest_kvlatency.config.values import show
from pytest_kvlatency.model import GuestSpec, Limits, PingParameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_kvlatency.config.nodespecs import NodesSpec
    from pytest_kvlatency.config.parsers import Keep, Network, NodeSet, Shard, Toleration
    from pytest_kvlatency.config.sources import Source
    from pytest_kvlatency.model import NadRef


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every option's value, and in ``sources`` where it came from (both by the option's name, ``max_latency``)."""

    nad: tuple[NadRef, ...]
    nodes: tuple[NodesSpec, ...]
    node_set: NodeSet | None
    max_latency_ns: int | None
    max_avg_ns: int | None
    max_p99_ns: int | None
    max_loss_percent: float | None
    max_gap_ns: int | None
    sample_duration_ns: int
    interval_ns: int
    packet_size: int
    dont_fragment: bool
    warmup: int
    timeout_ns: int | None
    parallel: int | None
    namespace: str | None
    configmap: str | None
    kubeconfig: Path | None
    context: str | None
    subnet: Network | None
    binding: str
    guest: str
    image: str | None
    image_pull_secret: str | None
    tolerations: tuple[Toleration, ...]
    keep: Keep
    artifacts: Path | None
    json: Path | None
    html: Path | None
    prometheus: Path | None
    shard: Shard | None
    baseline: Path | None
    max_regression_percent: float | None
    sweep: bool
    preflight: bool
    lab: str | None
    sources: Mapping[str, Source]

    @property
    def limits(self) -> Limits:
        """What is accepted."""
        return Limits(**self._part(Limits))

    @property
    def ping(self) -> PingParameters:
        """How to ping."""
        return PingParameters(**self._part(PingParameters))

    def _part(self, kind: type[Limits | PingParameters]) -> dict[str, Any]:
        """The values of the fields of ``kind``, which have the same names here."""
        return {one.name: getattr(self, one.name) for one in fields(kind)}

    @property
    def guest_spec(self) -> GuestSpec:
        """What the VMIs are made of."""
        return GuestSpec(
            profile=self.guest,
            image=self.image,
            binding=self.binding,
            subnet=None if self.subnet is None else str(self.subnet),
        )

    def describe(self, name: str) -> str:
        """Say where an option's value came from: ``--kv-max-latency (command line)``."""
        return str(self.sources[name])

    def named(self, name: str) -> str:
        """Name an option as its user knows it: by its key where a ConfigMap gave it, else by its flag."""
        source = self.sources[name]
        return source.name if source.kind == "ConfigMap" else BY_NAME[name].flag

    def text(self, name: str) -> str:
        """Give an option's value as one would write it; ``none`` where there is none."""
        option = BY_NAME[name]
        value = getattr(self, option.attribute)
        if option.repeatable:
            return ", ".join(show(option, one) for one in value) or "none"
        return show(option, value)

    def changed(self) -> list[tuple[str, str, str]]:
        """List what no default decided: the option as its source spells it, the value as text, the place."""
        return [
            (source.name, self.text(option.name), source.place)
            for option in OPTIONS
            if (source := self.sources[option.name]).kind != "default"
        ]
