"""What ``kv_cluster`` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kvlatency.kube.client import KubeClient


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The run's cluster. ``client`` sends requests as the run does; versions are None where they are unknown."""

    client: KubeClient
    namespace: str
    server: str
    kubernetes_version: str | None
    kubevirt_version: str | None

    @property
    def versions(self) -> dict[str, str | None]:
        """Both versions by name: ``kubernetes``, ``kubevirt``."""
        return {"kubernetes": self.kubernetes_version, "kubevirt": self.kubevirt_version}
