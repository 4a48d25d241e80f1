"""The API server, the account, and the versions of Kubernetes and KubeVirt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths, reviews
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """The server answered when its versions were asked for; here is what it said."""
    facts = scope.facts
    version = facts.kubernetes_version or "of an unknown version"
    yield Finding(check="cluster", subject=scope.client.server, outcome="ok", message=f"Kubernetes {version}")
    yield _account(scope, deadline)
    yield _kubevirt(scope, deadline)


def _account(scope: Scope, deadline: Deadline) -> Finding:
    name = reviews.account(scope.client, deadline)
    return Finding(
        check="credentials", outcome="ok", message=f"{name or 'accepted'} (from {scope.client.origin})"
    )


def _kubevirt(scope: Scope, deadline: Deadline) -> Finding:
    version = scope.facts.kubevirt_version
    if version is not None:
        return Finding(check="KubeVirt", outcome="ok", message=version)
    try:
        scope.client.request("GET", paths.KUBEVIRT, deadline=deadline)
    except PermissionDeniedError:
        pass
    except KubeApiError as error:
        if error.status == 404:
            return Finding(
                check="KubeVirt",
                outcome="failed",
                message=f"{scope.client.server} does not serve its API, kubevirt.io/v1",
                hint="Check `kubectl api-resources --api-group=kubevirt.io`: is KubeVirt installed?",
            )
        raise
    return Finding(check="KubeVirt", outcome="skipped", message="not permitted to read its version")
