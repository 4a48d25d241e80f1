"""What the cluster is: server, versions, and whether it is a lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.patience import FIRST_ANSWER
from pytest_kvlatency.plan.moves import MOST_AT_ONCE
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient

# The lab describes itself here, on its KubeVirt object, e.g. "sim" or "qemu (TCG)".
LAB_ANNOTATION: Final = "kvlatency.lab/guests"
# How many times faster than the clock its guests' time runs, where it does.
LAB_SCALE_ANNOTATION: Final = "kvlatency.lab/time-scale"


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """The facts of the reports; None is unknown.

    ``lab`` is there when the cluster is a lab, and holds ``guests`` and ``timeScale`` (None: time is not compressed).
    ``configuration`` is the ``spec.configuration`` of the KubeVirt object.
    """

    server: str
    kubernetes_version: str | None = None
    kubevirt_version: str | None = None
    lab: dict[str, Any] | None = None
    configuration: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def clock_refusal(self) -> ConfigError | None:
        """Why the replies of a ping cannot be stamped here: a lab's guests ping faster than their clock runs."""
        scale = (self.lab or {}).get("timeScale")
        if scale is None:
            return None
        return ConfigError(
            "cannot measure a migration or a stream in this lab: time_scale makes its guests ping "
            f"{scale:g} times faster than the clock that stamps the replies",
            hint="use a lab file without time_scale",
            stage="setup",
        )

    @property
    def binding_plugins(self) -> frozenset[str] | None:
        """The binding plugins that are registered; None where that is unknown."""
        if self.configuration is None:
            return None
        return frozenset((self.configuration.get("network") or {}).get("binding") or {})

    @property
    def parallel_migrations(self) -> int:
        """How many live migrations KubeVirt has under way at once; its default where that is unknown."""
        migrations = (self.configuration or {}).get("migrations") or {}
        return max(1, int(migrations.get("parallelMigrationsPerCluster") or MOST_AT_ONCE))


def describe(client: KubeClient, deadline: Deadline) -> ClusterFacts:
    """Ask for the versions, which any authenticated user may; what cannot be had is None.

    Raises ``ConfigError`` when the server cannot be reached, ``PermissionDeniedError`` when it refuses the
    credentials.
    """
    threads = Threads(1, "kvlatency-describe")
    # Most often the first contact, and it tells a lab from a cluster: as patient as the request beside it.
    path = f"{paths.KUBEVIRT}/kubevirts"
    asked = threads.submit(lambda: client.optional(path, deadline=deadline, patience=FIRST_ANSWER))
    version = client.request("GET", "/version", deadline=deadline)
    listed = asked.result() or {}
    objects: list[dict[str, Any]] = listed.get("items") or []
    kubevirt, lab, configuration = None, None, None
    if objects:
        kubevirt = (objects[0].get("status") or {}).get("observedKubeVirtVersion")
        configuration = (objects[0].get("spec") or {}).get("configuration") or {}
        lab = _lab(objects[0].get("metadata", {}).get("annotations") or {})
    if kubevirt is None:
        answer = client.optional(f"{paths.SUBRESOURCES}/version", deadline=deadline) or {}
        kubevirt = answer.get("gitVersion")
    return ClusterFacts(
        server=client.server,
        kubernetes_version=version.get("gitVersion"),
        kubevirt_version=kubevirt,
        lab=lab,
        configuration=configuration,
    )


def _lab(annotations: Mapping[str, Any]) -> dict[str, Any] | None:
    guests, scale = annotations.get(LAB_ANNOTATION), annotations.get(LAB_SCALE_ANNOTATION)
    return None if guests is None else {"timeScale": scale and float(scale), "guests": str(guests)}
