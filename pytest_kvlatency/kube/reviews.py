"""What the account may do: asked by SelfSubjectAccessReview, which any account may send; and how to grant the rest."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import yaml

from pytest_kvlatency.errors import KvLatencyError, PermissionDeniedError
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.paths import Target
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.model import ConfigMapRef

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# Since Kubernetes 1.28.
_WHO_AM_I: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_RBAC: Final = "rbac.authorization.k8s.io"
_NAME: Final = "pytest-kvlatency"
_AT_ONCE: Final = 8
_VMIS: Final = ("kubevirt.io", "virtualmachineinstances")
_MIGRATIONS: Final = ("kubevirt.io", "virtualmachineinstancemigrations")
_CONSOLE: Final = ("subresources.kubevirt.io", "virtualmachineinstances/console")
_NADS: Final = ("k8s.cni.cncf.io", "network-attachment-definitions")
_APPLY: Final = "An administrator can grant this with kubectl apply -f - and this manifest:"
_ASKING_SECONDS: Final = 5.0


class Requests(Protocol):
    """What sends requests to the API server, such as ``KubeClient``."""

    def request(
        self, method: str, path: str, *, deadline: Deadline, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send one until it is answered; return the answer."""


def needed(
    namespace: str, nad_namespaces: Iterable[str], configmaps: Iterable[ConfigMapRef] = ()
) -> tuple[Target, ...]:
    """Return the rules without which a run fails: VMIs in ``namespace``, NADs where they are, and its ConfigMaps."""
    vmis = [_target(verb, *_VMIS, namespace) for verb in ("get", "create", "delete")]
    nads = [_target("get", *_NADS, one) for one in sorted(set(nad_namespaces))]
    maps = [
        replace(_target(verb, "", "configmaps", ref.namespace), name=ref.name)
        for ref in configmaps
        for verb in ("get", "update")
    ]
    return (*vmis, _target("get", *_CONSOLE, namespace), *nads, *maps)


def migrating(namespace: str) -> tuple[Target, ...]:
    """Return the rules that a run needs in addition whose guests migrate."""
    return tuple(_target(verb, *_MIGRATIONS, namespace) for verb in ("get", "create", "delete"))


def useful(namespace: str) -> tuple[Target, ...]:
    """Return the rules that make a run faster, or its causes better, and that no run needs."""
    return (
        _target("list", *_VMIS, namespace),
        _target("watch", *_VMIS, namespace),
        _target("list", "", "events", namespace),
        _target("list", "", "pods", namespace),
        _target("get", "", "pods/log", namespace),
        _target("get", "", "nodes", None),
        _target("list", "", "nodes", None),
    )


def refused(client: Requests, wanted: Sequence[Target], deadline: Deadline) -> tuple[Target, ...]:
    """Return those of the rules that the account does not have. One request for each, several at once.

    Raises ``PermissionDeniedError`` where the account may not even ask, and as ``KubeClient.request``.
    """
    threads = Threads(_AT_ONCE, "kvlatency-review")
    asked = [(one, threads.submit(_is_allowed, client, one, deadline)) for one in wanted]
    return tuple(one for one, answer in asked if not answer.result())


def account(client: Requests, deadline: Deadline) -> str | None:
    """Return the account's name as the API server knows it; None where the server is too old to say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = client.request("POST", _WHO_AM_I, body=body, deadline=deadline)
    except (PermissionDeniedError, KubeApiError):
        return None
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "") or None


def way_out(needed: Iterable[Target], missing: Iterable[Target], user: str | None) -> str:
    """Say how to grant what is missing; whole for a namespace, so that an earlier manifest may be replaced by it."""
    namespaces = {one.namespace for one in missing}
    return f"{_APPLY}\n{grant([one for one in needed if one.namespace in namespaces], user).rstrip()}"


class Rules:
    """The rules that a run needs, and which of them its account lacks: asked once, after the first denial.

    Thread-safe. An account that lacks one rule often lacks more, and is told all of them at once.
    """

    def __init__(self, client: Requests) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._needed: dict[Target, bool | None] = {}

    def need(self, rules: Iterable[Target]) -> None:
        """Know that the run needs these as well."""
        with self._lock:
            for one in rules:
                self._needed.setdefault(one, None)

    def lacking(self, rules: Sequence[Target], deadline: Deadline) -> PermissionDeniedError | None:
        """Return one error that names those of these rules, which the run needs, that are not granted.

        None where all are, or where that is not known.
        """
        self.need(rules)
        try:
            missing = refused(self._client, rules, deadline.limit(_ASKING_SECONDS))
            return self._denied(missing, missing, self._who(deadline)) if missing else None
        except KvLatencyError:
            return None

    def denial(self, wanted: Target, deadline: Deadline, *, user: str = "") -> PermissionDeniedError | None:
        """Return one error that names all that is missing, when the denied request is a part of it.

        None where it is not, for a rule that only helps, or where that is not known; then the denial itself must do.
        ``user`` is the account's name, where it is known.
        """
        if not any(_is_rule(one, wanted) for one in tuple(self._needed)):
            # Without the lock: asking may be denied as well, and comes here too.
            return None
        with self._lock:
            try:
                self._ask(wanted, deadline.limit(_ASKING_SECONDS))
                who = user or self._who(deadline)
            except KvLatencyError:
                return None
            missing = [one for one, is_granted in self._needed.items() if is_granted is False]
            if not any(_is_rule(one, wanted) for one in missing):
                return None
            # The name of a network tells more than its namespace; that of a VMI is one that the run has made up.
            named = [wanted] if len(missing) == 1 and wanted.group == _NADS[0] else missing
            return self._denied(named, missing, who)

    def _who(self, deadline: Deadline) -> str:
        """The account's name; empty where it cannot be had."""
        return account(self._client, deadline.limit(_ASKING_SECONDS)) or ""

    def _denied(self, named: Sequence[Target], missing: Sequence[Target], who: str) -> PermissionDeniedError:
        return PermissionDeniedError(
            f"{who or 'the account'} may not {_listed(named)}",
            hint=way_out(self._needed, missing, who or None),
        )

    def _ask(self, wanted: Target, deadline: Deadline) -> None:
        """Learn of each rule whether it is granted, unless that is known. The lock is held."""
        if any(is_granted and _is_rule(one, wanted) for one, is_granted in self._needed.items()):
            # It was taken away meanwhile, and others may have been.
            self._needed = dict.fromkeys(self._needed)
        unknown = [one for one, is_granted in self._needed.items() if is_granted is None]
        lacking = set(refused(self._client, unknown, deadline))
        self._needed.update({one: one not in lacking for one in unknown})


def _is_rule(rule: Target, wanted: Target) -> bool:
    """Whether a request is what a rule is needed for."""
    return replace(rule, name=None) == replace(wanted, name=None)


def _listed(rules: Iterable[Target]) -> str:
    """Rules in words, the verbs for one resource together."""
    verbs: dict[Target, list[str]] = {}
    for one in rules:
        verbs.setdefault(replace(one, verb=""), []).append(one.verb)
    return "; ".join(str(replace(one, verb=", ".join(named))) for one, named in verbs.items())


def grant(rules: Sequence[Target], user: str | None) -> str:
    """Return the manifest that grants the rules to the account, for ``kubectl apply -f -``.

    A Role and its binding for each namespace, a ClusterRole for what has none. Their names hold the account's, so that
    what is applied for one account takes nothing from another.
    """
    namespaces = sorted({one.namespace or "" for one in rules})
    objects = [
        made
        for namespace in namespaces
        for made in _role([one for one in rules if (one.namespace or "") == namespace], namespace, user)
    ]
    return yaml.safe_dump_all(objects, sort_keys=False, width=1000)


def _target(verb: str, group: str, resource: str, namespace: str | None) -> Target:
    return Target(verb=verb, group=group, resource=resource, namespace=namespace)


def _is_allowed(client: Requests, wanted: Target, deadline: Deadline) -> bool:
    resource, _, subresource = wanted.resource.partition("/")
    attributes = {
        "verb": wanted.verb,
        "group": wanted.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": wanted.namespace,
        "name": wanted.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = client.request("POST", _REVIEWS, body=body, deadline=deadline)
    return bool((answer.get("status") or {}).get("allowed"))


def _role(rules: Sequence[Target], namespace: str, user: str | None) -> list[dict[str, Any]]:
    """A role with these rules, and its binding; cluster-wide where the namespace is empty."""
    by_resource: dict[tuple[str, str], list[str]] = {}
    for one in rules:
        verbs = by_resource.setdefault((one.group, one.resource), [])
        verbs += [one.verb] if one.verb not in verbs else []
    kind = "Role" if namespace else "ClusterRole"
    # What an account may be called, and a role may not.
    name = f"{_NAME}:{re.sub('[/%]', '-', user or 'USER')}"
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": kind,
            "metadata": metadata,
            "rules": [
                {"apiGroups": [group], "resources": [resource], "verbs": verbs}
                for (group, resource), verbs in by_resource.items()
            ],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
            "subjects": [_subject(user or "USER")],
        },
    ]


def _subject(user: str) -> dict[str, str]:
    prefix, _, rest = user.partition("system:serviceaccount:")
    namespace, _, name = rest.partition(":")
    if not prefix and name:
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    return {"kind": "User", "apiGroup": _RBAC, "name": user}
