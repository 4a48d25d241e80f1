"""One user acting as another: the headers ``Impersonate-*``, and the permission for each of them.

As in Kubernetes' ``apiserver/pkg/endpoints/filters/impersonation``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.rbac import AUTHENTICATED, AccessRequest, User

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from pytest_kvlatency.lab.apiserver.rbac import Authorizer

HEADERS: Final = "impersonate-"
_EXTRA: Final = "impersonate-extra-"
_ACCOUNT: Final = "system:serviceaccount:"
_ANONYMOUS: Final = "system:anonymous"
_UNAUTHENTICATED: Final = "system:unauthenticated"
_AUTHENTICATION: Final = "authentication.k8s.io"


def acting_user(headers: CIMultiDictProxy[str], user: User, authorizer: Authorizer) -> User:
    """Return as whom ``user`` acts: itself without such headers. Errors: 403, 500 (no user to act as)."""
    name = _text(headers.get("Impersonate-User", ""))
    groups = [_text(one) for one in headers.getall("Impersonate-Group", [])]
    uid = _text(headers.get("Impersonate-Uid", ""))
    extra: dict[str, list[str]] = {}
    for header, value in headers.items():
        if header.lower().startswith(_EXTRA):
            extra.setdefault(unquote(header.lower()[len(_EXTRA) :]), []).append(_text(value))
    if not name:
        if groups or uid or extra:
            raise errors.ApiError(
                500, "Internal Server Error: requested groups, uid or extra without impersonating a user"
            )
        return user
    for access in _wanted(name, groups, uid, extra):
        if not authorizer.allows(user, access):
            raise errors.forbidden(access.resource, access.group, access.name, access.denial(user))
    namespace = _namespace_of(name)
    if namespace and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    everybody = _UNAUTHENTICATED if name == _ANONYMOUS else AUTHENTICATED
    if not {AUTHENTICATED, _UNAUTHENTICATED}.intersection(groups):
        groups = [*groups, everybody]
    return User(name=name, groups=tuple(dict.fromkeys(groups)), uid=uid, extra=extra)


def _wanted(name: str, groups: list[str], uid: str, extra: dict[str, list[str]]) -> list[AccessRequest]:
    """What must be allowed."""
    namespace = _namespace_of(name)
    if namespace:
        account = name.removeprefix(f"{_ACCOUNT}{namespace}:")
        who = AccessRequest(verb="impersonate", resource="serviceaccounts", namespace=namespace, name=account)
    else:
        who = AccessRequest(verb="impersonate", resource="users", name=name)
    wanted = [who, *(AccessRequest(verb="impersonate", resource="groups", name=group) for group in groups)]
    wanted += [
        AccessRequest(
            verb="impersonate", group=_AUTHENTICATION, resource="userextras", subresource=key, name=value
        )
        for key, values in extra.items()
        for value in values
    ]
    if uid:
        wanted.append(AccessRequest(verb="impersonate", group=_AUTHENTICATION, resource="uids", name=uid))
    return wanted


def _namespace_of(name: str) -> str:
    """The namespace of a ServiceAccount; empty for another user."""
    parts = name.removeprefix(_ACCOUNT).split(":")
    return parts[0] if name.startswith(_ACCOUNT) and len(parts) == 2 else ""


def _text(value: str) -> str:
    """A header's value; it is UTF-8, and read with its odd bytes as surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
