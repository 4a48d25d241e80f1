"""No account hands out more than it holds: the API server's check on Roles and bindings. Pure but for the store.

Rules and texts are those of Kubernetes (``pkg/registry/rbac``, ``component-helpers/auth/rbac/validation``).
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.rbac import AccessRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.lab.apiserver.rbac import Authorizer, User
    from pytest_kvlatency.lab.apiserver.resources import Resource

_ROLES: Final = (resources.ROLES, resources.CLUSTERROLES)
_BINDINGS: Final = (resources.ROLEBINDINGS, resources.CLUSTERROLEBINDINGS)


class Escalation:
    """Refuses a Role whose rules, or a binding whose role, exceed what the one who writes it may do."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def check(
        self, user: User, resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any]
    ) -> None:
        """Judge an object that is about to be stored. Errors: 403 (escalation), 404 (the role of a binding)."""
        if resource in _ROLES:
            if old is None or old.get("rules") != new.get("rules"):
                self._check_rules(user, resource, new, new.get("rules") or [], escape=("escalate", resource))
        elif resource in _BINDINGS and (old is None or old.get("subjects") != new.get("subjects")):
            reference = new.get("roleRef") or {}
            role = resources.ROLES if reference.get("kind") == "Role" else resources.CLUSTERROLES
            namespace = str(new["metadata"].get("namespace", ""))
            rules = self._authorizer.role_rules(reference, namespace)
            self._check_rules(user, resource, new, rules, escape=("bind", role))

    def _check_rules(
        self,
        user: User,
        resource: Resource,
        obj: Mapping[str, Any],
        rules: Sequence[Mapping[str, Any]] | None,
        *,
        escape: tuple[str, Resource],
    ) -> None:
        """``escape`` is the verb, and the kind of role, by which an account is let off."""
        verb, role = escape
        meta = obj["metadata"]
        namespace = str(meta.get("namespace", ""))
        name = str((obj.get("roleRef") or meta).get("name", ""))
        freed = AccessRequest(
            verb=verb, group=role.group, resource=role.plural, namespace=namespace, name=name
        )
        if self._authorizer.allows(user, freed):
            return
        if rules is None:
            raise errors.not_found(role.plural, role.group, name)
        held = list(self._authorizer.rules(user, namespace))
        missing = [
            part for rule in rules for part in _parts(rule) if not any(_covers(own, part) for own in held)
        ]
        if missing:
            groups = " ".join(json.dumps(group) for group in user.groups)
            why = (
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
                + "\n".join(sorted(_words(rule) for rule in _compact(missing)))
            )
            raise errors.forbidden(resource.plural, resource.group, str(meta["name"]), why)


def _parts(rule: Mapping[str, Any]) -> Iterator[dict[str, list[str]]]:
    """Break a rule down to one verb, group, resource and name each."""
    verbs = rule.get("verbs") or []
    names = rule.get("resourceNames") or []
    for group, resource, verb in itertools.product(
        rule.get("apiGroups") or [], rule.get("resources") or [], verbs
    ):
        for name in names or [None]:
            part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
            yield part if name is None else {**part, "resourceNames": [name]}
    for url, verb in itertools.product(rule.get("nonResourceURLs") or [], verbs):
        yield {"nonResourceURLs": [url], "verbs": [verb]}


def _covers(own: Mapping[str, Any], part: Mapping[str, list[str]]) -> bool:
    def has(key: str) -> bool:
        held = own.get(key) or []
        return "*" in held or part[key][0] in held

    if not has("verbs"):
        return False
    if "nonResourceURLs" in part:
        path = part["nonResourceURLs"][0]
        return any(
            url in {"*", path} or (url.endswith("*") and path.startswith(url[:-1]))
            for url in own.get("nonResourceURLs") or []
        )
    resource = part["resources"][0]
    by_subresource = "/" in resource and f"*/{resource.partition('/')[2]}" in (own.get("resources") or [])
    if not has("apiGroups") or not (has("resources") or by_subresource):
        return False
    names = own.get("resourceNames") or []
    return not names or ("resourceNames" in part and part["resourceNames"][0] in names)


def _compact(parts: Sequence[Mapping[str, list[str]]]) -> list[dict[str, list[str]]]:
    """Join the parts that differ in their verb only."""
    joined: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        key = json.dumps({name: value for name, value in part.items() if name != "verbs"}, sort_keys=True)
        if key not in joined:
            joined[key] = {name: list(value) for name, value in part.items()}
        elif part["verbs"][0] not in joined[key]["verbs"]:
            joined[key]["verbs"] += part["verbs"]
    return list(joined.values())


def _words(rule: Mapping[str, list[str]]) -> str:
    """A rule as Kubernetes prints it: ``{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}``."""
    titles = {
        "apiGroups": "APIGroups",
        "resources": "Resources",
        "nonResourceURLs": "NonResourceURLs",
        "resourceNames": "ResourceNames",
        "verbs": "Verbs",
    }
    given = [
        f"{title}:[{' '.join(json.dumps(item) for item in rule[key])}]"
        for key, title in titles.items()
        if key in rule
    ]
    return "{" + ", ".join(given) + "}"
