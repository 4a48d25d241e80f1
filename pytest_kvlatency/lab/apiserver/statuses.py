"""Kubernetes' ``Status`` errors: what a client gets whenever a request cannot be served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One field's fault, as in ``StatusCause``; ``detail`` is the text without the field's path."""

    field: str
    detail: str
    reason: str = "FieldValueInvalid"


class ApiError(Exception):
    """A request's refusal; ``status()`` is the body and ``code`` the HTTP status."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.details = details
        self.retry_after = retry_after

    def status(self) -> dict[str, Any]:
        """Return the ``v1.Status`` that says what went wrong."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details:
            body["details"] = details
        body["code"] = self.code
        return body


class RouteNotFound(Exception):  # noqa: N818 - it is an answer, not a programming error
    """No such route: the server answers with the plain text ``404 page not found``."""


def qualified(resource: str, group: str) -> str:
    """Return ``pods`` or ``virtualmachineinstances.kubevirt.io``."""
    return f"{resource}.{group}" if group else resource


def _details(resource: str, group: str, name: str) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": resource}
    return {key: value for key, value in found.items() if value}


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404: there is no object of that name."""
    return ApiError(
        404, f'{qualified(resource, group)} "{name}" not found', details=_details(resource, group, name)
    )


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409: an object of that name is there."""
    return ApiError(
        409,
        f'{qualified(resource, group)} "{name}" already exists',
        reason="AlreadyExists",
        details=_details(resource, group, name),
    )


def conflict(resource: str, group: str, name: str, why: str) -> ApiError:
    """409: a precondition does not hold."""
    return ApiError(
        409,
        f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}',
        details=_details(resource, group, name),
    )


def stale(resource: str, group: str, name: str) -> ApiError:
    """409: the resourceVersion of an update is not the current one."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, group, name, why)


def forbidden(resource: str, group: str, name: str, why: str) -> ApiError:
    """403 from authorization or admission, in Kubernetes' words."""
    subject = qualified(resource, group) + (f' "{name}"' if name else "")
    return ApiError(403, f"{subject} is forbidden: {why}", details=_details(resource, group, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: fields hold what they must not."""
    texts = [f"{cause.field}: {cause.detail}" for cause in causes]
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified_kind = f"{kind}.{group}" if group else kind
    details = _details(kind, group, name)
    details["causes"] = [
        {"reason": cause.reason, "message": cause.detail, "field": cause.field} for cause in causes
    ]
    return ApiError(422, f'{qualified_kind} "{name}" is invalid: {joined}', details=details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, message)
