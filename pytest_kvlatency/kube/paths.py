"""URL paths of the API, and back: what a request asks for in the words of RBAC. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

KUBEVIRT: Final = "/apis/kubevirt.io/v1"
SUBRESOURCES: Final = "/apis/subresources.kubevirt.io/v1"
NAD_API: Final = "/apis/k8s.cni.cncf.io/v1"
CORE: Final = "/api/v1"
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def namespaced(prefix: str, namespace: str, resource: str, *rest: str) -> str:
    """``PREFIX/namespaces/NS/RESOURCE[/NAME[/SUBRESOURCE]]``, each part quoted."""
    parts = (quote(part, safe="") for part in ("namespaces", namespace, resource, *rest))
    return "/".join((prefix, *parts))


def vmi(namespace: str, *rest: str) -> str:
    """Path of the VMIs of a namespace, or of one of them."""
    return namespaced(KUBEVIRT, namespace, "virtualmachineinstances", *rest)


def migration(namespace: str, *rest: str) -> str:
    """Path of the live migrations of a namespace, or of one of them."""
    return namespaced(KUBEVIRT, namespace, "virtualmachineinstancemigrations", *rest)


def console(namespace: str, name: str) -> str:
    """Path of a VMI's console."""
    return namespaced(SUBRESOURCES, namespace, "virtualmachineinstances", name, "console")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a request asks for, in the words of RBAC; the core group is ``""``."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        if self.group and "/" in self.resource:
            main, _, sub = self.resource.partition("/")
            resource = f"{main}.{self.group}/{sub}"
        name = f" {self.name}" if self.name else ""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{name}{where}"

    @property
    def rule(self) -> str:
        """The rule that grants it, as YAML for a Role, or a ClusterRole where no namespace is asked."""
        kind = "Role" if self.namespace else "ClusterRole"
        where = f"\nmetadata:\n  namespace: {self.namespace}" if self.namespace else ""
        return (
            f"kind: {kind}{where}\nrules:\n"
            f'- apiGroups: ["{self.group}"]\n  resources: ["{self.resource}"]\n  verbs: ["{self.verb}"]'
        )


def target(method: str, path: str, *, watch: bool = False) -> Target:
    """Say what a request asks for; paths that name no resource come back as verb and path."""
    parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return Target(verb=method.lower(), resource=path)
    namespace = None
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else None
    resource = "/".join([rest[0], *rest[2:]]) if rest else ""
    verb = _VERBS.get(method.upper()) or ("get" if name else "watch" if watch else "list")
    return Target(verb=verb, group=group, resource=resource, namespace=namespace, name=name)
