"""Objects that the account may or may not read: what cannot be had is told from what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube.apierrors import KubeApiError

if TYPE_CHECKING:
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope


class NotPermitted(Exception):  # noqa: N818 - a line of the checklist, not a failure
    """The account may not read it."""


def read(scope: Scope, path: str, deadline: Deadline) -> dict[str, Any] | None:
    """GET an object, or a list; None where there is none. Raises ``NotPermitted``, and as ``KubeClient.request``."""
    try:
        return scope.client.request("GET", path, deadline=deadline)
    except PermissionDeniedError as error:
        raise NotPermitted from error
    except KubeApiError as error:
        if error.object_missing:
            return None
        raise
