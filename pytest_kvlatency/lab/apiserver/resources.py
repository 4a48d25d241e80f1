"""The table of kinds that the control plane serves. Pure data and look-ups."""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One stored kind. ``versions`` are served, the first is preferred and the one that is stored.

    ``status`` says whether there is a status subresource; ``custom`` that the kind comes from a CRD,
    which has no strategic merge patch.
    """

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    singular: str = ""
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    custom: bool = False
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the kind in the store: group and plural."""
        return (self.group, self.plural)

    @property
    def api_version(self) -> str:
        """The stored ``apiVersion``."""
        return group_version(self.group, self.versions[0])


@dataclass(frozen=True, kw_only=True)
class VirtualResource:
    """A kind that can only be created, and is never stored: reviews."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = False


def group_version(group: str, version: str) -> str:
    """Return ``v1`` or ``kubevirt.io/v1``."""
    return f"{group}/{version}" if group else version


def _core(kind: str, plural: str, *short: str, **more: bool) -> Resource:
    namespaced = more.get("namespaced", True)
    status = more.get("status", False)
    return Resource(
        group="",
        versions=("v1",),
        kind=kind,
        plural=plural,
        short=short,
        namespaced=namespaced,
        status=status,
        categories=("all",) if plural in {"pods", "services"} else (),
    )


def _kubevirt(kind: str, plural: str, *short: str, status: bool = True) -> Resource:
    return Resource(
        group="kubevirt.io",
        versions=("v1", "v1alpha3"),
        kind=kind,
        plural=plural,
        short=short,
        custom=True,
        status=status,
        categories=("all",),
    )


_RBAC = "rbac.authorization.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    _core("Namespace", "namespaces", "ns", namespaced=False, status=True),
    _core("Node", "nodes", "no", namespaced=False, status=True),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Secret", "secrets"),
    _core("ServiceAccount", "serviceaccounts", "sa"),
    _core("Pod", "pods", "po", status=True),
    _core("Event", "events", "ev"),
    _core("Service", "services", "svc", status=True),
    _core("Endpoints", "endpoints", "ep"),
    _core("ResourceQuota", "resourcequotas", "quota", status=True),
    _core("LimitRange", "limitranges", "limits"),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", status=True),
    Resource(group=_RBAC, versions=("v1",), kind="Role", plural="roles"),
    Resource(group=_RBAC, versions=("v1",), kind="RoleBinding", plural="rolebindings"),
    Resource(group=_RBAC, versions=("v1",), kind="ClusterRole", plural="clusterroles", namespaced=False),
    Resource(
        group=_RBAC,
        versions=("v1",),
        kind="ClusterRoleBinding",
        plural="clusterrolebindings",
        namespaced=False,
    ),
    Resource(group="batch", versions=("v1",), kind="Job", plural="jobs", status=True, categories=("all",)),
    Resource(
        group="batch",
        versions=("v1",),
        kind="CronJob",
        plural="cronjobs",
        short=("cj",),
        status=True,
        categories=("all",),
    ),
    Resource(
        group="apps", versions=("v1",), kind="DaemonSet", plural="daemonsets", short=("ds",), status=True
    ),
    Resource(
        group="apps",
        versions=("v1",),
        kind="Deployment",
        plural="deployments",
        short=("deploy",),
        status=True,
    ),
    Resource(
        group="apiextensions.k8s.io",
        versions=("v1",),
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        short=("crd", "crds"),
        namespaced=False,
        status=True,
    ),
    Resource(group="coordination.k8s.io", versions=("v1",), kind="Lease", plural="leases"),
    Resource(
        group="k8s.cni.cncf.io",
        versions=("v1",),
        kind="NetworkAttachmentDefinition",
        plural="network-attachment-definitions",
        singular="network-attachment-definition",
        short=("net-attach-def",),
        custom=True,
    ),
    _kubevirt("VirtualMachineInstance", "virtualmachineinstances", "vmi", "vmis", status=False),
    _kubevirt("VirtualMachineInstanceMigration", "virtualmachineinstancemigrations", "vmim", "vmims"),
    _kubevirt("KubeVirt", "kubevirts", "kv", "kvs"),
)

VIRTUAL: tuple[VirtualResource, ...] = (
    VirtualResource(
        group="authentication.k8s.io", version="v1", kind="SelfSubjectReview", plural="selfsubjectreviews"
    ),
    VirtualResource(group="authentication.k8s.io", version="v1", kind="TokenReview", plural="tokenreviews"),
    VirtualResource(
        group="authorization.k8s.io",
        version="v1",
        kind="SelfSubjectAccessReview",
        plural="selfsubjectaccessreviews",
    ),
    VirtualResource(
        group="authorization.k8s.io",
        version="v1",
        kind="SelfSubjectRulesReview",
        plural="selfsubjectrulesreviews",
    ),
    VirtualResource(
        group="authorization.k8s.io", version="v1", kind="SubjectAccessReview", plural="subjectaccessreviews"
    ),
    VirtualResource(
        group="authorization.k8s.io",
        version="v1",
        kind="LocalSubjectAccessReview",
        plural="localsubjectaccessreviews",
        namespaced=True,
    ),
)

_BY_KEY = {resource.key: resource for resource in RESOURCES}
_BY_KIND = {(resource.group, resource.kind): resource for resource in RESOURCES}
_VIRTUAL_BY_KEY = {(resource.group, resource.plural): resource for resource in VIRTUAL}


def by_plural(group: str, version: str, plural: str) -> Resource | None:
    """Find a stored kind by its route."""
    found = _BY_KEY.get((group, plural))
    return found if found is not None and version in found.versions else None


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Find a stored kind by what an object says of itself."""
    group, _, version = api_version.rpartition("/")
    found = _BY_KIND.get((group, kind))
    return found if found is not None and version in found.versions else None


def virtual(group: str, version: str, plural: str) -> VirtualResource | None:
    """Find a review by its route."""
    found = _VIRTUAL_BY_KEY.get((group, plural))
    return found if found is not None and version == found.version else None


def groups() -> dict[str, list[str]]:
    """Return every named group with its versions, preferred one first, in a stable order."""
    found: dict[str, list[str]] = {}
    for group, versions in [(item.group, item.versions) for item in RESOURCES] + [
        (item.group, (item.version,)) for item in VIRTUAL
    ]:
        known = found.setdefault(group, [])
        known.extend(version for version in versions if version not in known)
    found.pop("")
    return found


NAMESPACES = _BY_KEY["", "namespaces"]
NODES = _BY_KEY["", "nodes"]
PODS = _BY_KEY["", "pods"]
CONFIGMAPS = _BY_KEY["", "configmaps"]
SERVICEACCOUNTS = _BY_KEY["", "serviceaccounts"]
ROLES = _BY_KEY[_RBAC, "roles"]
ROLEBINDINGS = _BY_KEY[_RBAC, "rolebindings"]
CLUSTERROLES = _BY_KEY[_RBAC, "clusterroles"]
CLUSTERROLEBINDINGS = _BY_KEY[_RBAC, "clusterrolebindings"]
VMIS = _BY_KEY["kubevirt.io", "virtualmachineinstances"]
MIGRATIONS = _BY_KEY["kubevirt.io", "virtualmachineinstancemigrations"]
CRDS = _BY_KEY["apiextensions.k8s.io", "customresourcedefinitions"]
