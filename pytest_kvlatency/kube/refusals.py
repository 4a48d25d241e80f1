"""What the API server refuses, in words that say the way out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.errors import KvLatencyError, PermissionDeniedError
from pytest_kvlatency.kube.errors import KubeApiError

if TYPE_CHECKING:
    from pytest_kvlatency.kube.paths import Target
    from pytest_kvlatency.kube.transport import Answer


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
    who = ""
    if 'User "' in message:
        user = message.partition('User "')[2].partition('"')[0]
        if user == "system:anonymous":
            return PermissionDeniedError(
                f"{server} takes this for an anonymous request: cannot {wanted}",
                hint=f"No credentials were sent: check the user in {origin}.",
            )
        who = f"{user} "
    other_way = (
        "; name them with --kv-node-set" if (wanted.verb, wanted.resource) == ("list", "nodes") else ""
    )
    return PermissionDeniedError(
        f"{who}may not {wanted}{other_way}".strip(),
        hint=f"Bind it a role with this rule:\n{wanted.rule}",
    )


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
