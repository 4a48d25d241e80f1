"""What a preflight is about: a plan, and the cluster that it is meant for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.guest.profiles import profile_named
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.plan.checks import vmi_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.provision import Provisioner
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.model import Check, ConfigMapRef
    from pytest_kvlatency.plan.addresses import AddressShare
    from pytest_kvlatency.plan.checks import VmiKey


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The checks of a run, each with its NAD's namespace, and where its VMIs would be created.

    ``configmaps`` are those that it reads or reports to; ``provisioner`` is what would make the guests, with
    ``profiles`` of hooks; ``addresses`` its share of a block that others share, too.
    """

    client: KubeClient
    facts: ClusterFacts
    namespace: str
    checks: Sequence[Check]
    provisioner: Provisioner
    profiles: Mapping[str, GuestProfile]
    timeout_seconds: float
    parallel: int | None = None
    addresses: AddressShare | None = None
    tolerations: Sequence[Mapping[str, str]] = ()
    configmaps: Sequence[ConfigMapRef] = ()

    @cached_property
    def vmis(self) -> dict[VmiKey, Check]:
        """Each VMI of the plan once, with a check that needs it."""
        return {key: check for check in self.checks for key in vmi_keys(check)}

    @property
    def emulates(self) -> bool:
        """Whether KubeVirt says that VMs need no ``/dev/kvm``."""
        developer = (self.facts.configuration or {}).get("developerConfiguration") or {}
        return bool(developer.get("useEmulation"))

    def get(self, path: str, deadline: Deadline) -> dict[str, Any] | None:
        """GET an object, or a list; None where there is none. Raises as ``KubeClient.request`` does."""
        try:
            return self.client.request("GET", path, deadline=deadline)
        except KubeApiError as error:
            if error.object_missing:
                return None
            raise

    def image_of(self, key: VmiKey) -> str:
        """The container disk of a VMI. Raises ``ConfigError`` for an unknown profile."""
        return key.guest.image or profile_named(key.guest.profile, self.profiles).image
