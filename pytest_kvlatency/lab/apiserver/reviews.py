"""Reviews, which are answered and never stored: who am I, what may I do; and ServiceAccount tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.authn import AUDIENCE, Authenticator
from pytest_kvlatency.lab.apiserver.rbac import AccessRequest, Authorizer, User
from pytest_kvlatency.lab.apiserver.registry import Registry, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Kubernetes' bounds of a token's life, in seconds.
_SHORTEST = 600
_LONGEST = 2**32


def _access(spec: Mapping[str, Any]) -> AccessRequest:
    attributes = spec.get("resourceAttributes")
    path = spec.get("nonResourceAttributes")
    if bool(attributes) == bool(path):
        raise errors.bad_request(
            "exactly one of nonResourceAttributes or resourceAttributes must be specified in spec"
        )
    if path:
        return AccessRequest(verb=path.get("verb", ""), path=path.get("path", ""))
    attributes = attributes or {}
    return AccessRequest(
        verb=attributes.get("verb", ""),
        group=attributes.get("group", ""),
        resource=attributes.get("resource", ""),
        subresource=attributes.get("subresource", ""),
        namespace=attributes.get("namespace", ""),
        name=attributes.get("name", ""),
    )


def _user_info(user: User) -> dict[str, Any]:
    found: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        found["uid"] = user.uid
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


class Reviews:
    """Answers each kind of review."""

    def __init__(self, authorizer: Authorizer, authenticator: Authenticator, registry: Registry) -> None:
        self._authorizer = authorizer
        self._authenticator = authenticator
        self._registry = registry

    def answer(self, kind: str, user: User, body: Any, namespace: str) -> dict[str, Any]:
        """Return the review with its status. Errors: 400."""
        if not isinstance(body, dict) or body.get("kind", kind) != kind:
            raise errors.bad_request(f"a {kind} is expected")
        spec = body.get("spec") or {}
        if kind == "SelfSubjectReview":
            status = {"userInfo": _user_info(user)}
        elif kind == "TokenReview":
            status = self._token(spec)
        elif kind == "SelfSubjectRulesReview":
            status = self._rules(user, spec)
        else:
            subject = user
            if kind in {"SubjectAccessReview", "LocalSubjectAccessReview"}:
                subject = User(name=str(spec.get("user", "")), groups=tuple(spec.get("groups") or ()))
            access = _access(spec)
            if kind == "LocalSubjectAccessReview" and access.namespace != namespace:
                raise errors.bad_request(f"spec.resourceAttributes.namespace must be {namespace!r}")
            status = self._decision(subject, access)
        meta = {"creationTimestamp": None, **(body.get("metadata") or {})}
        return {**body, "kind": kind, "metadata": meta, "status": status}

    def _decision(self, user: User, access: AccessRequest) -> dict[str, Any]:
        return {"allowed": True} if self._authorizer.allows(user, access) else {"allowed": False}

    def _token(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        try:
            identity = self._authenticator.by_token(str(spec.get("token", "")))
        except errors.ApiError:
            return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _user_info(identity.user), "audiences": [AUDIENCE]}

    def _rules(self, user: User, spec: Mapping[str, Any]) -> dict[str, Any]:
        rules = list(self._authorizer.rules(user, str(spec.get("namespace", ""))))
        return {
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }

    def service_account_token(self, namespace: str, name: str, body: Any) -> dict[str, Any]:
        """Answer a TokenRequest. Errors: 400, 404, 422."""
        if not isinstance(body, dict) or body.get("kind", "TokenRequest") != "TokenRequest":
            raise errors.bad_request("a TokenRequest is expected")
        account = self._registry.get(resources.SERVICEACCOUNTS, namespace, name)
        spec = dict(body.get("spec") or {})
        duration = int(spec.get("expirationSeconds") or 3600)
        if not _SHORTEST <= duration <= _LONGEST:
            bound = "less than 10 minutes" if duration < _SHORTEST else "larger than 2^32 seconds"
            detail = f"Invalid value: {duration}: may not specify a duration {bound}"
            cause = errors.Cause(field="spec.expirationSeconds", detail=detail)
            raise errors.invalid("TokenRequest", "authentication.k8s.io", name, [cause])
        audiences = spec.get("audiences") or [AUDIENCE]
        token, expires = self._authenticator.mint_service_account(
            namespace, name, account.obj["metadata"]["uid"], seconds=duration, audiences=audiences
        )
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": self._registry.now()},
            "spec": {"audiences": audiences, "expirationSeconds": duration, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": timestamp(expires)},
        }
