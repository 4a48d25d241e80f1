"""Authorization by the Roles, ClusterRoles and bindings that the store holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.statuses import qualified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.lab.apiserver.store import Store

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, kw_only=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AccessRequest:
    """What is asked for. ``path`` is set for a request that is for no resource; the rest is then empty."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def denial(self, user: User) -> str:
        """Return Kubernetes' words for "no", without its ``… is forbidden:``."""
        who = f'User "{user.name}" cannot {self.verb}'
        if self.path:
            return f'{who} path "{self.path}"'
        what = self.resource + (f"/{self.subresource}" if self.subresource else "")
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'{who} resource "{what}" in API group "{self.group}" {where}'

    @property
    def qualified(self) -> str:
        """The resource as error messages name it."""
        return qualified(self.resource, self.group)


def _is_subject(subject: dict[str, Any], user: User, binding_namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        namespace = subject.get("namespace") or binding_namespace
        return user.name == f"system:serviceaccount:{namespace}:{name}"
    return False


def _resource_allowed(rule: dict[str, Any], access: AccessRequest) -> bool:
    wanted = access.resource + (f"/{access.subresource}" if access.subresource else "")
    allowed = rule.get("resources") or []
    return (
        wanted in allowed
        or "*" in allowed
        or bool(access.subresource and f"*/{access.subresource}" in allowed)
    )


def _path_allowed(rule: dict[str, Any], path: str) -> bool:
    return any(
        pattern in {"*", path} or (pattern.endswith("*") and path.startswith(pattern[:-1]))
        for pattern in rule.get("nonResourceURLs") or []
    )


def rule_allows(rule: dict[str, Any], access: AccessRequest) -> bool:
    """Say whether one PolicyRule covers the access."""
    verbs = rule.get("verbs") or []
    if access.verb not in verbs and "*" not in verbs:
        return False
    if access.path:
        return _path_allowed(rule, access.path)
    groups = rule.get("apiGroups") or []
    if access.group not in groups and "*" not in groups:
        return False
    if not _resource_allowed(rule, access):
        return False
    names = rule.get("resourceNames") or []
    return not names or access.name in names


class Authorizer:
    """Decides from the store's present content; nothing is cached."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def role_rules(self, role_ref: dict[str, Any], namespace: str) -> list[dict[str, Any]] | None:
        """Return the rules of the role that a binding in ``namespace`` refers to; None when there is no such role."""
        if role_ref.get("kind") == "Role":
            role = self._store.get(resources.ROLES, namespace, role_ref.get("name", ""))
        else:
            role = self._store.get(resources.CLUSTERROLES, "", role_ref.get("name", ""))
        return (role.obj.get("rules") or []) if role else None

    def rules(self, user: User, namespace: str) -> Iterator[dict[str, Any]]:
        """Yield every rule that holds for ``user`` in ``namespace`` (``""``: at the cluster scope)."""
        if MASTERS in user.groups:
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
        for stored in self._store.all(resources.CLUSTERROLEBINDINGS):
            if any(_is_subject(subject, user, "") for subject in stored.obj.get("subjects") or []):
                yield from self.role_rules(stored.obj.get("roleRef") or {}, "") or ()
        if not namespace:
            return
        for stored in self._store.all(resources.ROLEBINDINGS, namespace):
            if any(_is_subject(subject, user, namespace) for subject in stored.obj.get("subjects") or []):
                yield from self.role_rules(stored.obj.get("roleRef") or {}, namespace) or ()

    def allows(self, user: User, access: AccessRequest) -> bool:
        """Say whether ``user`` may do this."""
        return MASTERS in user.groups or any(
            rule_allows(rule, access) for rule in self.rules(user, access.namespace)
        )
