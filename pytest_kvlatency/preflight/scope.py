"""What a preflight is about: a plan, and the cluster that it is meant for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_kvlatency.plan import vmi_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.cluster import ClusterFacts
    from pytest_kvlatency.kube.configmap import ConfigMapRef
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan import VmiKey


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The checks of a run, each with its NAD's namespace, and where its VMIs would be created.

    ``configmaps`` are those that it reads or reports to.
    """

    client: KubeClient
    facts: ClusterFacts
    namespace: str
    checks: Sequence[Check]
    configmaps: Sequence[ConfigMapRef] = ()

    @cached_property
    def vmis(self) -> dict[VmiKey, Check]:
        """Each VMI of the plan once, with a check that needs it."""
        return {key: check for check in self.checks for key in vmi_keys(check)}
