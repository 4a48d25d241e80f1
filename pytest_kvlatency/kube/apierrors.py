"""What the API server refuses, as typed errors; each is also a cause that reports can show."""

from __future__ import annotations

from pytest_kvlatency.errors import ConfigError, ProvisionError


class KubeApiError(ProvisionError):
    """The API server answered with an error that is neither 401 nor a missing permission.

    ``status`` is the HTTP status (0: no answer at all), ``api_reason`` the Status object's reason
    (``NotFound``, ``AlreadyExists``, ``Conflict``, ``Invalid`` …; empty when the answer was no Status object),
    ``message`` the server's words. ``was_repeated``: the request was sent more than once, and the first may have been
    obeyed without an answer.
    """

    was_repeated = False

    def __init__(
        self,
        reason: str,
        *,
        status: int,
        api_reason: str = "",
        message: str = "",
        hint: str = "",
        summary: str = "",
    ) -> None:
        super().__init__(reason, hint=hint, summary=summary)
        self.status = status
        self.api_reason = api_reason
        self.message = message

    @property
    def object_missing(self) -> bool:
        """Whether a 404 speaks of an object; otherwise the API itself is not served."""
        return self.status == 404 and bool(self.api_reason)

    @property
    def api_missing(self) -> bool:
        """Whether a 404 says that nothing is served at this path."""
        return self.status == 404 and not self.api_reason


class ApiUnavailableError(KubeApiError):
    """The API server could be reached before, but not now, or kept answering 429 or 5xx."""


class MacRefused(ProvisionError):  # noqa: N818 - a request to try again, caught by name
    """The cluster's MAC pool refused the MAC of a VMI: try again with another."""


class ConfigMapError(ConfigError):
    """The ConfigMap cannot be read or written."""


class ConfigMapMissingError(ConfigMapError):
    """There is no such ConfigMap, or it was deleted (or made anew) meanwhile."""


class ConfigMapImmutableError(ConfigMapError):
    """The ConfigMap is immutable: no result can be written to it."""


class ConfigMapTakenError(ConfigMapError):
    """It holds the start, or the result, of another run."""


class ConfigMapTooLargeError(ConfigMapError):
    """With the result, the ConfigMap would be larger than the API server accepts (1 MiB)."""
