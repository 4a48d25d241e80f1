"""What the API server refuses, in words that say the way out. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import KvLatencyError, PermissionDeniedError
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.paths import Target

if TYPE_CHECKING:
    from pytest_kvlatency.kube.http import Answer

_ACTING: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot impersonate resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]*)"|at the cluster scope)'
)
_ANONYMOUS: Final = "system:anonymous"
_ACTING_FIELDS: Final = {"groups": "as-groups", "uids": "as-uid", "userextras": "as-user-extra"}


def refusal(answer: Answer, wanted: Target, *, server: str, origin: str) -> KvLatencyError:
    """Return the typed error of an answer that trying again does not change."""
    status = answer.json() or {}
    is_status = status.get("kind") == "Status"
    message = words(answer)
    if answer.status == 401:
        return PermissionDeniedError(
            f"{server} does not accept the credentials (401 {message or 'Unauthorized'}): cannot {wanted}",
            hint=f"The credentials come from {origin}: log in again, or choose another.",
        )
    if answer.status == 403 and not (is_status and is_admission(message)):
        return _denial(wanted, message, server=server, origin=origin)
    return KubeApiError(
        f"cannot {wanted}: {message or 'no reason given'} ({answer.status})",
        status=answer.status,
        api_reason=str(status.get("reason") or "Unknown") if is_status else "",
        message=message,
        hint=missing_hint(wanted, server) if answer.status == 404 and not is_status else "",
    )


def _denial(wanted: Target, message: str, *, server: str, origin: str) -> PermissionDeniedError:
    acting = _ACTING.search(message)
    if acting is not None:
        return _not_acting(acting, message, origin=origin)
    user = _user_of(message)
    if user == _ANONYMOUS:
        return PermissionDeniedError(
            f"{server} treats this as an anonymous request: cannot {wanted}",
            hint=f"No credentials were sent: check the user in {origin}.",
        )
    who = f"{user} " if user else ""
    other_way = (
        "; name them with --kv-node-set" if (wanted.verb, wanted.resource) == ("list", "nodes") else ""
    )
    return PermissionDeniedError(
        f"{who}may not {wanted}{other_way}".strip(), hint=f"Bind a role with this rule to it:\n{wanted.rule}"
    )


def _not_acting(acting: re.Match[str], message: str, *, origin: str) -> PermissionDeniedError:
    """The kubeconfig names another user to act as, and that is what is refused: the request itself was not judged."""
    resource = acting["resource"]
    namespace = acting["namespace"]
    name = message.partition('"')[2].partition('"')[0]
    what = {"serviceaccounts": "ServiceAccount", "uids": "UID"}.get(resource, resource.removesuffix("s"))
    where = f"{namespace}/" if namespace else ""
    field = _ACTING_FIELDS.get(resource.partition("/")[0], "as")
    target = Target(verb="impersonate", group=acting["group"], resource=resource, namespace=namespace)
    return PermissionDeniedError(
        f"{acting['user']} may not impersonate the {what} {where}{name} ({field} in {origin})",
        hint=f"Remove {field} from the user of the kubeconfig, or bind a role with this rule to {acting['user']}:\n"
        f"{target.rule}",
    )


def denied_user(answer: Answer) -> str:
    """The account that lacks a rule, in the authorizer's words; empty where it says something else."""
    message = words(answer)
    user = _user_of(message)
    is_denied = answer.status == 403 and '" cannot ' in message and _ACTING.search(message) is None
    return user if is_denied and user != _ANONYMOUS else ""


def _user_of(message: str) -> str:
    return message.partition('User "')[2].partition('"')[0]


def is_admission(message: str) -> bool:
    """Whether a 403 is the word of an admission plugin (quota, policy, webhook), not of a missing permission.

    The authorizer's own words are ``… is forbidden: User "NAME" cannot VERB resource …``.
    """
    if 'User "' in message and '" cannot ' in message:
        return False
    return "is forbidden: " in message or "denied" in message or "being terminated" in message


def words(answer: Answer) -> str:
    """The server's words: a Status object's message, or the beginning of whatever else it sent."""
    status = answer.json()
    if status is not None:
        return str(status.get("message") or status.get("reason") or "")
    return " ".join(answer.body.decode(errors="replace").split())[:200]


def missing_hint(wanted: Target, server: str) -> str:
    """Say how to see whether an API is served."""
    names = {
        "kubevirt.io": "KubeVirt's API (kubevirt.io/v1)",
        "subresources.kubevirt.io": "KubeVirt's console API (subresources.kubevirt.io/v1)",
        "k8s.cni.cncf.io": "The API of NetworkAttachmentDefinitions (k8s.cni.cncf.io/v1)",
    }
    name = names.get(wanted.group)
    if name is None:
        return f"{server} does not seem to be a Kubernetes API server."
    return f"{name} is not served by {server}: check `kubectl api-resources --api-group={wanted.group}`."


def unavailable_hint(wanted: Target, problem: str) -> str:
    """Say what to look at when a request was never answered well."""
    if "kubevirt" in wanted.group and "webhook" in problem:
        return "KubeVirt's API is down: check `kubectl get pods -A -l kubevirt.io=virt-api`."
    return ""
