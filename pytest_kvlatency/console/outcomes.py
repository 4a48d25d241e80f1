"""What can become of a console's connection, as exceptions that never leave the engine's layer."""

from __future__ import annotations


class ConsoleError(Exception):
    """The console cannot be used now; callers turn it into a cause."""


class ConnectionLost(ConsoleError):  # noqa: N818 - an outcome: KubeVirt ends consoles this way in ordinary life
    """The connection is gone: evicted, dropped, or closed. KubeVirt sends no close frame, so why is not known."""


class ConsoleUnreachable(ConsoleError):  # noqa: N818 - an outcome, like its siblings
    """No HTTP answer at all: refused, reset, timed out, or no proxy. ``permanent``: trying again cannot help."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class ConsoleRefused(ConsoleError):  # noqa: N818 - an outcome, like its siblings
    """An HTTP answer other than 101 to the upgrade.

    ``message`` is that of the Status body; ``is_route_missing`` a 404 without one: the API itself does not exist.
    ``retry_after_seconds`` is the server's wish, if it had one.
    """

    def __init__(
        self,
        *,
        status: int,
        message: str = "",
        is_route_missing: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{status} {message}".strip())
        self.status = status
        self.message = message
        self.is_route_missing = is_route_missing
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_denial(self) -> bool:
        """Whether it says what only a server can say that knows its roles, tokens and APIs."""
        return self.status in {401, 403} or self.is_route_missing
